"""What hooks are told of, and what becomes of their own errors."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

import anyio
import pytest

import pq_core as pq
from pq_core import events
from pq_core.connector import WorkerInfo
from pq_core.events import Event, Hooks
from pq_core.outcome import Outcome

pytestmark = pytest.mark.anyio
Drain = Callable[..., Awaitable[None]]
Until = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
def told(app: pq.App) -> list[Any]:
    """All events that the app is told of."""
    seen: list[Any] = []
    app.on(Event)(seen.append)
    return seen


def names(told: list[Any]) -> list[str]:
    return [type(each).__name__ for each in told]


async def test_a_run_that_succeeds_is_told_of_between_the_coming_and_the_going_of_its_worker(
    app: pq.App, told: list[Any], drain: Drain
) -> None:
    @app.task
    async def task() -> None: ...

    number = task.defer()
    await drain(name="w")
    assert names(told) == ["WorkerStarted", "JobStarted", "JobSucceeded", "WorkerStopped"]
    assert {each.worker for each in told} == {"w"}
    assert told[0].worker_id == told[-1].worker_id > 0
    assert (told[1].job.id, told[1].job.state) == (number, "running")
    assert 0 < told[2].seconds < 10


async def test_each_end_of_a_run_has_its_event(app: pq.App, told: list[Any], drain: Drain) -> None:
    first, last = ValueError("first"), ValueError("last")

    @app.task(name="fails", retry=2, pass_context=True)
    async def fails(context: pq.JobContext) -> None:
        raise first if context.job.attempt == 1 else last

    @app.task(name="snoozes", pass_context=True)
    def snoozes(context: pq.JobContext) -> None:
        context.snooze(60)

    @app.task(name="cancels", pass_context=True)
    async def cancels(context: pq.JobContext) -> None:
        context.cancel("not needed")

    @app.task(name="retries", pass_context=True)
    async def retries(context: pq.JobContext) -> None:
        context.retry(schedule_in=60)

    for task in (fails, snoozes, cancels, retries):
        task.defer()
    app.configure_task("unknown").defer()
    await drain(concurrency=1)
    ends: dict[str, Any] = {each.job.task: each for each in told if isinstance(each, events.RunEnded)}
    retried = next(each for each in told if isinstance(each, events.JobRetried) and each.job.task == "fails")
    assert (retried.error, retried.delay) == (first, timedelta(0))
    assert (type(ends["fails"]), ends["fails"].error) == (events.JobFailed, last)
    assert (type(ends["snoozes"]), ends["snoozes"].delay) == (events.JobSnoozed, timedelta(minutes=1))
    assert (type(ends["cancels"]), ends["cancels"].reason) == (events.JobCancelled, "not needed")
    assert (type(ends["retries"]), ends["retries"].error) == (events.JobRetried, None)
    assert (type(ends["unknown"]), ends["unknown"].delay) == (events.JobReleased, timedelta(seconds=10))


async def test_a_job_that_is_stopped_is_told_of_as_cancelled_or_as_released(
    app: pq.App, told: list[Any], running: Any, until: Until
) -> None:
    @app.task
    async def wait() -> None:
        await anyio.sleep_forever()

    cancelled = wait.defer()
    async with running(graceful_timeout=0, lease=0.3):
        await until(lambda: "JobStarted" in names(told))
        app.jobs.cancel([cancelled])
        await until(lambda: "JobCancelled" in names(told))
        wait.defer()
        await until(lambda: names(told).count("JobStarted") == 2)
    assert [each.reason for each in told if isinstance(each, events.JobCancelled)] == [None]
    assert names(told)[-2:] == ["JobReleased", "WorkerStopped"]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_run_that_its_worker_does_not_wait_for_is_told_of(
    app: pq.App, told: list[Any], until: Until, is_async: bool
) -> None:
    go = threading.Event()

    @app.task(name="again")
    async def again() -> None:
        await anyio.sleep_forever()

    @app.task(name="once", delivery="at_most_once")
    def once() -> None:
        go.wait(10)

    (again if is_async else once).defer()
    worker = pq.Worker(app, install_signal_handlers=False)
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run_async)
        await until(lambda: "JobStarted" in names(told))
        group.cancel_scope.cancel()
    go.set()
    assert names(told)[2:] == ["JobReleased" if is_async else "JobFailed", "WorkerStopped"]
    if not is_async:
        assert type(told[2].error) is pq.WorkerLost


async def test_an_outcome_that_comes_too_late_is_told_of(
    app: pq.App, memory: pq.InMemoryConnector, told: list[Any], drain: Drain
) -> None:
    @app.task(pass_context=True)
    async def lose(context: pq.JobContext) -> None:
        job = context.job
        await memory.finish([Outcome.cancelled(job, "by somebody else")])

    number = lose.defer()
    await drain()
    lost = next(each for each in told if isinstance(each, events.OutcomeLost))
    assert (lost.job_id, lost.claim, lost.kind) == (number, 1, "succeeded")


async def test_the_worker_that_finds_a_job_lost_for_good_tells_of_its_failure(
    app: pq.App, memory: pq.InMemoryConnector, told: list[Any], running: Any, until: Until
) -> None:
    numbers = app.defer_many([pq.NewJob(task="deadly", max_losses=1), pq.NewJob(task="mild", max_losses=2)])
    for dead in (7, 8):
        await memory.heartbeat(WorkerInfo(id=dead), timedelta(minutes=1))
        assert len((await memory.fetch(dead, None, 1)).jobs) == 1
        await memory.heartbeat(WorkerInfo(id=dead), timedelta(0))
    async with running(lease=0.1, name="heir"):
        await until(lambda: "JobFailed" in names(told))
    failed = [each for each in told if isinstance(each, events.JobFailed)]
    assert [(each.job.id, each.worker, type(each.error), str(each.error)) for each in failed] == [
        (numbers[0], "heir", pq.WorkerLost, "worker 7 was lost")
    ]
    assert failed[0].job.state == "failed"


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(3)])
async def test_a_hook_that_raises_is_logged_and_costs_neither_the_job_nor_the_other_hooks(
    app: pq.App,
    memory: pq.InMemoryConnector,
    drain: Drain,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    seen: list[Event] = []

    @app.on(events.JobStarted, events.JobSucceeded)
    def break_down(event: Event) -> None:
        raise error

    app.on(events.JobSucceeded)(seen.append)

    @app.task
    async def task() -> str:
        return "done"

    number = task.defer()
    await drain()
    assert memory.jobs[number].result == "done"
    assert names(seen) == ["JobSucceeded"]
    complaints = [record for record in caplog.records if getattr(record, "action", "") == "hook_failed"]
    assert [(each.levelno, each.event) for each in complaints] == [  # type: ignore[attr-defined]
        (logging.ERROR, "JobStarted"),
        (logging.ERROR, "JobSucceeded"),
    ]
    assert "break_down was told of JobStarted, and raised" in complaints[0].getMessage()


async def test_nothing_is_made_of_what_nobody_listens_to(
    app: pq.App, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Event] = []
    monkeypatch.setattr(Hooks, "tell", lambda self, event: made.append(event))

    @app.task
    async def task() -> None: ...

    app.on(events.JobFailed)(print)
    task.defer()
    await drain()
    assert made == []


async def test_hooks_are_called_in_the_order_in_which_they_were_added(app: pq.App, drain: Drain) -> None:
    calls: list[str] = []
    app.on(events.JobEvent)(lambda _: calls.append("all"))
    app.on(events.JobSucceeded)(lambda _: calls.append("success"))
    app.on(events.RunEnded, events.JobStarted)(lambda _: calls.append("two"))

    @app.task
    async def task() -> None: ...

    task.defer()
    await drain()
    assert calls == ["all", "two", "all", "success", "two"]


@pytest.mark.parametrize("seconds", [None, 5], ids=["simple", "with a timeout"])
async def test_what_hooks_set_in_context_variables_is_seen_by_the_job_that_starts_and_by_no_other(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, seconds: int | None
) -> None:
    start, end = (contextvars.ContextVar(name, default="unset") for name in ("start", "end"))
    app.on(events.JobStarted)(lambda event: event.job.task == "marked" and start.set("marked"))
    app.on(events.RunEnded)(lambda _: end.set("marked"))

    async def look() -> tuple[str, str]:
        return start.get(), end.get()

    for name in ("marked", "bare"):
        app.task(name=name, timeout=seconds)(look)
    app.defer_many([pq.NewJob(task=name) for name in ("marked", "bare", "marked", "bare")])
    await drain(concurrency=1)
    assert [job.result for job in memory.jobs.values()] == [["marked", "unset"], ["unset", "unset"]] * 2


async def _coroutine(event: Event) -> None: ...


def _generator(event: Event) -> Any:
    yield


@pytest.mark.parametrize("function", [_coroutine, _generator, None, "name"])
def test_what_cannot_be_called_there_and_then_is_no_hook(app: pq.App, function: Any) -> None:
    with pytest.raises(pq.InvalidOption, match="cannot be told of an event"):
        app.on(events.JobFailed)(function)


@pytest.mark.parametrize("kind", [ValueError, "JobFailed", None, events.Hooks])
def test_what_is_no_event_cannot_be_listened_to(app: pq.App, kind: Any) -> None:
    with pytest.raises(pq.InvalidOption, match="is no event; events are WorkerStarted, WorkerStopped, JobStarted"):
        app.on(kind)(print)


def test_a_decorator_without_its_call_is_refused_where_it_stands(app: pq.App) -> None:
    def hear(event: Event) -> None: ...

    with pytest.raises(pq.InvalidOption, match="is no event"):
        app.on(hear)  # type: ignore[arg-type, type-var] # pyright: ignore[reportArgumentType]


def test_nothing_is_listened_to_if_one_of_several_is_no_event(app: pq.App) -> None:
    with pytest.raises(pq.InvalidOption, match="is no event"):
        app.on(events.JobFailed, cast("Any", int))(print)
    assert app.hooks.functions == {}


async def test_a_hook_that_is_given_an_event_and_its_base_is_told_once(app: pq.App, drain: Drain) -> None:
    seen: list[Any] = []
    app.on(events.JobSucceeded, events.RunEnded, events.JobSucceeded)(seen.append)

    @app.task
    async def task() -> None: ...

    task.defer()
    await drain()
    assert len(seen) == 1


def test_to_listen_to_nothing_is_refused(app: pq.App) -> None:
    with pytest.raises(pq.InvalidOption, match="names no event"):
        app.on()
