"""A worker that dies on PostgreSQL: at each point of a job that has a connection and a transaction of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import psycopg
import pytest

import pq_core as pq
from pq_testing import Clock
from pq_testing.backends.postgres import PostgresBackend
from pq_testing.script import Cue, Point, Scene, Script
from pq_testing.staged import Staged
from pq_testing.swap import using

PROJECT = """
    import psycopg
    import pytest
    import pq_core as pq

    app_under_test = pq.App(connector=pq.PsycopgConnector("host=/nowhere"))


    @pytest.fixture(scope="session")
    def pq_app_factory():
        return app_under_test


    @pytest.fixture
    def orders(pq_dsn):
        with psycopg.connect(pq_dsn, autocommit=True) as connection:
            connection.execute("create table if not exists orders (id int primary key, charged int)")
            connection.execute("truncate orders; insert into orders values (7, 0)")
            yield connection


    @app_under_test.task(name="charge")
    async def charge(dsn: str, to: str) -> None:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            await connection.execute("select * from orders where id = 7 for update")
            await connection.execute(f"update orders set charged = {to} where id = 7")


    @pytest.mark.pq(backend="postgres", crash="everywhere")
    @pytest.mark.parametrize("to", ["1", "charged + 1"], ids=["once", "each_time"])
    def test_an_order_is_charged_once(run_jobs, orders, pq_dsn, to):
        charge.defer(dsn=pq_dsn, to=to)
        run_jobs()
        assert orders.execute("select charged from orders").fetchone() == (1,)
"""


def test_a_worker_that_dies_frees_what_its_job_has_locked_and_a_charge_that_is_not_idempotent_is_found(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(PROJECT)
    off = [word for name in ("asyncio", "django", "flask", "randomly", "postgresql") for word in ("-p", f"no:{name}")]
    result = pytester.runpytest_subprocess("-W", "error", *off, timeout=50)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E*assert (2,) == (1,)", "a worker died at point *: await * of charge*"])


class KillsOneOfTwo(Script):
    """Kills one of two workers, when both are in the midst of their job's transaction."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.lost = 0

    def cue(self, points: Sequence[Point], scene: Scene) -> Cue:
        job = points[0].job
        if len(self.begun) == 2 and not self.lost and job is not None:
            self.lost = job.id
            return Cue(points[0], "crash")
        waiting = [point for point in points if self.lost or point.job is None or point.job.id not in self.begun]
        return Cue((waiting or points)[0])


@pytest.mark.parametrize("shared", [False, True])
def test_a_worker_that_dies_takes_no_transaction_of_another_workers_job_with_it(
    backend: PostgresBackend, shared: bool
) -> None:
    app, clock, script = pq.App(connector=pq.InMemoryConnector()), Clock(), KillsOneOfTwo()

    @app.task(name="work", pass_context=True)
    async def work(context: pq.JobContext) -> None:
        async with await psycopg.AsyncConnection.connect(backend.dsn) as connection:
            await connection.execute("select 1")
            script.begun.append(context.job.id)
            # What a job may hold: its own, and what leads to everything.
            holding = (context, run_jobs, connector) if shared else ()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await connection.execute("select %s", [len(holding)])

    connector, conductor = backend.connector(clock), Staged(script, workers=2)
    with using(app, clock=clock, connector=connector, conductor=conductor) as run_jobs:
        run_jobs.harness.hand_connector = partial(backend.hand_connector, clock)
        app.defer_many([work.job(), work.job()])
        report = run_jobs()
        conductor.close()

    assert sorted((run.job.id, run.job.losses, run.kind) for run in report) == [
        (number, int(number == script.lost), "succeeded") for number in (1, 2)
    ]
