"""Streams of jobs into a real database: one transaction, little memory, and no connection left behind."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from django.db import transaction as django_transaction
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session

import pq_core as pq
from pq_core.postgres import PsycopgConnector
from pq_core.streaming import BATCH, LONG

COUNT = 2 * BATCH + 3
JOBS = "select count(*), count(distinct (args->>'x')::int), max((args->>'x')::int) from pq.jobs"


def arguments(count: int = COUNT) -> Iterator[dict[str, int]]:
    for number in range(count):
        yield {"x": number}


@pytest.fixture
def app(dsn: str) -> Iterator[pq.App]:
    app = pq.App(connector=PsycopgConnector(dsn))

    @app.task(name="work")
    def work(x: int) -> None: ...

    yield app
    app.close()


@pytest.fixture
def work(app: pq.App) -> Any:
    return app.tasks["work"]


def test_nobody_sees_a_job_of_a_stream_before_the_last_is_there(work: Any, session: psycopg.Connection) -> None:
    seen: list[Any] = []
    work.defer_stream(arguments(4 * BATCH), on_progress=lambda _: seen.extend(session.execute(JOBS).fetchone() or ()))
    assert set(seen) == {0, None}
    assert session.execute(JOBS).fetchall() == [(4 * BATCH, 4 * BATCH, 4 * BATCH - 1)]


@pytest.mark.parametrize("as_list", [False, True], ids=["stream", "list"])
def test_an_error_of_the_database_undoes_a_stream_and_the_next_one_works(
    work: Any, session: psycopg.Connection, *, as_list: bool
) -> None:
    store = work.batch_defer if as_list else work.defer_stream
    session.execute("alter table jobs add constraint few check ((args->>'x')::int <> 9500)")
    with pytest.raises(pq.ConnectorError, match='violates check constraint "few"'):
        store([*arguments(LONG)])
    assert session.execute(JOBS).fetchall() == [(0, 0, None)]
    session.execute("alter table jobs drop constraint few")
    store([*arguments(LONG)])
    assert session.execute(JOBS).fetchall() == [(LONG, LONG, LONG - 1)]


def test_a_long_list_is_answered_in_its_order(app: pq.App, work: Any, session: psycopg.Connection) -> None:
    ids = work.batch_defer([*arguments(LONG + 1)])
    more = app.defer_many([work.job(x=LONG + 1 + number) for number in range(LONG)])
    rows = session.execute("select id, (args->>'x')::int from jobs order by id").fetchall()
    assert rows == list(zip([*ids, *more], range(2 * LONG + 1), strict=True))


@pytest.mark.anyio
async def test_a_long_list_is_answered_in_its_order_who_awaits_it(work: Any, session: psycopg.Connection) -> None:
    ids = await work.batch_defer_async([*arguments(LONG + 1)])
    rows = session.execute("select id, (args->>'x')::int from jobs order by id").fetchall()
    assert rows == list(zip(ids, range(LONG + 1), strict=True))


def test_a_bad_job_far_down_a_long_list_is_named_by_its_place(work: Any, session: psycopg.Connection) -> None:
    with pytest.raises(pq.InvalidArguments, match=r"^job 10003 of the batch: args") as caught:
        work.batch_defer([*arguments(10_003), {"x": {1}}])
    assert caught.value.index == 10_003
    assert session.execute(JOBS).fetchall() == [(0, 0, None)]


def test_whether_psycopg_can_send_ahead_makes_no_difference(
    work: Any, session: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psycopg.Pipeline, "is_supported", lambda: False)
    assert work.defer_stream(arguments()) == COUNT
    assert session.execute(JOBS).fetchall() == [(COUNT, COUNT, COUNT - 1)]


def test_a_stream_takes_no_connection_of_the_pool_that_others_need(work: Any, app: pq.App) -> None:
    connector: Any = app.connector
    pool = connector.sync._opened_pool()
    free: list[int] = []
    work.defer_stream(arguments(), on_progress=lambda _: free.append(pool.get_stats()["pool_available"]))
    assert set(free) == {pool.get_stats()["pool_size"]}


def test_memory_does_not_grow_with_a_stream(work: Any) -> None:
    work.defer_stream(arguments())
    few, many = (peak_of(lambda count=count: work.defer_stream(arguments(count))) for count in (10_000, 40_000))
    print(f"{few / 2**20:.1f} MB for 10,000 jobs, {many / 2**20:.1f} for 40,000")  # noqa: T201 - shown if it fails
    assert many < 1.2 * few


def peak_of(run: Callable[[], object]) -> int:
    """Return how many bytes more Python had at a time."""
    gc.collect()
    tracemalloc.start()
    run()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_a_stream_is_part_of_a_transaction_of_sqlalchemy(
    work: Any, engine: sa.Engine, session: psycopg.Connection
) -> None:
    with Session(engine) as given:
        work.configure(connection=given).defer_stream(arguments())
        given.rollback()
        work.configure(connection=given).defer_stream(arguments())
        assert session.execute(JOBS).fetchall() == [(0, 0, None)]
        given.commit()
    assert session.execute(JOBS).fetchall() == [(COUNT, COUNT, COUNT - 1)]


def test_a_stream_is_part_of_a_transaction_of_django(work: Any, django: Any, session: psycopg.Connection) -> None:
    with django_transaction.atomic(using="jobs"):
        work.configure(connection=django).defer_stream(arguments())
        assert session.execute(JOBS).fetchall() == [(0, 0, None)]
    assert session.execute(JOBS).fetchall() == [(COUNT, COUNT, COUNT - 1)]


@pytest.mark.anyio
@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_a_stream_is_part_of_a_transaction_that_is_awaited(
    work: Any, url: Callable[[str], sa.URL], driver: str, session: psycopg.Connection
) -> None:
    async def made() -> AsyncIterator[dict[str, int]]:
        for each in arguments():
            yield each

    engine = create_async_engine(url(driver))
    async with engine.connect() as given:
        await work.configure(connection=given).defer_stream_async(made())
        await given.rollback()
        await work.configure(connection=given).defer_stream_async(made())
        assert session.execute(JOBS).fetchall() == [(0, 0, None)]
        await given.commit()
    await engine.dispose()
    assert session.execute(JOBS).fetchall() == [(COUNT, COUNT, COUNT - 1)]


def test_jobs_of_one_model_and_of_several_are_stored_as_they_are(app: pq.App, work: Any) -> None:
    notes: dict[str, Any] = {}
    noted = work.configure(metadata=notes)
    noted.defer(x=1)
    notes["added"] = "later"  # A job is as plain as it is when it is stored.
    noted.defer(x=2)
    jobs = [
        work.job(x=3),
        work.configure(lock="l", priority=3, metadata={"n": 1}).job(x=4),
        work.configure(unique="k", metadata={"n": True}).job(x=5),
        pq.NewJob(task="other", args={"x": 6, "deep": [{"er": None}]}, queue='"q\\,{}'),
    ]
    app.defer_many(jobs)
    app.defer_many([noted.job(x=7), noted.job(x=8)])
    stored = app.jobs.find()
    assert [job.args["x"] for job in stored] == list(range(1, 9))
    assert [repr(job.metadata) for job in stored[:6]] == ["{}", repr(notes), "{}", "{'n': 1}", "{'n': True}", "{}"]
    assert [job.metadata for job in stored[6:]] == [notes, notes]
    assert [(job.lock, job.priority, job.unique_key) for job in stored[2:5]] == [
        (None, 0, None),
        ("l", 3, None),
        (None, 0, "k"),
    ]
    assert (stored[5].queue, stored[5].args["deep"]) == ('"q\\,{}', [{"er": None}])
