"""What becomes of runs that take too long, and of those that are told why they are to stop."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import pq_core as pq
from pq_core.worker.interruption import within
from pq_core.worker.run import Run

pytestmark = pytest.mark.anyio
Drain = Callable[..., Awaitable[None]]
Until = Callable[[Callable[[], object]], Awaitable[None]]
SHORT = 0.02


async def ended(memory: pq.InMemoryConnector, drain: Drain, task: Any, **options: Any) -> pq.Job:
    number = task.defer()
    await drain(**options)
    return memory.jobs[number]


async def test_an_async_task_is_cancelled_when_its_time_is_up(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    reasons: list[str | None] = []

    @app.task(timeout=SHORT, pass_context=True)
    async def wait(context: pq.JobContext) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            reasons.append(context.stop_reason)

    job = await ended(memory, drain, wait)
    assert (job.state, job.errors[0]["type"], reasons) == ("failed", "pq_core.errors.TaskTimedOut", ["timeout"])
    assert "timeout of 0:00:00.02" in job.errors[0]["message"]


async def test_a_timeout_is_an_error_that_the_retry_strategy_may_choose(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task(timeout=SHORT, retry=pq.RetryStrategy(max_attempts=2, retry_exceptions=TimeoutError))
    async def wait() -> None:
        await anyio.sleep_forever()

    job = await ended(memory, drain, wait)
    assert (job.state, job.attempt) == ("failed", 2)
    assert {error["type"] for error in job.errors} == {"pq_core.errors.TaskTimedOut"}


async def test_a_runner_whose_task_timed_out_runs_the_next_as_if_nothing_had_been(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task(timeout=SHORT)
    async def wait() -> None:
        await anyio.sleep_forever()

    @app.task
    async def fine() -> str:
        with anyio.fail_after(10):
            await anyio.lowlevel.checkpoint()
        return "fine"

    ids = [task.defer() for task in (wait, fine, wait, fine)]
    await drain(concurrency=1)
    assert [memory.jobs[number].state for number in ids] == ["failed", "succeeded"] * 2
    assert [memory.jobs[number].claim for number in ids] == [1] * 4


async def test_a_task_in_time_is_not_troubled(app: pq.App, memory: pq.InMemoryConnector, drain: Drain) -> None:
    @app.task(timeout={"minutes": 5}, pass_context=True)
    async def quick(context: pq.JobContext) -> str:
        await anyio.lowlevel.checkpoint()
        return str(context.stop_reason)

    job = await ended(memory, drain, quick)
    assert (job.state, job.result) == ("succeeded", "None")


async def test_what_a_task_raises_when_it_times_out_is_the_cause(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task(timeout=SHORT)
    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise KeyError("on the way out")

    job = await ended(memory, drain, wait)
    assert job.errors[0]["type"] == "pq_core.errors.TaskTimedOut"
    assert "KeyError: 'on the way out'" in job.errors[0]["traceback"]


async def test_a_task_may_decide_itself_what_its_timeout_means(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task(timeout=SHORT, pass_context=True)
    async def wait(context: pq.JobContext) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            if context.stop_reason == "timeout":
                context.snooze({"hours": 1})

    job = await ended(memory, drain, wait)
    assert (job.state, job.attempt) == ("scheduled", 0)


async def test_an_async_task_that_returns_in_spite_of_its_timeout_has_succeeded_and_a_warning_says_so(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(timeout=SHORT)
    async def stubborn() -> str:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return "all the same"

    job = await ended(memory, drain, stubborn)
    assert (job.state, job.result) == ("succeeded", "all the same")
    assert [record.levelno for record in caplog.records if record.action == "job_late"] == [logging.WARNING]


async def test_a_sync_task_that_asks_is_told_of_its_timeout_and_has_failed_with_it(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    reasons: list[str | None] = []

    @app.task(timeout=SHORT, pass_context=True)
    def work(context: pq.JobContext) -> str:
        while not context.should_stop():
            time.sleep(0.001)
        reasons.append(context.stop_reason)
        return "half of it"

    job = await ended(memory, drain, work)
    assert (job.state, job.errors[0]["type"], reasons) == ("failed", "pq_core.errors.TaskTimedOut", ["timeout"])


async def test_the_result_of_a_sync_task_that_never_asked_stands_and_a_warning_says_how_late_it_was(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(timeout=SHORT)
    def work() -> str:
        time.sleep(2 * SHORT)
        return "all of it"

    job = await ended(memory, drain, work)
    assert (job.state, job.result) == ("succeeded", "all of it")
    assert [record.action for record in caplog.records if "after its timeout" in record.getMessage()] == ["job_late"]


async def test_the_error_of_a_sync_task_that_never_asked_is_its_own(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task(timeout=SHORT)
    def work() -> None:
        time.sleep(2 * SHORT)
        raise KeyError("k")

    assert (await ended(memory, drain, work)).errors[0]["type"] == "KeyError"


async def test_to_look_at_the_reason_decides_nothing(app: pq.App, memory: pq.InMemoryConnector, drain: Drain) -> None:
    @app.task(timeout=SHORT, pass_context=True)
    def work(context: pq.JobContext) -> str | None:
        while context.stop_reason is None:
            time.sleep(0.001)
        return context.stop_reason

    job = await ended(memory, drain, work)
    assert (job.state, job.result) == ("succeeded", "timeout")


async def test_a_thread_that_an_async_task_has_started_may_ask_whether_to_stop(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task(timeout=SHORT, pass_context=True)
    async def work(context: pq.JobContext) -> None:
        def elsewhere() -> None:
            while not context.should_stop():
                time.sleep(0.001)

        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(elsewhere)

    assert (await ended(memory, drain, work)).errors[0]["type"] == "pq_core.errors.TaskTimedOut"


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_cancelled_job_learns_that_it_was(
    app: pq.App,
    memory: pq.InMemoryConnector,
    running: Callable[..., Any],
    until: Until,
    is_async: bool,
) -> None:
    reasons: list[str | None] = []
    started = threading.Event()

    async def wait(context: pq.JobContext) -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            reasons.append(context.stop_reason)

    def ask(context: pq.JobContext) -> None:
        started.set()
        while not context.should_stop():
            time.sleep(0.001)
        reasons.append(context.stop_reason)

    task: Any = app.task(name="task", pass_context=True, timeout=3600)(wait if is_async else ask)
    number = task.defer()
    async with running(lease=0.5):
        await until(started.is_set)
        app.jobs.cancel(number)
        await until(lambda: memory.jobs[number].ended)
    assert (memory.jobs[number].state, reasons) == ("cancelled", ["cancel"])


async def test_a_job_of_a_worker_that_ends_learns_that_it_does(
    app: pq.App, memory: pq.InMemoryConnector, running: Callable[..., Any], until: Until
) -> None:
    reasons: list[str | None] = []

    @app.task(timeout=3600, pass_context=True)
    async def wait(context: pq.JobContext) -> None:
        reasons.append(context.stop_reason)
        try:
            await anyio.sleep_forever()
        finally:
            reasons.append(context.stop_reason)

    number = wait.defer()
    async with running(graceful_timeout=0):
        await until(lambda: reasons)
    assert (memory.jobs[number].state, reasons) == ("ready", [None, "shutdown"])


@pytest.fixture
def run(memory: pq.InMemoryConnector) -> Run:
    """Give a run that can be interrupted, and whose time has come."""
    number = pq.App(connector=memory).configure_task("task").defer()
    run = Run(memory.jobs[number], since=0.0, interrupt=lambda: interruptions.append("now"), interruptible=True)
    run.give(0.0, lambda: 0.0)
    interruptions.clear()
    return run


interruptions: list[str] = []


async def test_a_run_that_has_ended_in_time_is_not_cut_off_while_its_end_is_written(run: Run) -> None:
    run.interruptible = False
    assert (run.time_out(), run.stop_asked) == (False, None)


async def test_the_first_reason_to_stop_counts(run: Run) -> None:
    run.stop("cancel")
    run.stop("shutdown")
    assert not run.time_out(), "it was cancelled before, and tidies up"
    assert (run.stop_reason(), interruptions) == ("cancel", ["now"])


async def test_a_timeout_stays_the_reason_when_the_worker_ends_meanwhile(run: Run) -> None:
    assert run.time_out()
    run.stop("shutdown")
    assert (run.stop_reason(), interruptions) == ("timeout", [])


async def test_a_timeout_of_a_task_that_was_in_time_leaves_nothing_behind() -> None:
    class Over:
        def __call__(self) -> bool:
            return True

    async def quick() -> str:
        await anyio.lowlevel.checkpoint()
        return "done"

    over = Over()
    left = weakref.ref(over)
    assert await within(3600, quick(), over) == "done"
    del over
    gc.collect()
    assert left() is None
