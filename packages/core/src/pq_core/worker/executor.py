"""From a run to its outcome: calls the task, and decides what its end means. Knows no connector."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import Context, copy_context
from datetime import timedelta
from functools import partial
from time import monotonic
from types import CoroutineType
from typing import Any, Protocol

import anyio
import anyio.lowlevel
import attrs

from pq_core.clock import Clock, utc_now
from pq_core.context import CURRENT, Host, JobContext, Keep
from pq_core.errors import InvalidResult, RetryRequested, TaskFailed, TaskNotFound, TaskTimedOut
from pq_core.fact import fact_of
from pq_core.outcome import MAX_RESULT, Outcome, Progress, describe
from pq_core.retry import RetryDecision
from pq_core.verdicts import Cancel, Retry, Snooze, Verdict, verdict_in
from pq_core.worker.cut_short import runs_once, the_end
from pq_core.worker.interruption import everything_is_cancelled, within
from pq_core.worker.isolation import isolated, resumed
from pq_core.worker.journal import Journal
from pq_core.worker.plan import Arguments, Plan, make_plan
from pq_core.worker.run import Run
from pq_core.worker.transactional import Ended, Transactions

UNKNOWN_TASK_DELAY = timedelta(seconds=10)
"""How long a job rests whose task this worker does not know, so that a worker that does may come by."""


Driven = Coroutine[Any, Any, Any]
_COROUTINE: Any = CoroutineType  # Any, so that what is tested for it stays what it was
Drive = Callable[[Run, Driven], Driven]


class CallsFunctions(Protocol):
    """Where sync tasks are called."""

    async def run(self, function: Callable[[], Any]) -> Any:
        """Call `function`; return what it returns, raise what it raises."""
        ...


class RunsElsewhere(Protocol):
    """Where the tasks run that want a process of their own."""

    async def run(self, run: Run, seconds: float | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a job there, for so long at most; return what its task returns, raise what it raises."""
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
        state: what jobs find in their context, besides.
        max_result: bytes of JSON that a result may have.
        timer: tells the time to timeouts, in seconds.
        drive: stands between an async job and the event loop: is given the coroutine, and returns what is run for it.
        transactions: begins and ends those of transactional jobs.
        processes: where the tasks run that want a process of their own; None: they run as other sync tasks do.
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
        max_result: int = MAX_RESULT,
        timer: Callable[[], float] = monotonic,
        drive: Drive | None = None,
        state: Any = None,
        transactions: Transactions | None = None,
        processes: RunsElsewhere | None = None,
    ) -> None:
        self._app = app
        self._worker_name = worker_name
        self._keep: Keep = keep
        self._threads = threads
        self._journal = journal
        self._clock = clock
        self._max_result = max_result
        self._timer = timer
        self._drive = drive
        self._state = state
        self._transactions = transactions
        self._processes = processes
        self._plans: dict[str, Plan] = {}
        self._cancelled = anyio.get_cancelled_exc_class()

    async def execute(self, run: Run) -> Outcome:
        """Run a job; return what became of it. Raises nothing but the cancellation of the worker itself."""
        answer = self.begin(run)
        return answer if isinstance(answer, Outcome) else await answer

    def begin(self, run: Run) -> Outcome | Awaitable[Outcome]:
        """Start a job; return what became of it, or what is to be awaited for that: most tiny jobs wait for nothing."""
        plan = self._plans.get(run.job.task)
        if (
            plan is None
            or not plan.is_simple
            or plan.version != run.job.version
            or run.job.unreadable is not None
            or self._drive is not None
        ):
            return self._to_the_end(run, self._execute(run))
        try:
            answer = self._begin_simply(plan, run)
        except BaseException as error:  # noqa: BLE001 - no other job shall be hurt
            return self._unforeseen(run, error)
        if isinstance(answer, Outcome):
            return answer if run.progress is None else _with_progress(answer, run)
        return self._to_the_end(run, answer)

    async def _to_the_end(self, run: Run, work: Awaitable[Outcome]) -> Outcome:
        try:
            outcome = await work
            return outcome if run.progress is None else _with_progress(outcome, run)
        except BaseException as error:
            if isinstance(error, self._cancelled) and everything_is_cancelled():
                self._journal.cut_short(run)
                raise
            return self._unforeseen(run, error)

    def _begin_simply(self, plan: Plan, run: Run) -> Outcome | Awaitable[Outcome]:
        """Do what `_execute` does, for a job of a simple plan: the same with less in between."""
        surroundings = copy_context()
        self._journal.started(run.job, surroundings)
        context = self._context(plan, run)
        if not plan.is_async:
            start: Callable[..., Any] = surroundings.run
            work = self._in_thread(run, partial(start, _call, plan.call, context, run.job.args))
            return self._end_of(plan, run, work)
        try:
            coroutine, got = surroundings.run(_first_step, plan.call, context, run.job.args)
        except BaseException as error:  # noqa: BLE001 - tasks may raise what they like
            return self._end_of(plan, run, _raising(error))
        if coroutine is None:
            return self._after_return(plan, run, got)
        run.waited = True
        return self._end_of(plan, run, self._in_loop(run, resumed(coroutine, got, surroundings)))

    async def _end_of(self, plan: Plan, run: Run, work: Awaitable[Any]) -> Outcome:
        try:
            result = await work
        except BaseException as error:  # noqa: BLE001 - as above
            return await self._after_raise(plan, run, error, ((), run.job.args))
        return self._after_return(plan, run, result)

    async def _execute(self, run: Run) -> Outcome:
        job = run.job
        try:
            plan = self._plans.get(job.task) or self._plan(job.task)
        except TaskNotFound:
            self._journal.task_unknown(job, UNKNOWN_TASK_DELAY)
            return Outcome.released(job, UNKNOWN_TASK_DELAY)
        if job.version > plan.version:
            self._journal.version_unknown(job, plan.version, UNKNOWN_TASK_DELAY)
            return Outcome.released(job, UNKNOWN_TASK_DELAY)
        if plan.runs_once and not runs_once(job):
            # Deferred before the task was declared so: the store must know it before the run, or would run it again.
            return attrs.evolve(Outcome.released(job), delivery="at_most_once")
        surroundings = copy_context()
        self._journal.started(job, surroundings)
        try:
            arguments = plan.arguments(job)
        except Exception as error:  # noqa: BLE001 - whatever it is, another run would meet it too
            return self._failed(plan, run, error)
        try:
            result = await self._call(plan, run, surroundings, *arguments)
        except BaseException as error:  # noqa: BLE001 - tasks may raise what they like
            return await self._after_raise(plan, run, error, arguments)
        return self._after_return(plan, run, result)

    async def _after_raise(self, plan: Plan, run: Run, error: BaseException, arguments: Arguments) -> Outcome:
        asked_to = run.stop_asked is not None and plan.is_async
        if not asked_to and everything_is_cancelled():
            await anyio.lowlevel.checkpoint()  # raises the worker's cancellation, whatever the task made of it
        return self._after_error(plan, run, error, arguments)

    def _plan(self, name: str) -> Plan:
        made = self._plans[name] = make_plan(self._app, name, self._keep)
        return made

    async def _call(
        self, plan: Plan, run: Run, surroundings: Context, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        context = self._context(plan, run)
        surroundings.run(CURRENT.set, context)
        if plan.timeout is not None:
            run.give(plan.timeout, self._timer)
        if plan.own_process and self._processes is not None:
            return await self._processes.run(run, plan.timeout, args, kwargs)
        call = partial(self._in_transaction, run, plan) if plan.transactional else plan.call
        if not plan.is_async:
            return await self._in_thread(run, partial(surroundings.run, partial(call, context, args, kwargs)))
        awaitable = surroundings.run(call, context, args, kwargs)
        coroutine: Driven = awaitable if isinstance(awaitable, _COROUTINE) else _awaiting(awaitable)
        if self._drive is not None:
            coroutine = self._drive(run, coroutine)
        work = isolated(coroutine, surroundings)
        return await self._in_loop(run, work if plan.timeout is None else within(plan.timeout, work, run.time_out))

    async def _in_loop(self, run: Run, work: Awaitable[Any]) -> Any:
        run.interruptible = True
        try:
            return await work
        finally:
            run.interruptible = False

    async def _in_thread(self, run: Run, function: Callable[[], Any]) -> Any:
        run.waited = True
        return await self._threads.run(function)

    def _context(self, plan: Plan, run: Run) -> JobContext:
        fields: dict[str, Any] = {
            "job": run.job,
            "task": plan.task,
            "app": self._app,
            "worker_name": self._worker_name,
            "state": self._state,
            "_run": run,
        }
        return fact_of(JobContext, fields)

    def _in_transaction(
        self, run: Run, plan: Plan, context: JobContext, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call the task in a transaction; return an `Ended`, to be awaited if the task is."""
        assert self._transactions is not None  # noqa: S101 - who runs jobs of an app gives them, if its connector can

        def perform(connection: Any) -> Any:
            own = attrs.evolve(context, connection=connection)
            CURRENT.set(own)
            return plan.call(own, args, kwargs)

        def conclude(result: Any) -> Outcome | None:
            return None if run.stop_seen else self._success(plan, run, result)

        begin = self._transactions.run_async if plan.is_async else self._transactions.run
        return begin(run, perform, conclude)

    def _after_transaction(self, plan: Plan, run: Run, ended: Ended) -> Outcome:
        if ended.undone is not None:
            self._journal.undone(run.job, ended.undone)
        if ended.error is not None:
            return self._failed(plan, run, _unstorable(ended.result, ended.error))
        if ended.outcome is None:
            return self._stopped(plan, run, None)
        if ended.outcome.written:
            self._journal.succeeded(run)
        elif ended.outcome.written is False:
            self._journal.lost(run.job.id, run.job.claim, ended.outcome.kind)
        return ended.outcome

    def _after_return(self, plan: Plan, run: Run, result: Any) -> Outcome:
        if isinstance(result, Ended):
            return self._after_transaction(plan, run, result)
        if run.stop_seen:
            return self._stopped(plan, run, None)
        try:
            outcome = self._success(plan, run, result)
        except BaseException as error:  # noqa: BLE001 - encoding runs methods of the result, which is the user's
            return self._failed(plan, run, _unstorable(result, error))
        self._journal.succeeded(run)
        return outcome

    def _success(self, plan: Plan, run: Run, result: Any) -> Outcome:
        kept = result if plan.store_result else None
        outcome = Outcome.succeeded(run.job, kept, keep=plan.keep_success, most=self._max_result)
        return outcome if run.progress is None else _with_progress(outcome, run)

    def _after_error(self, plan: Plan, run: Run, error: BaseException, arguments: Arguments) -> Outcome:
        verdict = verdict_in(error)
        if verdict is not None:
            return self._as_said(plan, run, verdict)
        if run.stop_seen or (run.stop_asked is not None and plan.is_async):
            return self._stopped(plan, run, error)
        unfit = isinstance(error, TypeError) and not plan.fits(arguments)
        if unfit or (plan.own_process and isinstance(error, InvalidResult)):
            return self._failed(plan, run, error)
        return self._by_strategy(plan, run, error)

    def _as_said(self, plan: Plan, run: Run, verdict: Verdict) -> Outcome:
        """Return the outcome that the task has asked for itself, even if it was to stop."""
        if isinstance(verdict, Retry):
            error = _in_place_of(verdict, RetryRequested(verdict.why))
            return self._retried(run, error, verdict.decision, asked_for=True)
        if isinstance(verdict, Snooze):
            outcome = Outcome.snoozed(run.job, verdict.decision.delay(self._clock()))
            self._journal.snoozed(run, outcome.delay)
            return outcome
        if isinstance(verdict, Cancel):
            outcome = Outcome.cancelled(run.job, verdict.why, keep=plan.keep_success)
            self._journal.cancelled(run, verdict.why)
            return outcome
        return self._failed(plan, run, _in_place_of(verdict, TaskFailed(str(verdict))))

    def _by_strategy(self, plan: Plan, run: Run, error: BaseException) -> Outcome:
        strategy = None if runs_once(run.job) else plan.task.retry
        try:
            decision = None if strategy is None else strategy.get_retry_decision(exception=error, job=run.job)
            return self._failed(plan, run, error) if decision is None else self._retried(run, error, decision)
        except BaseException as fault:  # noqa: BLE001 - a strategy is the user's code
            what = describe(fault, run.job.attempt)
            with suppress(Exception):  # exceptions may refuse notes, as frozen ones do
                error.add_note(f"The retry strategy of {plan.task.name} failed too: {what['type']}: {what['message']}")
            return self._failed(plan, run, error)

    def _retried(self, run: Run, error: BaseException, decision: RetryDecision, *, asked_for: bool = False) -> Outcome:
        outcome = Outcome.retried(
            run.job,
            error,
            delay=decision.delay(self._clock()),
            queue=decision.queue,
            priority=decision.priority,
            lock=decision.lock,
        )
        self._journal.retried(run, None if asked_for else error, outcome.delay)
        return outcome

    def _failed(self, plan: Plan, run: Run, error: BaseException) -> Outcome:
        self._journal.failed(run, error)
        return Outcome.failed(run.job, error, keep=plan.keep_failure)

    def _unforeseen(self, run: Run, error: BaseException) -> Outcome:
        """Fail the job alone: whatever it has broken, the jobs beside it must not be cut off for it."""
        self._journal.failed(run, error)
        return Outcome.failed(run.job, error)

    def _stopped(self, plan: Plan, run: Run, error: BaseException | None) -> Outcome:
        """Return the outcome of a run that has ended because it was to stop; `error` is what it raised then."""
        if run.stop_asked == "timeout":
            timed_out = TaskTimedOut(f"the run took longer than the task's timeout of {plan.task.timeout}")
            timed_out.__cause__ = error
            return self._by_strategy(plan, run, timed_out)
        if run.stop_asked == "shutdown" and runs_once(run.job):
            return self._failed(plan, run, the_end(run.job, error))
        # Released in both cases: the store ends a job with a cancel request as cancelled, for the request's own reason.
        self._journal.stopped(run)
        return attrs.evolve(Outcome.released(run.job), keep=plan.keep_success)


def _in_place_of(verdict: Verdict, error: Exception) -> Exception:
    """Return `error` as if it had been raised where the verdict was, while the same exception was handled."""
    error.__cause__ = verdict.__cause__ or verdict.__context__
    return error.with_traceback(verdict.__traceback__)


def _unstorable(result: object, reason: BaseException) -> InvalidResult:
    if isinstance(reason, InvalidResult):
        return reason
    error = InvalidResult(
        f"a {type(result).__qualname__} could not be encoded as JSON: {type(reason).__name__} was raised"
    )
    error.__cause__ = reason
    return error


def _call(call: Callable[..., Any], context: JobContext, kwargs: dict[str, Any]) -> Any:
    CURRENT.set(context)
    return call(context, (), kwargs)


def _first_step(call: Callable[..., Any], context: JobContext, kwargs: dict[str, Any]) -> tuple[Driven | None, Any]:
    """Begin an async task; return its coroutine and what that waits for, or None and what the task has returned."""
    CURRENT.set(context)
    awaitable = call(context, (), kwargs)
    coroutine: Driven = awaitable if isinstance(awaitable, _COROUTINE) else _awaiting(awaitable)
    try:
        return coroutine, coroutine.send(None)
    except StopIteration as end:
        return None, end.value


async def _raising(error: BaseException) -> None:
    raise error


async def _awaiting(awaitable: Any) -> Any:
    return await awaitable


def _with_progress(outcome: Outcome, run: Run) -> Outcome:
    assert run.progress is not None  # noqa: S101 - the caller has looked
    return attrs.evolve(outcome, progress=Progress.of(run.job, run.progress).text)
