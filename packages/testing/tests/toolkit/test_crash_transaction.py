"""Workers that die in drains inside a caller's transaction: the transaction goes on, and what the job did is undone."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

import pq_core as pq
from pq_testing import Clock
from pq_testing.disturbances import Chaos
from pq_testing.postgres import fresh_database, server
from pq_testing.swap import using

pytestmark = pytest.mark.postgres


def install(dsn: str) -> None:
    pq.PsycopgConnector(dsn).sync.migrate()
    with psycopg.connect(dsn) as connection:
        connection.execute("create table orders (id bigint primary key, charged int not null default 0)")


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with fresh_database(template=server().template("toolkit crash 1", install)) as dsn:
        yield dsn


@pytest.mark.parametrize("crash_at", range(13))
def test_what_a_job_did_in_the_transaction_is_undone_when_its_worker_dies_before_the_job_has_ended(
    crash_at: int, dsn: str
) -> None:
    app = pq.App(connector=pq.InMemoryConnector())
    clock = Clock()
    connector = pq.PsycopgConnector(dsn, clock=clock.now, min_size=0)
    with psycopg.connect(dsn) as connection:

        @app.task(name="charge")
        async def charge(order: int) -> None:
            connection.execute("update orders set charged = charged + 1 where id = %s", [order])
            await asyncio.sleep(0)

        chaos = Chaos(crash="everywhere", crash_at=crash_at)
        with using(app, connector=connector, clock=clock, chaos=chaos) as run_jobs:
            connection.execute("insert into orders values (7)")
            charge.configure(connection=connection).defer(order=7)
            report = run_jobs(connection=connection)
            (count,) = connection.execute("select charged from orders").fetchone() or ()
            (job,) = run_jobs.deferred_in(connection)
        connection.rollback()
    connector.sync.close()

    assert [run.kind for run in report] == ["succeeded"]
    assert job.state == pq.State.SUCCEEDED
    # The savepoint of a job that has ended is kept; that its worker dies before this is written, makes it run again.
    assert count == (2 if job.losses and crash_at == 6 else 1)
