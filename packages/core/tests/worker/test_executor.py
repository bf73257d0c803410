"""What becomes of a job, by how its task ends."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import pq_core as pq
from pq_core.worker.executor import Executor
from pq_core.worker.journal import Journal
from pq_core.worker.run import Run
from pq_core.worker.threads import Threads

pytestmark = pytest.mark.anyio
Drain = Callable[..., Awaitable[None]]


async def test_what_a_task_returns_is_the_result(app: pq.App, memory: pq.InMemoryConnector, drain: Drain) -> None:
    @app.task
    async def add(a: int, b: int) -> dict[str, int]:
        return {"sum": a + b}

    @app.task
    def multiply(a: int, b: int) -> int:
        return a * b

    ids = [add.defer(2, b=3), multiply.defer(2, 3)]
    await drain()
    assert [(memory.jobs[number].state, memory.jobs[number].result) for number in ids] == [
        ("succeeded", {"sum": 5}),
        ("succeeded", 6),
    ]


async def test_sync_tasks_run_in_daemon_threads_as_many_at_once_as_the_concurrency(app: pq.App, drain: Drain) -> None:
    meeting = threading.Barrier(7, timeout=10)
    threads: list[threading.Thread] = []

    @app.task
    def meet() -> None:
        threads.append(threading.current_thread())
        meeting.wait()

    meet.batch_defer([{}] * 7)
    await drain(concurrency=7)
    assert len(set(threads)) == 7
    assert all(thread.daemon for thread in threads)


async def test_a_job_of_an_unknown_task_rests_and_is_not_failed(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, caplog: pytest.LogCaptureFixture
) -> None:
    number = app.configure_task("of_the_next_version").defer()
    before = datetime.now(UTC)
    await drain()
    job = memory.jobs[number]
    assert (job.state, job.attempt) == ("scheduled", 0)
    assert timedelta(seconds=9) < job.scheduled_at - before < timedelta(seconds=20)
    assert any(record.action == "task_unknown" for record in caplog.records)


@pytest.mark.parametrize("is_async", [True, False])
async def test_arguments_that_do_not_fit_fail_without_a_retry(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, is_async: bool
) -> None:
    def sync_task(a: int) -> None: ...

    async def async_task(a: int) -> None: ...

    task = app.task(name="task", retry=5)(async_task if is_async else sync_task)
    number = app.defer_many([pq.NewJob(task=task.name, args={"b": 1})])[0]
    await drain()
    assert (memory.jobs[number].state, memory.jobs[number].attempt) == ("failed", 1)
    assert memory.jobs[number].errors[0]["type"] == "TypeError"


async def test_a_type_error_inside_a_task_is_an_error_like_any_other(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task(retry=2)
    async def confuse(a: int) -> None:
        raise TypeError("inside")

    number = confuse.defer(1)
    await drain()
    assert (memory.jobs[number].state, memory.jobs[number].attempt) == ("failed", 2)


async def test_a_parameter_that_is_missing_and_positional_fails_the_job_without_a_retry(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task(retry=5, name="task")
    async def task(a: int, /) -> None: ...

    app.defer_many([pq.NewJob(task="task", args={"b": 1})])
    await drain()
    assert (memory.jobs[1].state, memory.jobs[1].attempt) == ("failed", 1)
    assert memory.jobs[1].errors[0]["type"] == "pq_core.errors.InvalidArguments"


async def test_wrong_arguments_of_another_job_that_a_task_defers_are_an_error_like_any_other(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task(retry=2)
    async def parent() -> None:
        parent.defer(nonsense=1)  # type: ignore[call-arg]

    parent.defer()
    await drain()
    assert (memory.jobs[1].state, memory.jobs[1].attempt) == ("failed", 2)


async def test_a_result_that_json_cannot_carry_fails_the_job(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task(retry=5)
    async def give() -> object:
        return object()

    number = give.defer()
    await drain()
    job = memory.jobs[number]
    assert (job.state, job.attempt, job.errors[0]["type"]) == ("failed", 1, "pq_core.errors.InvalidResult")


@pytest.mark.parametrize("fault", [RuntimeError("dictionary changed size during iteration"), SystemExit(3)], ids=repr)
async def test_a_result_whose_encoding_raises_fails_its_job_alone(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, fault: BaseException
) -> None:
    class Lazy(dict[str, int]):
        def items(self) -> Any:
            raise fault

    @app.task(retry=5)
    async def give() -> object:
        given.set()
        return Lazy(a=1)

    @app.task
    async def bystander() -> str:
        await given.wait()
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        return "unhurt"

    given = anyio.Event()
    ids = [bystander.defer(), give.defer()]
    await drain()
    unhurt, failed = (memory.jobs[number] for number in ids)
    assert (unhurt.state, unhurt.result, unhurt.claim) == ("succeeded", "unhurt", 1)
    assert (failed.state, failed.attempt, failed.claim) == ("failed", 1, 1)
    assert failed.errors[0]["type"] == "pq_core.errors.InvalidResult"
    assert str(fault) in failed.errors[0]["traceback"]


async def test_a_retry_may_move_a_job(app: pq.App, memory: pq.InMemoryConnector, drain: Drain) -> None:
    class Move(pq.BaseRetryStrategy):
        def get_retry_decision(self, exception: BaseException, job: pq.Job) -> pq.RetryDecision:
            assert isinstance(exception, KeyError)
            return pq.RetryDecision(retry_in={"hours": 1}, queue="slow", priority=-5, lock="l")

    @app.task(retry=Move())
    def fail() -> None:
        raise KeyError("k")

    number = fail.defer()
    before = datetime.now(UTC)
    await drain()
    job = memory.jobs[number]
    assert (job.state, job.queue, job.priority, job.lock, job.attempt) == ("scheduled", "slow", -5, "l", 1)
    assert timedelta(minutes=59) < job.scheduled_at - before < timedelta(minutes=61)
    assert job.errors[0]["message"] == "'k'"


async def test_a_retry_strategy_that_raises_fails_the_job_with_both_errors(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    class Broken(pq.BaseRetryStrategy):
        def get_schedule_in(self, attempts: int) -> float:
            raise ZeroDivisionError("in the strategy")

    @app.task(retry=Broken())
    def fail() -> None:
        raise KeyError("k")

    number = fail.defer()
    await drain()
    job = memory.jobs[number]
    assert (job.state, job.errors[0]["type"]) == ("failed", "KeyError")
    assert "ZeroDivisionError: in the strategy" in job.errors[0]["traceback"]


@pytest.mark.parametrize("fault", [ZeroDivisionError, SystemExit])
async def test_a_retry_strategy_that_raises_beside_an_exception_that_takes_no_notes_fails_the_job(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, fault: type[BaseException]
) -> None:
    class Broken(pq.BaseRetryStrategy):
        def get_schedule_in(self, attempts: int) -> float:
            raise fault

    class Frozen(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    @app.task(retry=Broken())
    async def fail() -> None:
        raise Frozen

    number = fail.defer()
    await drain()
    job = memory.jobs[number]
    assert (job.state, job.claim) == ("failed", 1)
    assert job.errors[0]["type"].endswith("Frozen")


async def test_what_the_executor_did_not_foresee_fails_the_job_alone(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Executor, "_after_return", broken)

    @app.task
    async def task() -> None: ...

    number = task.defer()
    await drain()
    job = memory.jobs[number]
    assert (job.state, job.claim, job.errors[0]["type"]) == ("failed", 1, "ZeroDivisionError")


async def test_a_log_filter_that_raises_changes_no_outcome(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    def refuse(_: logging.LogRecord) -> bool:
        raise ZeroDivisionError("in the filter")

    @app.task
    async def task() -> str:
        return "done"

    number = task.defer()
    logger = logging.getLogger("pq_core.worker")
    logger.addFilter(refuse_jobs := lambda record: not hasattr(record, "job") or refuse(record))
    try:
        await drain()
    finally:
        logger.removeFilter(refuse_jobs)
    assert (memory.jobs[number].state, memory.jobs[number].result) == ("succeeded", "done")


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, BaseException])
@pytest.mark.parametrize("is_async", [True, False])
async def test_no_exception_of_a_task_ends_the_worker(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, error: type[BaseException], is_async: bool
) -> None:
    def fail_sync() -> None:
        raise error("bang")

    async def fail_async() -> None:
        raise error("bang")

    @app.task
    async def after() -> None: ...

    ids = [app.task(name="fail")(fail_async if is_async else fail_sync).defer(), after.defer()]
    await drain(concurrency=1)
    assert [memory.jobs[number].state for number in ids] == ["failed", "succeeded"]
    assert "bang" in memory.jobs[ids[0]].errors[0]["traceback"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_cancels_its_own_asyncio_task_fails_and_leaves_no_mark_on_the_next(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task
    async def cancel_myself() -> None:
        here = asyncio.current_task()
        assert here
        here.cancel()
        await anyio.lowlevel.checkpoint()

    @app.task
    async def wait_with_a_timeout() -> int:
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
        here = asyncio.current_task()
        assert here
        return here.cancelling()

    ids = [cancel_myself.defer(), wait_with_a_timeout.defer()]
    await drain(concurrency=1)
    first, second = (memory.jobs[number] for number in ids)
    assert (first.state, first.errors[0]["type"]) == ("failed", "asyncio.exceptions.CancelledError")
    assert (second.state, second.result) == ("succeeded", 0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_cancels_its_asyncio_task_as_its_last_act_does_not_hurt_the_next(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task
    async def cancel_myself() -> str:
        here = asyncio.current_task()
        assert here
        here.cancel()
        return "done"

    @app.task
    async def wait() -> int:
        await asyncio.sleep(0)
        here = asyncio.current_task()
        assert here
        return here.cancelling()

    ids = [cancel_myself.defer(), wait.defer(), cancel_myself.defer(), wait.defer()]
    await drain(concurrency=1)
    assert [(memory.jobs[number].state, memory.jobs[number].result) for number in ids] == [
        ("succeeded", "done"),
        ("succeeded", 0),
    ] * 2
    assert {job.claim for job in memory.jobs.values()} == {1}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_a_job_leaves_behind_takes_no_slot_away(
    app: pq.App, memory: pq.InMemoryConnector, running: Any, until: Any
) -> None:
    kept: list[asyncio.Task[Any]] = []

    @app.task
    async def leave() -> None:
        here = asyncio.current_task()
        assert here
        kept.append(here)

    @app.task
    async def wait() -> str:
        await asyncio.sleep(0)
        return "done"

    async with running(concurrency=1):
        for _ in range(2):
            await leave.defer_async()
            await until(lambda: kept and all(job.state == "succeeded" for job in memory.jobs.values()))
            await anyio.wait_all_tasks_blocked()
            late = kept.pop()
            late.cancel()
            await until(late.done)
            number = await wait.defer_async()
            await until(lambda number=number: memory.jobs[number].ended)
            assert (memory.jobs[number].result, memory.jobs[number].claim) == ("done", 1)


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("left", ["a cancelled scope", "a deadline"])
async def test_a_cancel_scope_that_a_job_leaves_open_cuts_off_no_job_beside_it_and_takes_no_slot_away(
    app: pq.App,
    memory: pq.InMemoryConnector,
    running: Any,
    until: Any,
    caplog: pytest.LogCaptureFixture,
    *,
    waits: bool,
    left: str,
) -> None:
    scopes: list[anyio.CancelScope] = []
    over = anyio.Event()

    @app.task
    async def leave() -> None:
        if waits:
            await anyio.lowlevel.checkpoint()
        scope = anyio.CancelScope(deadline=anyio.current_time() + 0.02 if left == "a deadline" else float("inf"))
        scope.__enter__()
        scopes.append(scope)
        if left == "a cancelled scope":
            scope.cancel()

    @app.task
    async def beside() -> str:
        await over.wait()
        return "done"

    def running_now() -> int:
        return sum(job.state == "running" for job in memory.jobs.values())

    async with running(concurrency=2):
        first = await beside.defer_async()
        await until(lambda: running_now() == 1)
        culprit = await leave.defer_async()
        await until(lambda: memory.jobs[culprit].ended and "left a cancel scope open" in caplog.text)
        second = await beside.defer_async()
        await until(lambda: running_now() == 2)
        over.set()
        await until(lambda: memory.jobs[second].ended)
    assert [memory.jobs[number].state for number in (first, culprit, second)] == ["succeeded"] * 3
    assert memory.jobs[first].claim == 1


async def test_a_context_variable_of_one_job_is_not_seen_by_the_next(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    user = contextvars.ContextVar("user", default="nobody")

    @app.task
    async def act(name: str) -> list[str]:
        seen = [user.get()]
        user.set(name)
        await anyio.lowlevel.checkpoint()
        return [*seen, user.get()]

    @app.task
    def act_sync(name: str) -> list[str]:
        seen = [user.get()]
        user.set(name)
        return [*seen, user.get()]

    for task in (act, act_sync, act, act_sync):
        task.defer("ann")
    await drain(concurrency=1)
    assert [job.result for job in memory.jobs.values()] == [["nobody", "ann"]] * 4


async def test_a_job_knows_its_context(app: pq.App, memory: pq.InMemoryConnector, drain: Drain) -> None:
    @app.task(pass_context=True)
    async def look(context: pq.JobContext, a: int) -> list[Any]:
        assert pq.current_context() is context
        assert context.app is app
        return [context.job.id, context.task.name, context.worker_name, context.should_stop(), a]

    @app.task(pass_context=True, name="look_sync")
    def look_sync(context: pq.JobContext, a: int) -> list[Any]:
        assert pq.current_context() is context
        return [context.job.id, context.task.name, context.worker_name, context.should_stop(), a]

    look.defer(7)
    look_sync.defer(a=7)
    await drain(name="w")
    assert pq.current_context() is None
    assert [job.result for job in memory.jobs.values()] == [
        [1, look.name, "w", False, 7],
        [2, "look_sync", "w", False, 7],
    ]


@pytest.mark.parametrize(
    "keep, kept", [("all", {"good", "bad"}), ("failed", {"bad"}), ("none", set())], ids=["all", "failed", "none"]
)
@pytest.mark.parametrize("by_task", [True, False])
async def test_what_ended_is_kept_as_the_task_says_else_as_the_worker_says(
    app: pq.App, troubled: Any, keep: Any, kept: set[str], by_task: bool
) -> None:
    @app.task(name="good", keep=keep if by_task else None)
    async def good() -> None: ...

    @app.task(name="bad", keep=keep if by_task else None)
    async def bad() -> None:
        raise ValueError

    good.defer()
    bad.defer()
    await app.run_worker_async(wait=False, keep="all" if by_task else keep)
    assert {job.task for job in troubled.inner.jobs.values()} == kept


async def test_middleware_surrounds_each_run_the_apps_outermost(
    memory: pq.InMemoryConnector, anyio_backend: str
) -> None:
    steps: list[str] = []

    def tracing(name: str) -> Any:
        async def middleware(call_next: Any, context: pq.JobContext) -> Any:
            steps.append(f"{name} in, job {context.job.id}")
            result = await call_next()
            steps.append(f"{name} out")
            return [name, result]

        return middleware

    def sync_middleware(call_next: Any, context: pq.JobContext) -> Any:
        steps.append("sync")
        return ["sync", call_next()]

    app = pq.App(connector=memory, middleware=[tracing("app"), sync_middleware])

    @app.task(middleware=[tracing("outer"), tracing("inner")])
    async def task() -> str:
        steps.append("task")
        return "result"

    @app.task
    def sync_task() -> str:
        return "result"

    task.defer()
    sync_task.defer()
    await app.run_worker_async(wait=False, concurrency=1)
    assert memory.jobs[1].result == ["app", ["outer", ["inner", "result"]]]
    assert memory.jobs[2].result == ["sync", "result"]
    assert steps == [
        *["app in, job 1", "outer in, job 1", "inner in, job 1", "task", "inner out", "outer out", "app out"],
        "sync",
    ]


async def test_an_error_in_middleware_is_an_error_of_the_run(memory: pq.InMemoryConnector, anyio_backend: str) -> None:
    async def refuse(call_next: Any, context: pq.JobContext) -> None:
        raise PermissionError("no")

    app = pq.App(connector=memory, middleware=[refuse])

    @app.task(retry=2)
    async def task() -> None: ...

    task.defer()
    await app.run_worker_async(wait=False)
    assert (memory.jobs[1].state, memory.jobs[1].attempt) == ("failed", 2)
    assert memory.jobs[1].errors[0]["type"] == "PermissionError"


@pytest.mark.parametrize("allowed", [False, True])
async def test_arguments_are_logged_only_if_allowed(
    app: pq.App, drain: Drain, caplog: pytest.LogCaptureFixture, allowed: bool
) -> None:
    @app.task(retry=2, name="pay")
    async def pay(card: str) -> None:
        raise ValueError

    pay.defer("4111-1111")
    await drain(log_arguments=allowed)
    records = [record for record in caplog.records if record.name == "pq_core.worker"]
    assert {"job_started", "job_retried", "job_failed"} <= {record.action for record in records}
    shown = [f"{record.getMessage()} {vars(record)}" for record in records if hasattr(record, "job")]
    assert any("pay[1](card=" in line for line in shown)
    assert any("4111-1111" in line for line in shown) is allowed


async def test_the_executor_needs_no_store(anyio_backend: str) -> None:
    app = pq.App(connector=pq.InMemoryConnector())

    @app.task(name="double")
    async def double(n: int) -> int:
        return 2 * n

    moment = datetime.now(UTC)
    job = pq.Job(
        id=5, task="double", args={"n": 4}, queue="q", priority=0, lock=None, lock_mode="ordered", attempt=1, claim=3,
        state=pq.State.RUNNING, losses=0, max_losses=3, scheduled_at=moment, created_at=moment,
    )  # fmt: skip
    executor = Executor(app, worker_name="w", keep="all", threads=Threads(), journal=Journal("w"))
    outcome = await executor.execute(Run(job, 0.0))
    assert (outcome.job_id, outcome.claim, outcome.kind, outcome.result) == (5, 3, "succeeded", "8")


async def test_nothing_is_formatted_when_nobody_listens(
    app: pq.App, drain: Drain, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.CRITICAL, logger="pq_core")
    monkeypatch.setattr("pq_core.worker.journal.call_text", lambda *_, **__: pytest.fail("formatted"))

    @app.task(retry=2)
    async def fail() -> None:
        raise ValueError

    fail.defer()
    await drain()
