"""Drains inside a caller's open transaction, which is rolled back: nothing remains."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy

import pq_core as pq
from pq_testing import Clock, RunJobs
from pq_testing.disturbances import Chaos
from pq_testing.postgres import fresh_database, server
from pq_testing.swap import using

pytestmark = pytest.mark.postgres


def install(dsn: str) -> None:
    connector = pq.PsycopgConnector(dsn)
    connector.sync.migrate()
    with psycopg.connect(dsn) as connection:
        connection.execute("create table orders (id bigint primary key, charged int not null default 0)")


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with fresh_database(template=server().template("toolkit transactions 1", install)) as dsn:
        yield dsn


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.InMemoryConnector())


@pytest.fixture
def run_jobs(app: pq.App, dsn: str) -> Iterator[RunJobs]:
    clock = Clock()
    connector = pq.PsycopgConnector(dsn, clock=clock.now, min_size=0)
    with using(app, connector=connector, clock=clock) as run_jobs:
        yield run_jobs
    connector.sync.close()


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn) as connection:
        yield connection
        connection.rollback()


def charged(connection: psycopg.Connection) -> list[tuple[int, int]]:
    return connection.execute("select id, charged from orders order by id").fetchall()


def test_jobs_deferred_in_a_transaction_run_in_it_and_leave_with_it(
    app: pq.App, run_jobs: RunJobs, connection: psycopg.Connection
) -> None:
    @app.task(name="charge")
    def charge(order: int) -> None:
        connection.execute("update orders set charged = charged + 1 where id = %s", [order])
        receipt.configure(connection=connection).defer(order=order)

    @app.task(name="receipt")
    async def receipt(order: int) -> None: ...

    connection.execute("insert into orders values (7)")
    charge.configure(connection=connection).defer(order=7)
    assert list(run_jobs.deferred) == []
    assert run_jobs.deferred_in(connection).one(charge, order=7).state == pq.State.READY

    report = run_jobs(connection=connection)

    assert report.names == ["charge", "receipt"]
    assert charged(connection) == [(7, 1)]
    assert [job.state for job in run_jobs.deferred_in(connection)] == [pq.State.SUCCEEDED] * 2
    connection.rollback()
    assert run_jobs.connector.sync.find(pq.connector.JobFilter()) == []
    assert charged(connection) == []


def test_the_work_of_a_job_that_fails_is_undone_and_the_transaction_goes_on(
    app: pq.App, run_jobs: RunJobs, connection: psycopg.Connection
) -> None:
    @app.task(name="charge", retry=2, pass_context=True)
    def charge(context: pq.JobContext, order: int) -> None:
        connection.execute("update orders set charged = charged + 1 where id = %s", [order])
        if context.job.attempt == 1:
            connection.execute("select 1 / 0")

    connection.execute("insert into orders values (7)")
    charge.configure(connection=connection).defer(order=7)
    report = run_jobs(connection=connection)

    assert [run.kind for run in report] == ["retried", "succeeded"]
    assert isinstance(report.runs[0].error, psycopg.errors.DivisionByZero)
    assert charged(connection) == [(7, 1)]


def test_a_job_that_swallows_an_error_of_the_database_has_failed(
    app: pq.App, run_jobs: RunJobs, connection: psycopg.Connection
) -> None:
    @app.task(name="careless")
    def careless() -> None:
        with pytest.raises(psycopg.Error):
            connection.execute("select 1 / 0")

    careless.configure(connection=connection).defer()
    with pytest.raises(pq.TransactionRequired, match="savepoint"):
        run_jobs(connection=connection)

    assert run_jobs.deferred_in(connection).one(careless).state == pq.State.FAILED


def test_time_passes_in_a_transaction(app: pq.App, run_jobs: RunJobs, connection: psycopg.Connection) -> None:
    @app.task(name="later")
    def later() -> None: ...

    later.configure(connection=connection, schedule_in={"hours": 1}).defer()

    assert len(run_jobs(connection=connection)) == 0
    assert len(run_jobs("2h", connection=connection)) == 1


def test_a_connection_of_sqlalchemy_is_drained_in(app: pq.App, run_jobs: RunJobs, dsn: str) -> None:
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn))

    @app.task(name="charge")
    def charge(order: int) -> None:
        connection.execute(sqlalchemy.text("insert into orders values (:order, 1)"), {"order": order})

    with engine.connect() as connection:
        charge.configure(connection=connection).defer(order=7)
        assert run_jobs(connection=connection).names == ["charge"]
        assert connection.execute(sqlalchemy.text("select * from orders")).all() == [(7, 1)]
        connection.rollback()
        assert connection.execute(sqlalchemy.text("select * from orders")).all() == []
    engine.dispose()


def test_an_async_connection_is_drained_in(app: pq.App, run_jobs: RunJobs, dsn: str) -> None:
    @app.task(name="charge", pass_context=True)
    async def charge(context: pq.JobContext, order: int) -> None:
        assert not context.should_stop()

    async def test() -> list[str]:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            await connection.execute("insert into orders values (7)")
            await charge.configure(connection=connection).defer_async(order=7)
            query = await run_jobs.deferred_in_async(connection)
            query.one(charge, order=7)
            report = await run_jobs.run_async(connection=connection)
            await connection.rollback()
            return report.names

    assert asyncio.run(test()) == ["charge"]
    assert list(run_jobs.deferred) == []


@pytest.mark.parametrize("chaos", [Chaos(), Chaos(crash="random", reorder=True, seed=1)], ids=["calm", "chaos"])
def test_jobs_in_a_transaction_run_one_after_the_other_whatever_workers_says(
    dsn: str, app: pq.App, connection: psycopg.Connection, chaos: Chaos
) -> None:
    @app.task(name="charge", retry=2, pass_context=True)
    async def charge(context: pq.JobContext, order: int) -> None:
        connection.execute("update orders set charged = charged + 1 where id = %s", [order])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if context.job.attempt == 1 and order == 2:
            raise ValueError(order)

    clock = Clock()
    connector = pq.PsycopgConnector(dsn, clock=clock.now, min_size=0)
    with using(app, connector=connector, clock=clock, chaos=chaos) as run_jobs:
        for order in (1, 2, 3):
            connection.execute("insert into orders values (%s)", [order])
            charge.configure(connection=connection).defer(order=order)
        report = run_jobs(connection=connection, workers=3)
        states = {job.state for job in run_jobs.deferred_in(connection)}
    connector.sync.close()

    assert len(report.succeeded) == 3
    assert states == {pq.State.SUCCEEDED}
    assert charged(connection) == [(1, 1), (2, 1), (3, 1)] or chaos


def test_without_an_open_transaction_a_drain_says_so(run_jobs: RunJobs, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection, pytest.raises(pq.TransactionRequired, match="begin"):
        run_jobs(connection=connection)


def test_who_runs_jobs_tells_where_they_are(app: pq.App, run_jobs: RunJobs) -> None:
    assert run_jobs.backend == "postgres"
    with using(app) as other:
        assert other.backend == "memory"
