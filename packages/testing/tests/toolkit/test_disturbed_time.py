"""Chaos and virtual time together: jobs that sleep, on stages of which one hand at a time goes on."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

import pq_core as pq
from pq_testing import Clock
from pq_testing.backends.postgres import PostgresBackend
from pq_testing.disturbances import Chaos
from pq_testing.postgres import fresh_database
from pq_testing.swap import using

HOUR = timedelta(hours=1)
CHAOS = [Chaos(reorder=True), Chaos(crash="random"), Chaos(crash_at=4, crash="everywhere"), Chaos(redeliver=True)]


@pytest.fixture
def app() -> pq.App:
    app = pq.App(connector=pq.PsycopgConnector("host=/nowhere"))

    @app.task(name="sleep")
    async def sleep() -> None:
        await asyncio.sleep(3600)

    return app


@pytest.fixture(scope="module")
def backend() -> Iterator[PostgresBackend]:
    with fresh_database() as dsn:
        backend = PostgresBackend(dsn)
        yield backend
        backend.close()


@pytest.mark.parametrize("chaos", CHAOS, ids=str)
def test_sleepers_in_memory_wake_at_once(app: pq.App, chaos: Chaos) -> None:
    with using(app, chaos=chaos) as run_jobs:
        app.configure_task("sleep").batch_defer([{}, {}])
        report = run_jobs(until="5h", workers=2)

        assert [run.kind for run in report if run.job.losses or not run.error] == ["succeeded"] * 2
        assert {run.duration for run in report.succeeded} == {HOUR}


@pytest.mark.postgres
@pytest.mark.parametrize("chaos", CHAOS, ids=str)
def test_sleepers_on_postgres_wake_at_once_and_replies_move_no_clock(
    app: pq.App, backend: PostgresBackend, chaos: Chaos
) -> None:
    backend.reset()
    clock = Clock()
    with using(app, chaos=chaos, clock=clock, connector=backend.connector(clock)) as run_jobs:
        run_jobs.harness.hand_connector = lambda: backend.hand_connector(clock)
        app.configure_task("sleep").batch_defer([{}, {}])
        report = run_jobs(until="5h", workers=2)

        assert [run.kind for run in report] == ["succeeded"] * 2
        assert {run.duration for run in report} == {HOUR}
    backend.close_test()


def test_the_patience_with_a_job_that_waits_for_a_thread_moves_no_clock(app: pq.App) -> None:
    waiting, answered = threading.Event(), threading.Event()

    @app.task(name="call_out")
    async def call_out() -> None:
        one, other = socket.socketpair()
        _, writer = await asyncio.open_connection(sock=one)
        threading.Thread(target=lambda: (waiting.wait(20), time.sleep(0.2), answered.set())).start()
        waiting.set()
        await asyncio.to_thread(answered.wait, 20)
        writer.close()
        await writer.wait_closed()
        other.close()

    with using(app, chaos=Chaos(reorder=True)) as run_jobs:
        app.configure_task("call_out").defer()
        (run,) = run_jobs(until="1h")

        assert run.duration == timedelta(0)
