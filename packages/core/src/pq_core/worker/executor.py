"""From a run to its outcome: calls the task, and decides what its end means. Knows no connector."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

import anyio
import anyio.lowlevel
import attrs

from pq_core.clock import Clock, utc_now
from pq_core.context import CURRENT, Host, JobContext, Keep, RunnableTask
from pq_core.errors import InvalidArguments, InvalidResult, TaskNotFound
from pq_core.job import Job
from pq_core.middleware import surround
from pq_core.outcome import Outcome, describe
from pq_core.worker.interruption import everything_is_cancelled
from pq_core.worker.isolation import isolated
from pq_core.worker.journal import Journal
from pq_core.worker.run import Run

UNKNOWN_TASK_DELAY = timedelta(seconds=10)
"""How long a job rests whose task this worker does not know, so that a worker that does may come by."""


Driven = Coroutine[Any, Any, Any]
Drive = Callable[[Run, Driven], Driven]


@attrs.frozen(kw_only=True, eq=False)
class Plan:
    """How to run one task."""

    task: RunnableTask
    call: Callable[..., Any]
    is_async: bool
    pass_context: bool
    keep_success: bool
    keep_failure: bool


class CallsFunctions(Protocol):
    """Where sync tasks are called."""

    async def run(self, function: Callable[[], Any]) -> Any:
        """Call `function`; return what it returns, raise what it raises."""
        ...


class Executor:
    """Runs jobs. One per worker; it lives in the worker's event loop.

    Args:
        app: whose jobs.
        worker_name: what jobs are told that their worker is called.
        keep: which ended jobs stay in the history, unless their task says otherwise.
        threads: where sync tasks are called.
        journal: is told of starts and ends.
        clock: tells the time to retry strategies that name a moment.
        drive: stands between an async job and the event loop: is given the coroutine, and returns what is run for it.
    """

    def __init__(
        self,
        app: Host,
        *,
        worker_name: str,
        keep: Keep,
        threads: CallsFunctions,
        journal: Journal,
        clock: Clock = utc_now,
        drive: Drive | None = None,
    ) -> None:
        self._app = app
        self._worker_name = worker_name
        self._keep: Keep = keep
        self._threads = threads
        self._journal = journal
        self._clock = clock
        self._drive = drive
        self._plans: dict[str, Plan] = {}
        self._cancelled = anyio.get_cancelled_exc_class()

    async def execute(self, run: Run) -> Outcome:
        """Run a job; return what became of it. Raises nothing but the cancellation of the worker itself."""
        try:
            return await self._execute(run)
        except BaseException as error:
            if isinstance(error, self._cancelled) and everything_is_cancelled():
                raise
            return self._unforeseen(run, error)

    async def _execute(self, run: Run) -> Outcome:
        job = run.job
        try:
            plan = self._plans.get(job.task) or self._plan(job.task)
        except TaskNotFound:
            self._journal.task_unknown(job, UNKNOWN_TASK_DELAY)
            return Outcome.released(job, UNKNOWN_TASK_DELAY)
        self._journal.started(job)
        try:
            arguments = plan.task.unbind(_readable(job).args)
        except Exception as error:  # noqa: BLE001 - whatever it is, another run would meet it too
            return self._failed(plan, run, error)
        try:
            result = await self._call(plan, run, *arguments)
        except BaseException as error:  # noqa: BLE001 - tasks may raise what they like
            asked_to = run.stop_asked is not None and plan.is_async
            if not asked_to and everything_is_cancelled():
                await anyio.lowlevel.checkpoint()  # raises the worker's cancellation, whatever the task made of it
            return self._after_error(plan, run, error)
        return self._after_return(plan, run, result)

    def _plan(self, name: str) -> Plan:
        task: RunnableTask = self._app.tasks[name]
        keep = task.keep or self._keep
        plan = self._plans[name] = Plan(
            task=task,
            call=surround(task.func, self._app.middleware, task.middleware, is_async=task.is_async),
            is_async=task.is_async,
            pass_context=task.pass_context,
            keep_success=keep == "all",
            keep_failure=keep != "none",
        )
        return plan

    async def _call(self, plan: Plan, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        context = JobContext(job=run.job, task=plan.task, app=self._app, worker_name=self._worker_name, run=run)
        surroundings = copy_context()
        surroundings.run(CURRENT.set, context)
        if plan.pass_context:
            args = (context, *args)
        if not plan.is_async:
            return await self._threads.run(partial(surroundings.run, plan.call, context, args, kwargs))
        awaitable = surroundings.run(plan.call, context, args, kwargs)
        coroutine: Driven = awaitable if inspect.iscoroutine(awaitable) else _awaiting(awaitable)
        if self._drive is not None:
            coroutine = self._drive(run, coroutine)
        run.interruptible = True
        try:
            return await isolated(coroutine, surroundings)
        finally:
            run.interruptible = False

    def _after_return(self, plan: Plan, run: Run, result: Any) -> Outcome:
        if run.stop_seen:
            return self._stopped(plan, run)
        try:
            outcome = Outcome.succeeded(run.job, result, keep=plan.keep_success)
        except BaseException as error:  # noqa: BLE001 - encoding runs methods of the result, which is the user's
            return self._failed(plan, run, error if isinstance(error, InvalidResult) else _unencodable(result, error))
        self._journal.succeeded(run)
        return outcome

    def _after_error(self, plan: Plan, run: Run, error: BaseException) -> Outcome:
        if run.stop_seen or (run.stop_asked is not None and plan.is_async):
            return self._stopped(plan, run)
        if isinstance(error, TypeError) and not _fits(plan, run.job):
            return self._failed(plan, run, error)
        try:
            return self._retried(plan, run, error) or self._failed(plan, run, error)
        except BaseException as fault:  # noqa: BLE001 - a strategy is the user's code
            what = describe(fault, run.job.attempt)
            with suppress(Exception):  # exceptions may refuse notes, as frozen ones do
                error.add_note(f"The retry strategy of {plan.task.name} failed too: {what['type']}: {what['message']}")
            return self._failed(plan, run, error)

    def _retried(self, plan: Plan, run: Run, error: BaseException) -> Outcome | None:
        strategy = plan.task.retry
        decision = None if strategy is None else strategy.get_retry_decision(exception=error, job=run.job)
        if decision is None:
            return None
        outcome = Outcome.retried(
            run.job,
            error,
            delay=decision.delay(self._clock()),
            queue=decision.queue,
            priority=decision.priority,
            lock=decision.lock,
        )
        self._journal.retried(run, error, outcome.delay)
        return outcome

    def _failed(self, plan: Plan, run: Run, error: BaseException) -> Outcome:
        self._journal.failed(run, error)
        return Outcome.failed(run.job, error, keep=plan.keep_failure)

    def _unforeseen(self, run: Run, error: BaseException) -> Outcome:
        """Fail the job alone: whatever it has broken, the jobs beside it must not be cut off for it."""
        self._journal.failed(run, error)
        return Outcome.failed(run.job, error)

    def _stopped(self, plan: Plan, run: Run) -> Outcome:
        # Released in both cases: the store ends a job with a cancel request as cancelled, for the request's own reason.
        self._journal.stopped(run)
        return attrs.evolve(Outcome.released(run.job), keep=plan.keep_success)


def _readable(job: Job) -> Job:
    if job.unreadable:
        raise InvalidArguments(job.unreadable, field="args")
    return job


def _unencodable(result: object, reason: BaseException) -> InvalidResult:
    error = InvalidResult(
        f"a {type(result).__qualname__} could not be encoded as JSON: {type(reason).__name__} was raised"
    )
    error.__cause__ = reason
    return error


async def _awaiting(awaitable: Any) -> Any:
    return await awaitable


def _fits(plan: Plan, job: Job) -> bool:
    """Return whether the task can be called with the job's arguments at all."""
    args, kwargs = plan.task.unbind(job.args)
    try:
        inspect.signature(plan.task.func).bind(*((None, *args) if plan.pass_context else args), **kwargs)
    except TypeError:
        return False
    except ValueError:  # a function that shows no signature
        return True
    return True
