"""Transactional jobs in tests: run, performed, redelivered and crashed, in memory and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

import pq_core as pq
from pq_testing import Clock, RunJobs
from pq_testing.backends.postgres import PostgresBackend
from pq_testing.chaos.redeliver import NotIdempotent
from pq_testing.disturbances import Chaos
from pq_testing.postgres import fresh_database
from pq_testing.swap import using

DATABASE = pytest.param("postgres", marks=pytest.mark.postgres)
REDELIVER = Chaos(redeliver=True, replay="replay")


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.InMemoryConnector())


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresBackend]:
    with fresh_database() as dsn:
        backend = PostgresBackend(dsn)
        backend.reset()
        with psycopg.connect(dsn) as connection:
            connection.execute("create table entries (job bigint)")
        yield backend
        backend.close()


@pytest.fixture
def postgres(database: PostgresBackend) -> Iterator[PostgresBackend]:
    database.reset()
    with psycopg.connect(database.dsn) as connection:
        connection.execute("truncate entries")
    yield database
    database.close_test()


@pytest.fixture(params=["memory", DATABASE])
def run_jobs(app: pq.App, request: pytest.FixtureRequest) -> Iterator[RunJobs]:
    clock = Clock()
    connector = None
    if request.param == "postgres":
        connector = request.getfixturevalue("postgres").connector(clock)
    with using(app, connector=connector, clock=clock) as run_jobs:
        yield run_jobs


@pytest.fixture
def on_postgres(app: pq.App, postgres: PostgresBackend) -> Iterator[Callable[..., RunJobs]]:
    clock = Clock()
    managers: list[Any] = []

    def make(chaos: Chaos | None = None) -> RunJobs:
        managers.append(using(app, connector=postgres.connector(clock), clock=clock, chaos=chaos))
        run_jobs: RunJobs = managers[-1].__enter__()
        run_jobs.harness.hand_connector = lambda: postgres.hand_connector(clock)
        return run_jobs

    yield make
    for manager in managers:
        manager.__exit__(None, None, None)


def entries(postgres: PostgresBackend) -> list[int]:
    with psycopg.connect(postgres.dsn) as connection:
        return [job for (job,) in connection.execute("select job from entries order by job").fetchall()]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_job_and_what_it_defers_come_true_together_in_a_drain(
    app: pq.App, run_jobs: RunJobs, *, is_async: bool
) -> None:
    @app.task(name="next")
    def following(attempt: int) -> None: ...

    def work(context: pq.JobContext) -> None:
        following.configure(connection=context.connection).defer(context.job.attempt)
        if context.job.attempt == 1:
            raise ValueError

    async def work_async(context: pq.JobContext) -> None:
        await following.configure(connection=context.connection).defer_async(context.job.attempt)
        if context.job.attempt == 1:
            raise ValueError

    function: Any = work_async if is_async else work
    task: Any = app.task(name="work", pass_context=True, delivery="transactional", retry=2)(function)
    task.defer()
    report = run_jobs()
    assert [(run.task, run.kind, run.written) for run in report.runs] == [
        ("work", "retried", True),
        ("work", "succeeded", True),
        ("next", "succeeded", True),
    ]
    assert [job.args for job in run_jobs.deferred.all("next")] == [{"attempt": 2}]


def test_performing_a_job_commits_what_it_did_and_writes_no_outcome(
    app: pq.App, on_postgres: Callable[..., RunJobs], postgres: PostgresBackend
) -> None:
    run_jobs = on_postgres()

    @app.task(name="enter", pass_context=True, delivery="transactional")
    def enter(context: pq.JobContext, fail: bool) -> str:
        context.connection.execute("insert into entries values (1)")
        if fail:
            raise ValueError
        return "done"

    assert run_jobs.perform(enter.job(fail=True)).kind == "failed"
    assert entries(postgres) == []
    outcome = run_jobs.perform(enter.job(fail=False))
    assert (outcome.kind, outcome.result) == ("succeeded", '"done"')
    assert entries(postgres) == [1]
    assert run_jobs.harness.jobs() == []


def test_a_context_can_be_given_a_connection(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="enter", pass_context=True, delivery="transactional")
    def enter(context: pq.JobContext) -> object:
        return context.connection

    mine = object()
    assert enter(run_jobs.context(enter, connection=mine)) is mine
    with pytest.raises(pq.TransactionRequired):
        enter(run_jobs.context(enter))


@pytest.mark.parametrize("is_async", [False, True])
def test_redelivery_finds_nothing_in_what_the_transaction_takes_back(
    app: pq.App, on_postgres: Callable[..., RunJobs], postgres: PostgresBackend, *, is_async: bool
) -> None:
    run_jobs = on_postgres(REDELIVER)

    def enter(context: pq.JobContext) -> None:
        context.connection.execute("insert into entries values (%s)", [context.job.id])

    async def enter_async(context: pq.JobContext) -> None:
        await context.connection.execute("insert into entries values (%s)", [context.job.id])

    function: Any = enter_async if is_async else enter
    task: Any = app.task(name="enter", pass_context=True, delivery="transactional")(function)
    with psycopg.connect(postgres.dsn, autocommit=True) as watcher:
        postgres.spare(watcher)
        run_jobs.effects.watch_tables("entries", connection=watcher)
        number = task.defer()
        run_jobs()
    assert entries(postgres) == [number]
    job = app.jobs.get(number)
    assert (job.state, job.losses, job.attempt) == ("succeeded", 1, 2)


def test_redelivery_finds_what_no_transaction_takes_back(
    app: pq.App, on_postgres: Callable[..., RunJobs], postgres: PostgresBackend
) -> None:
    run_jobs = on_postgres(REDELIVER)
    letters: list[int] = []

    @app.task(name="enter", pass_context=True, delivery="transactional")
    def enter(context: pq.JobContext) -> None:
        context.connection.execute("insert into entries values (%s)", [context.job.id])
        letters.append(context.job.id)

    run_jobs.effects.watch(letters)
    enter.defer()
    with pytest.raises(NotIdempotent):
        run_jobs()
    assert entries(postgres) == [1]


@pytest.mark.parametrize("seed", range(4))
def test_a_worker_that_dies_anywhere_leaves_the_work_done_once(
    app: pq.App, on_postgres: Callable[..., RunJobs], postgres: PostgresBackend, seed: int
) -> None:
    run_jobs = on_postgres(Chaos(crash="random", seed=seed))

    @app.task(name="enter", pass_context=True, delivery="transactional")
    async def enter(context: pq.JobContext) -> None:
        await context.connection.execute("insert into entries values (%s)", [context.job.id])

    numbers = [enter.defer() for _ in range(3)]
    run_jobs()
    assert entries(postgres) == numbers


@pytest.mark.parametrize("point", range(1, 16))
def test_a_worker_that_dies_lets_go_of_the_keys_that_its_transaction_in_memory_held(app: pq.App, point: int) -> None:
    @app.task(name="tell", queueing_lock="tell")
    async def tell() -> None: ...

    @app.task(name="enter", pass_context=True, delivery="transactional")
    async def enter(context: pq.JobContext) -> None:
        await tell.configure(connection=context.connection).defer_async()
        await asyncio.sleep(0)

    with using(app, chaos=Chaos(crash="everywhere", crash_at=point)) as run_jobs:
        first = enter.defer()
        run_jobs()
        assert [job.task for job in run_jobs.harness.jobs() if job.state == "succeeded"] == ["enter", "tell"]
        assert app.jobs.get(first).losses <= 1


def test_in_a_callers_transaction_a_job_is_a_part_of_that(
    app: pq.App, on_postgres: Callable[..., RunJobs], postgres: PostgresBackend
) -> None:
    run_jobs = on_postgres()

    @app.task(name="enter", pass_context=True, delivery="transactional")
    def enter(context: pq.JobContext, fail: bool) -> None:
        context.connection.execute("insert into entries values (%s)", [context.job.id])
        if fail:
            raise ValueError

    with psycopg.connect(postgres.dsn) as connection:
        for fail in (True, False):
            enter.configure(connection=connection).defer(fail)
        report = run_jobs(connection=connection, on_error="record")
        assert [run.kind for run in report.runs] == ["failed", "succeeded"]
        assert connection.execute("select job from entries").fetchall() == [(2,)]
        connection.rollback()
    assert entries(postgres) == []
    assert run_jobs.harness.jobs() == []
