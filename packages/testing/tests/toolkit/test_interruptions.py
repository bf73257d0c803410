"""What comes out of a job and is none of the job's: Ctrl-C, a timeout around the drain, pytest's own exceptions."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

import pq_core as pq
from pq_testing import RunJobs, own_loop
from pq_testing.disturbances import Chaos
from pq_testing.swap import using

Raise = Callable[[], Any]


def press_ctrl_c() -> None:
    raise KeyboardInterrupt


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.PsycopgConnector("host=/nowhere"))


@pytest.fixture
def run_jobs(app: pq.App) -> Iterator[RunJobs]:
    with using(app) as run_jobs:
        yield run_jobs


@pytest.mark.parametrize("on_error", ["raise", "record"])
@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    "interrupt, error",
    [
        (press_ctrl_c, KeyboardInterrupt),
        (lambda: pytest.fail("Timeout"), pytest.fail.Exception),
        (lambda: pytest.skip("no printer here"), pytest.skip.Exception),
        (lambda: pytest.xfail("known"), pytest.xfail.Exception),
        (lambda: pytest.exit("enough"), pytest.exit.Exception),
    ],
    ids=["ctrl_c", "fail", "skip", "xfail", "exit"],
)
def test_what_is_meant_for_the_test_ends_the_drain_and_is_neither_retried_nor_recorded(
    app: pq.App,
    run_jobs: RunJobs,
    interrupt: Raise,
    error: type[BaseException],
    *,
    on_error: Any,
    is_async: bool,
    workers: int,
) -> None:
    runs: list[int] = []

    def work() -> None:
        runs.append(1)
        interrupt()

    async def work_async() -> None:
        work()

    task = app.task(name="work", retry=True)(work_async if is_async else work)
    task.batch_defer([{}, {}])
    with pytest.raises(error) as raised:
        run_jobs(on_error=on_error, workers=workers)

    assert type(raised.value) is error
    assert runs == [1]
    assert {job.state for job in run_jobs.harness.jobs()} == {pq.State.READY}
    assert own_loop.settle() == []


def test_an_interruption_shows_the_frames_of_the_task_only(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work")
    def work() -> None:
        pytest.fail("Timeout")

    work.defer()
    with pytest.raises(pytest.fail.Exception) as raised:
        run_jobs()

    assert not [str(entry.path) for entry in raised.traceback if "pq_core" in str(entry.path)]


def test_perform_lets_interruptions_through(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work", retry=True)
    def work() -> None:
        pytest.skip("no printer here")

    with pytest.raises(pytest.skip.Exception):
        run_jobs.perform(work.job())


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_reaches_a_drain_in_which_an_async_job_waits(app: pq.App, run_jobs: RunJobs, workers: int) -> None:
    @app.task(name="work", retry=True)
    async def work() -> None:
        pressed.start()
        await asyncio.Event().wait()

    pressed = threading.Thread(target=lambda: (time.sleep(0.05), os.kill(os.getpid(), signal.SIGINT)))
    work.defer()
    with pytest.raises(KeyboardInterrupt):
        run_jobs(workers=workers)

    pressed.join()
    (job,) = run_jobs.harness.jobs()
    assert (job.state, job.attempt) == (pq.State.READY, 0)
    assert own_loop.settle() == []


def test_ctrl_c_reaches_a_drain_whose_workers_are_disturbed(app: pq.App) -> None:
    @app.task(name="work", retry=True)
    async def work() -> None:
        pressed.start()
        await asyncio.sleep(60)

    pressed = threading.Thread(target=lambda: (time.sleep(0.05), os.kill(os.getpid(), signal.SIGINT)))
    with using(app, chaos=Chaos(reorder=True)) as run_jobs:
        work.defer()
        with pytest.raises(KeyboardInterrupt):
            run_jobs()
        pressed.join()

    assert own_loop.settle() == []


@pytest.mark.parametrize("point", range(1, 9))
def test_an_interruption_is_not_lost_with_a_worker_that_dies_of_another_cause(app: pq.App, point: int) -> None:
    @app.task(name="work", retry=True)
    async def work() -> None:
        await asyncio.sleep(0)
        pytest.skip("no printer here")

    with using(app, chaos=Chaos(crash="everywhere", crash_at=point)) as run_jobs:
        work.batch_defer([{}, {}])
        with pytest.raises(pytest.skip.Exception):
            run_jobs(on_error="record")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_timeout_around_the_drain_is_not_the_jobs(app: pq.App, run_jobs: RunJobs, workers: int) -> None:
    @app.task(name="work", retry=True)
    async def work() -> None:
        await asyncio.Event().wait()

    async def test() -> None:
        await work.defer_async()
        await asyncio.wait_for(run_jobs.run_async(workers=workers), 0.05)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(test())

    (job,) = run_jobs.harness.jobs()
    assert (job.state, job.attempt) == (pq.State.READY, 0)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_scope_around_the_drain_is_not_the_jobs(app: pq.App, run_jobs: RunJobs, backend: str) -> None:
    @app.task(name="work", retry=True)
    async def work() -> None:
        await anyio.sleep_forever()

    async def test() -> bool:
        await work.defer_async()
        with anyio.move_on_after(0.05) as scope:
            await run_jobs.run_async()
        return scope.cancelled_caught

    assert anyio.run(test, backend=backend)
    (job,) = run_jobs.harness.jobs()
    assert (job.state, job.attempt) == (pq.State.READY, 0)


def test_a_cancellation_that_a_job_raises_is_its_own(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work")
    async def work() -> None:
        raise asyncio.CancelledError

    work.defer()
    report = run_jobs(on_error="record")

    assert [type(run.error) for run in report.failed] == [asyncio.CancelledError]
