"""How runs end on PostgreSQL when others are about: those who defer the same key, those who wait, those who look on."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg
import pytest

import pq_core as pq
from pq_core.connector import JobFilter
from pq_core.outcome import Outcome
from pq_core.postgres import PsycopgConnector, watching
from pq_core.postgres.bound import BoundConnector

HOUR = 3600.0
pytestmark = pytest.mark.anyio
Session = psycopg.Connection[Any]


def claim(session: Session, *keys: str | None) -> list[int]:
    """Store jobs with these keys, and let worker 1 claim them."""
    session.execute("select heartbeat(1, 'w', null, '{}', 3600)")
    for key in keys:
        session.execute("select defer('t', unique_key => %s, unique_scope => %s)", (key, "waiting" if key else None))
    session.execute("select from pq.fetch(1, null, 100)")
    rows = session.execute("select id from jobs where state = 'running' order by id").fetchall()
    return [row[0] for row in rows]


def finish(session: Session, kind: str, *ids: int) -> list[int]:
    """Write outcomes of first claims."""
    rows = session.execute(
        "select finish(%s::bigint[], %s::bigint[], %s::text[])", (list(ids), [1] * len(ids), [kind] * len(ids))
    )
    return [row[0] for row in rows]


def states(session: Session) -> dict[int, tuple[str, str | None]]:
    """Return state and reason of all jobs."""
    rows = session.execute("select id, state, reason from all_jobs order by id").fetchall()
    return {number: (state, reason) for number, state, reason in rows}


@contextmanager
def open_defer(dsn: str, *keys: str) -> Iterator[Session]:
    """Defer jobs with these keys in a transaction, and leave that open."""
    with psycopg.connect(dsn) as other:
        other.execute("set search_path = pq, public")
        for key in keys:
            other.execute("select defer('t', unique_key => %s, unique_scope => 'waiting')", (key,))
        yield other


def test_an_outcome_waits_a_moment_for_an_open_deferral_of_its_key_and_then_says_so(dsn: str, session: Session) -> None:
    (job,) = claim(session, "k")
    with open_defer(dsn, "k") as other:
        began = time.monotonic()
        with pytest.raises(psycopg.errors.LockNotAvailable, match="unique key"):
            finish(session, "retried", job)
        assert time.monotonic() - began < 2
        assert states(session) == {job: ("running", None)}
        other.commit()
    assert finish(session, "retried", job) == [job]
    assert states(session)[job] == ("cancelled", f"superseded by job {max(states(session))}")


def test_an_open_deferral_that_is_rolled_back_leaves_the_key_to_the_run(dsn: str, session: Session) -> None:
    (job,) = claim(session, "k")
    with open_defer(dsn, "k") as other:
        other.rollback()
        assert finish(session, "snoozed", job) == [job]
    assert states(session)[job][0] == "ready"


def test_an_open_deferral_holds_up_a_batch_no_longer_for_many_jobs_than_for_one(dsn: str, session: Session) -> None:
    keys = [f"k{number}" for number in range(50)]
    jobs = claim(session, *keys)
    with open_defer(dsn, *keys):
        began = time.monotonic()
        with pytest.raises(psycopg.errors.LockNotAvailable):
            finish(session, "released", *jobs)
        assert time.monotonic() - began < 2


async def test_the_connector_calls_that_a_store_that_is_busy(dsn: str, session: Session) -> None:
    (number,) = claim(session, "k")
    connector = PsycopgConnector(dsn)
    (job,) = await connector.find(JobFilter(ids=[number]))
    with open_defer(dsn, "k"), pytest.raises(pq.StoreBusy):
        await connector.finish([Outcome.released(job)])
    await connector.close()


@pytest.mark.parametrize("gone", ["rescue()", "leave(1)"])
def test_a_rescue_leaves_a_job_whose_key_is_in_other_hands_to_the_next(dsn: str, session: Session, gone: str) -> None:
    held, free = claim(session, "k", None)
    if gone == "rescue()":
        session.execute("update workers set lease_until = now()")
    with open_defer(dsn, "k") as other:
        assert session.execute(f"select id, state from {gone}").fetchall() == [(free, "ready")]
        assert states(session)[held][0] == "running"
        other.commit()
    assert session.execute("select id, state from rescue()").fetchall() == [(held, "cancelled")]
    row = session.execute("select reason, losses, jsonb_array_length(errors) from all_jobs where id = %s", (held,))
    twin = max(states(session))
    assert row.fetchone() == (f"superseded by job {twin}", 1, 1)


def test_a_heartbeat_waits_for_nobody_to_tell_of_progress(dsn: str, session: Session) -> None:
    held, free = claim(session, None, None)
    with psycopg.connect(dsn) as other:
        other.execute("select from pq.jobs where id = %s for update", (held,))
        session.execute("set lock_timeout = '1s'")
        session.execute(
            "select heartbeat(1, 'w', null, '{}', 3600, null, %s::bigint[], '{1,1}', %s::text[])",
            ([held, free], ['{"fraction": 0.1}', '{"fraction": 0.2}']),
        )
    rows = session.execute("select id, progress ->> 'fraction' from jobs order by id").fetchall()
    assert rows == [(held, None), (free, "0.2")]


def test_a_key_that_many_want_is_waited_for_by_one_job_and_nobody_sees_an_error(dsn: str) -> None:
    """Some defer the same few keys, some claim, and write that the jobs are to run again; workers die, too."""
    seed = random.randrange(10**6)
    done = threading.Event()
    faults: list[BaseException] = []
    superseded = 0
    deeds: list[Callable[[Session, random.Random, int], None]] = [_defer, _defer, _run, _run, _die]

    def act(number: int) -> None:
        choose = random.Random(f"{seed} {number}")
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("set search_path = pq, public")
            while not done.is_set() and not faults:
                try:
                    deeds[number](conn, choose, number)
                except psycopg.errors.LockNotAvailable:
                    pass
                except BaseException as fault:  # noqa: BLE001 - the test tells of it
                    faults.append(fault)

    threads = [threading.Thread(target=act, args=[number]) for number in range(len(deeds))]
    for thread in threads:
        thread.start()
    with psycopg.connect(dsn, autocommit=True) as watch:
        deadline = time.monotonic() + 20
        while superseded < 300 and not faults and time.monotonic() < deadline:
            time.sleep(0.05)
            rows = watch.execute("select count(*) from pq.finished_jobs where reason like 'superseded by job %'")
            superseded = (rows.fetchone() or (0,))[0]
    done.set()
    for thread in threads:
        thread.join()
    assert not faults, f"seed {seed}: {faults}"
    assert superseded >= 300, f"seed {seed}"


def _defer(conn: Session, choose: random.Random, number: int) -> None:
    key = f"key {choose.randrange(5)}"
    with conn.transaction():
        conn.execute("select defer('t', unique_key => %s, unique_scope => 'waiting', on_conflict => 'skip')", (key,))
        if choose.random() < 0.2:
            time.sleep(0.002)
        if choose.random() < 0.1:
            raise psycopg.Rollback


def _run(conn: Session, choose: random.Random, number: int) -> None:
    conn.execute("select heartbeat(%s, 'w', null, '{}', 3600)", (number,))
    rows = conn.execute("select id, claim from pq.fetch(%s, null, 5) where id is not null", (number,)).fetchall()
    kinds = [choose.choice(["retried", "released", "snoozed", "succeeded"]) for _ in rows]
    rows.sort()
    if choose.random() < 0.9:
        ids, claims = [row[0] for row in rows], [row[1] for row in rows]
        conn.execute("select finish(%s::bigint[], %s::bigint[], %s::text[])", (ids, claims, kinds))
    else:
        conn.execute("select leave(%s)", (number,))


def _die(conn: Session, choose: random.Random, number: int) -> None:
    conn.execute("select heartbeat(%s, 'w', null, '{}', 3600)", (number,))
    conn.execute("select from pq.fetch(%s, null, 5)", (number,))
    conn.execute("update workers set lease_until = now() where id = %s", (number,))
    conn.execute("select rescue()")


class TestWaiting:
    """Waiting for jobs through a connector."""

    @pytest.fixture
    def app(self, dsn: str) -> Iterator[pq.App]:
        app = pq.App(connector=PsycopgConnector(dsn))
        yield app
        app.close()

    async def test_all_who_wait_in_one_loop_share_one_connection(self, app: pq.App, session: Session) -> None:
        jobs = claim(session, *[None] * 20)
        waits = [asyncio.create_task(app.jobs.wait_async(job, 10)) for job in jobs]
        await until(lambda: count(session, "waits") == 20)
        assert listeners(session) == 1
        finish(session, "succeeded", *jobs)
        ended = await asyncio.gather(*waits)
        assert {job.state for job in ended} == {"succeeded"}
        assert count(session, "waits") == 0
        await until(lambda: not listeners(session))
        await app.close_async()

    async def test_who_waits_is_told_and_does_not_find_out_by_looking(
        self, app: pq.App, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pq_core.waiting.FIRST_LOOK", HOUR)
        (job,) = claim(session, None)
        wait = asyncio.create_task(app.jobs.wait_async(job, 10))
        await until(lambda: count(session, "waits") == 1)
        finish(session, "failed", job)
        assert (await wait).state == "failed"
        await app.close_async()

    async def test_who_comes_while_the_end_is_being_written_hears_of_it(
        self, app: pq.App, dsn: str, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pq_core.waiting.FIRST_LOOK", HOUR)
        (job,) = claim(session, None)
        with psycopg.connect(dsn) as other:
            other.execute("set search_path = pq, public")
            finish(other, "succeeded", job)
            wait = asyncio.create_task(app.jobs.wait_async(job, 10))
            await until(lambda: count(session, "pg_locks where not granted") + count(session, "waits") > 0)
        assert (await wait).state == "succeeded"
        assert count(session, "waits") == 0
        await app.close_async()

    async def test_who_waits_does_not_wait_for_a_job_in_somebodys_hands(
        self, app: pq.App, dsn: str, session: Session
    ) -> None:
        (job,) = claim(session, None)
        with psycopg.connect(dsn) as other:
            other.execute("select from pq.jobs for update")
            wait = asyncio.create_task(app.jobs.wait_async(job, 10))
            await until(lambda: count(session, "waits") == 1)
        finish(session, "succeeded", job)
        assert (await wait).state == "succeeded"
        await app.close_async()

    async def test_a_word_that_is_lost_is_made_up_for_by_looking(self, app: pq.App, session: Session) -> None:
        (job,) = claim(session, None)
        wait = asyncio.create_task(app.jobs.wait_async(job, 10))
        await until(lambda: count(session, "waits") == 1)
        session.execute("truncate waits")
        finish(session, "succeeded", job)
        assert (await wait).state == "succeeded"
        await app.close_async()

    async def test_a_connection_that_breaks_is_made_up_for_too(
        self, app: pq.App, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watching, "BETWEEN_CONNECTIONS", 0.05)
        monkeypatch.setattr("pq_core.waiting.FIRST_LOOK", HOUR)
        (job,) = claim(session, None)
        wait = asyncio.create_task(app.jobs.wait_async(job, 10))
        await until(lambda: count(session, "waits") == 1)
        session.execute(f"select pg_terminate_backend(pid) {LISTENERS}")
        await until(lambda: not listeners(session))
        finish(session, "succeeded", job)
        assert (await wait).state == "succeeded"
        await app.close_async()

    async def test_who_gives_up_leaves_no_connection_behind(self, app: pq.App, session: Session) -> None:
        (job,) = claim(session, None)
        with pytest.raises(pq.WaitTimedOut, match=rf"job {job} \(t\) has not ended within 0.05 s: it is running"):
            await app.jobs.wait_async(job, 0.05)
        wait = asyncio.create_task(app.jobs.wait_async(job))
        await until(lambda: listeners(session) == 1)
        wait.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wait
        await until(lambda: not listeners(session))
        await app.close_async()

    def test_who_waits_in_a_thread_is_told_and_leaves_no_connection(
        self, app: pq.App, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pq_core.waiting.FIRST_LOOK", HOUR)
        (job,) = claim(session, None)
        found: list[pq.Job] = []
        thread = threading.Thread(target=lambda: found.append(app.jobs.handle(job).wait(10)))
        thread.start()
        deadline = time.monotonic() + 10
        while not count(session, "waits") and time.monotonic() < deadline:
            time.sleep(0.005)
        finish(session, "succeeded", job)
        thread.join(10)
        assert [job.state for job in found] == ["succeeded"]
        assert listeners(session) == 0

    def test_a_timeout_in_a_thread_says_what_became_of_the_job(self, app: pq.App, session: Session) -> None:
        (job,) = claim(session, None)
        with pytest.raises(pq.WaitTimedOut, match="has not ended within"):
            app.jobs.wait(job, timeout={"seconds": 0.05})

    def test_in_a_transaction_that_nobody_else_sees_nobody_waits(self, app: pq.App, dsn: str) -> None:
        with psycopg.connect(dsn) as conn:
            bound = BoundConnector(cast("PsycopgConnector", app.connector), conn)
            with app.replace_connector(bound):
                (job,) = app.defer_many([pq.NewJob(task="work")])
                with pytest.raises(pq.ConnectorError, match=r"cannot wait for a job: .* run_jobs\(\)"):
                    app.jobs.wait(job, 10)
                app.jobs.cancel(job)
                assert app.jobs.wait(job, 10).state == "cancelled"
            conn.rollback()

    def test_nobody_is_told_of_a_job_that_nobody_waits_for(self, dsn: str, session: Session) -> None:
        one, two = claim(session, None, None)
        session.execute("select await_end(%s)", (two,))
        session.execute("listen pq")
        finish(session, "succeeded", one, two)
        assert [notice.payload for notice in session.notifies(timeout=0.2)] == [f"ended:{two}"]


LISTENERS = "from pg_stat_activity where query like 'listen%%' and datname = current_database()"


def listeners(session: Session) -> int:
    row = session.execute(f"select count(*) {LISTENERS}").fetchone()
    return row[0] if row else 0


def count(session: Session, table: str) -> int:
    row = session.execute(f"select count(*) from {table}").fetchone()
    return row[0] if row else 0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for is in the database
            await asyncio.sleep(0.005)
