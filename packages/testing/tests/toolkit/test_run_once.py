"""The real worker, told to end when nothing is left."""

import threading

import pytest

import pq_core as pq
from pq_testing import RunOnceWorker
from pq_testing.swap import using


def test_a_run_once_worker_runs_what_is_due_and_returns() -> None:
    app = pq.App(connector=pq.InMemoryConnector())
    threads = []

    @app.task(name="parent")
    async def parent() -> None:
        await child.defer_async()

    @app.task(name="child")
    def child() -> None:
        threads.append(threading.current_thread())

    with using(app) as run_jobs:
        parent.defer()
        RunOnceWorker(app).run()

        assert [job.state for job in run_jobs.harness.jobs()] == [pq.State.SUCCEEDED] * 2
    assert threads != [threading.current_thread()]


def test_a_run_once_worker_outlives_a_clock_that_is_moved_by_hours() -> None:
    app = pq.App(connector=pq.InMemoryConnector())

    with using(app) as run_jobs:

        @app.task(name="travel")
        def travel() -> None:
            run_jobs.clock.advance(hours=23)

        travel.defer()
        RunOnceWorker(app).run()

        (job,) = run_jobs.harness.jobs()
    assert (job.state, job.losses) == (pq.State.SUCCEEDED, 0)


def test_its_options_are_those_of_a_worker() -> None:
    app = pq.App(connector=pq.InMemoryConnector())

    assert RunOnceWorker(app, concurrency=3).settings.concurrency == 3
    assert RunOnceWorker(app, wait=True).settings.wait is False
    with pytest.raises(pq.InvalidOption, match="no option 'once'"):
        RunOnceWorker(app, once=True)
