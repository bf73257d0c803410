"""One drain: hands that work until nothing is due any more, and what the test is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, cast

import anyio
import attrs

from pq_core.connector import Connector, JobFilter
from pq_core.errors import ConnectorError
from pq_core.job import Job
from pq_core.log import call_text
from pq_core.worker.ticking import Ticker
from pq_testing.errors import AsyncTaskInSyncDrain, DrainError, EndlessJobs
from pq_testing.hand import NAME, Hand
from pq_testing.harness import Harness
from pq_testing.interruptions import OF_THE_TEST
from pq_testing.living import NOT_GIVEN, living
from pq_testing.notes import note
from pq_testing.report import Report, Run

if TYPE_CHECKING:  # psycopg, which tests in memory need not have
    from pq_core.postgres.bound import BoundConnector
    from pq_core.postgres.savepoints import Savepoint

OnError = Literal["raise", "record"]
TICK = timedelta(microseconds=1)


@attrs.define(kw_only=True, eq=False)
class Drain:
    """One call of `run_jobs`.

    Attributes:
        harness: the test's.
        transaction: the caller's, if the jobs are to run in that.
        until: how far the clock may go; None: not at all.
        queues: whose jobs run; None: of every queue.
        limit: jobs to run at most.
        workers: hands at a time; in a caller's transaction one, since of two jobs with a savepoint each, the one that
            fails would undo what the other did after it had begun.
        on_error: whether an error of a job ends the drain and reaches the test.
        ticker: makes the ticks of schedules; None: time passes without any.
        nested: whether an event loop of others runs in this thread, and waits for us.
        over: whether no more jobs are to be claimed.
        findings: errors that are none of a job's: of hooks, or brought to light by the disturbances of the test.
        state: what jobs find in their context; unless it is given, what the app's `worker_lifespan` gives.
    """

    harness: Harness
    transaction: BoundConnector | None = None
    until: datetime | None = None
    queues: Sequence[str] | None = None
    limit: int | None = None
    workers: int = 1
    on_error: OnError = "raise"
    ticker: Ticker | None = None
    nested: bool = False
    state: Any = NOT_GIVEN
    over: bool = attrs.field(init=False, default=False)
    findings: list[BaseException] = attrs.field(init=False, factory=list[BaseException])
    _runs: list[Run] = attrs.field(init=False, factory=list[Run])
    _refusal: DrainError | None = attrs.field(init=False, default=None)
    _failure: BaseException | None = attrs.field(init=False, default=None)
    _interruption: BaseException | None = attrs.field(init=False, default=None)
    _awaiting: dict[int, Run] = attrs.field(init=False, factory=dict[int, Run])
    _busy: set[Hand] = attrs.field(init=False, factory=set[Hand])
    _looking: set[Hand] = attrs.field(init=False, factory=set[Hand])
    _news: int = attrs.field(init=False, default=0)
    _idle: list[anyio.Event] = attrs.field(init=False, factory=list[anyio.Event])
    _next_due: datetime | None = attrs.field(init=False, default=None)
    _next_tick: datetime | None = attrs.field(init=False, default=None)
    _ticking: bool = attrs.field(init=False, default=False)
    _hired: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        if self.transaction is not None:
            self.workers = 1

    @property
    def connector(self) -> Connector:
        """The store."""
        return self.harness.connector if self.transaction is None else self.transaction

    async def run(self) -> Report:
        """Run jobs; return what was done.

        Raises:
            BaseException: the error of a job, unless errors are only recorded.
            DrainError: it cannot go on.
        """
        __tracebackhide__ = True
        began = self.harness.clock.now()
        try:
            async with living(self.harness.app, NAME, self.state) as self.state:
                await self._begin_ticking()
                await self._work()
        except OF_THE_TEST as error:
            raise in_own_frames(error)  # noqa: B904 - it is the same
        if self._interruption is not None:  # and the hand that met it has died of something else
            raise in_own_frames(self._interruption)
        if self.until is not None and not self.over and self.until > self.harness.clock.now():
            self.harness.clock.move_to(self.until)
            await self.connector.rescue(now=self.until)  # ends what nobody could start and has expired, as workers do
        return self._conclude(self.harness.clock.now() - began, await self._still_waiting())

    def hire(self) -> Hand:
        """Return another hand that works as it likes."""
        self._hired += 1
        return Hand(self, self._hired)

    def accepts(self, job: Job) -> bool:
        """Return whether the drain goes on with a job that was claimed. If not, its hand gives it back."""
        if self.nested and job.task in (tasks := self.harness.app.tasks) and tasks[job.task].is_async:
            self._stop_for(
                AsyncTaskInSyncDrain(
                    f"{job.task} is an async task, and run_jobs() was called inside a running event loop, which would "
                    "have to run it but waits for this call: write `await run_jobs.run_async()` instead. (The job was "
                    "given back: nothing is lost.)"
                )
            )
        begun = len(self._runs) + len(self._busy)
        if self.limit is not None:
            return not self.over and begun < self.limit
        if begun >= self.harness.max_runs:
            self._stop_for(EndlessJobs(self._endless(job)))
        return not self.over

    def interrupt(self, error: BaseException) -> None:
        """Take note of an error that is none of a job's: no hand is to begin another job."""
        self._interruption = error
        self.over = True

    async def tick(self) -> None:
        """Store the jobs of the ticks until now, each as of its own moment: a worker would have been there."""
        if self.ticker is None or self.until is None or self._ticking:
            return
        self._ticking = True
        try:
            while (at := self._next_tick) is not None and at <= min(self.harness.clock.now(), self.until):
                await self.ticker.declare(at)  # that holds for minutes, and the clock may jump for days
                next_in = await self.ticker.tick(at)
                self._next_tick = None if next_in is None else at + max(timedelta(seconds=next_in), TICK)
        finally:
            self._ticking = False

    async def savepoint(self) -> Savepoint | None:
        """Return a savepoint for the work of one job, if the drain is part of a caller's transaction."""
        return None if self.transaction is None else await self.transaction.savepoint()

    def begins(self, hand: Hand) -> None:
        """Take note that a hand has begun a job."""
        self._busy.add(hand)

    def ends(self, hand: Hand) -> None:
        """Take note that a hand has ended its job: others may find something to do now."""
        self._busy.discard(hand)
        self._call_idle()

    def looks(self, hand: Hand) -> int:
        """Take note that a hand looks for a job; return how often there was reason to, so far."""
        self._looking.add(hand)
        return self._news

    def has_looked(self, hand: Hand) -> None:
        """Take note that a hand knows whether there is a job for it."""
        self._looking.discard(hand)

    def heard_of(self, next_in: float | None) -> None:
        """Take note of what a fetch has told: the seconds until the next job falls due, if there is one."""
        now = self.harness.clock.now()
        self._next_due = None if next_in is None else now + max(timedelta(seconds=next_in), TICK)

    def took(self, run: Run) -> None:
        """Take note of a run whose outcome is written; decide whether the drain goes on."""
        self._runs.append(run)
        self.harness.ledger.add(run)
        self._awaiting.pop(run.job.id, None)
        if run.kind == "retried" and run.error is not None:  # one that its task has asked for is no error
            self._awaiting[run.job.id] = run
        elif run.error is not None and self.on_error == "raise":
            self._failure = self._failure or run.error
            self.over = True
            self.harness.ledger.seen(run.job.id)
        if self.limit is not None and len(self._runs) >= self.limit:
            self.over = True

    async def wait_for_others(self, known: int) -> bool:
        """Wait while other hands work and nothing is due; return whether there may be something to do again.

        Args:
            known: the news there were before the hand looked: what has come since, its look may have missed.
        """
        if self._news != known:
            return True
        if self._busy or self._looking:  # what looks may have claimed a job already, and this one deferred others
            call = anyio.Event()
            self._idle.append(call)
            with anyio.move_on_after(self._seconds_until_due()):
                await call.wait()
            return True
        jumped = self.jump()
        self._call_idle()
        return jumped

    def jump(self) -> bool:
        """Move the clock to when the next job falls due, if it may go that far; return whether it did."""
        due = self._coming
        if self.until is None or due is None or due > self.until or self.over:
            return False
        if due > self.harness.clock.now():
            self.harness.clock.move_to(due)
        return True

    @property
    def _coming(self) -> datetime | None:
        """When the next job or schedule is due."""
        return min(filter(None, (self._next_due, self._next_tick)), default=None)

    async def _begin_ticking(self) -> None:
        if self.ticker is not None:
            self._next_tick = self.harness.clock.now()
            await self.tick()

    async def _work(self) -> None:
        if self.harness.conductor is None and self.workers > 1:
            await self._work_side_by_side()
            return
        with self._time_flowing():
            if self.harness.conductor is None:
                await self.hire().live()
            else:
                await self.harness.conductor.conduct(self)

    async def _work_side_by_side(self) -> None:
        try:
            # Outside of virtual time, which would wait for what there may never be to hear.
            async with anyio.create_task_group() as listening:
                listening.start_soon(self._listen)
                with self._time_flowing():
                    async with anyio.create_task_group() as hands:
                        for hand in [self.hire() for _ in range(self.workers)]:
                            hands.start_soon(hand.live)
                listening.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise _first(group) from None

    async def _listen(self) -> None:
        """Let hands that have nothing to do look for what the jobs of others defer."""
        with suppress(ConnectorError):  # then they look when a job ends
            await self.connector.listen(self.queues, self._call_idle)

    def _seconds_until_due(self) -> float | None:
        """Return how long a hand with nothing to do waits, if time flows: it sleeps like a job, and others run."""
        due = self._coming
        if self.until is None or due is None or due > self.until:
            return None
        return max(0.0, (due - self.harness.clock.now()).total_seconds())

    async def _still_waiting(self) -> list[Run]:
        """Return the runs whose jobs still await their retry. Another job may have ended those, or run them."""
        if not self._awaiting or self.on_error == "record" or self.until is not None or self.over:
            return []
        found = await self.connector.find(JobFilter(ids=list(self._awaiting)), limit=len(self._awaiting))
        waiting = {job.id for job in found if not job.ended and job.attempt == self._awaiting[job.id].job.attempt}
        return [run for job_id, run in self._awaiting.items() if job_id in waiting]

    def _stop_for(self, error: DrainError) -> None:
        self._refusal = error
        self.over = True

    def _call_idle(self) -> None:
        self._news += 1
        idle, self._idle = self._idle, []
        for call in idle:
            call.set()

    def _time_flowing(self) -> AbstractContextManager[object]:
        if self.until is None:
            return nullcontext()
        from pq_testing import virtual_time

        return virtual_time.flowing(self.harness.clock, self.until)

    def _conclude(self, duration: timedelta, waiting: list[Run]) -> Report:
        __tracebackhide__ = True
        ticks = () if self.ticker is None else tuple(self.ticker.made or ())
        report = Report(tuple(self._runs), duration, self.harness.ledger, ticks)
        if self._refusal is not None:
            raise self._refusal
        if self.on_error == "raise" and self._failure is not None:
            note(self._failure, *map(str, self.findings))
            raise in_own_frames(self._failure)
        if self.findings:  # errors of jobs they are not: to record those leaves these
            raise self.findings[0] if len(self.findings) == 1 else BaseExceptionGroup("findings", self.findings)
        if waiting:
            raise in_own_frames(self._waiting_error(waiting[0]))
        return report

    def _waiting_error(self, run: Run) -> BaseException:
        error = run.error
        assert error is not None  # noqa: S101 - a retry has a reason
        wait = run.outcome.delay
        note(
            error,
            f"job {call_text(run.job, arguments=True)} failed with this on attempt {run.job.attempt}, and waits {wait} "
            f"for the next. Let that time pass with run_jobs(until=...), or say run_jobs(on_error='record').",
        )
        return error

    def _endless(self, job: Job) -> str:
        names = ", ".join(dict.fromkeys([*(run.task for run in self._runs[-50:]), job.task]))
        return (
            f"{self.harness.max_runs} jobs have run, and there are still more: jobs defer jobs, or ask to run again at "
            f"once, without an end. The latest were of {names}. If that many are meant, say limit=..., or raise "
            "pq_max_runs."
        )


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """Return the first error of what ran side by side: that there were several, a test need not know."""
    found: Any = group
    while isinstance(found, BaseExceptionGroup):
        found = cast("Any", found).exceptions[0]
    return cast("BaseException", found)


def in_own_frames(error: BaseException) -> BaseException:
    """Return the error with the frames of its own task only: how pq came to call it tells a test nothing."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").split(".")[0] in ("pq_core", "pq_testing"):
        trace = trace.tb_next
    return error if trace is None else error.with_traceback(trace)
