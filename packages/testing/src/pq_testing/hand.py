"""A hand: one simulated worker of a drain. It claims a job, runs it with the real executor, writes its outcome."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, cast

import anyio
import attrs

from pq_core.connector import Connector, Fetched, JobFilter, Transactional, WorkerInfo
from pq_core.context import Stop
from pq_core.errors import TransactionRequired, WrongConnection
from pq_core.job import LONGEST_DELAY, Job
from pq_core.memory.transaction import MemoryTransaction
from pq_core.outcome import Outcome
from pq_core.worker.executor import Driven, Executor
from pq_core.worker.run import Run as Execution
from pq_core.worker.transactional import Transactions
from pq_testing import no_loop
from pq_testing.harness import Harness
from pq_testing.interruptions import interruptions
from pq_testing.raised import Raised
from pq_testing.report import Run

if TYPE_CHECKING:  # psycopg, which tests in memory need not have
    from pq_core.postgres.savepoints import Savepoint

NAME = "run_jobs"
LEASE = LONGEST_DELAY
"""However far a test moves its clock, no hand dies of it."""
LOOKS = 200
"""Fetches in a row that may give nothing and ask for another."""
NAP = 0.005
"""Seconds of real time between such fetches: what there is, a transaction of others holds."""


class Work(Protocol):
    """What a hand works for: one drain."""

    @property
    def over(self) -> bool:
        """Whether no more jobs are to be claimed."""
        ...

    @property
    def harness(self) -> Harness:
        """The test's."""
        ...

    @property
    def connector(self) -> Connector:
        """The store."""
        ...

    @property
    def queues(self) -> Sequence[str] | None:
        """Whose jobs are claimed; None: of every queue."""
        ...

    @property
    def workers(self) -> int:
        """How many hands there are."""
        ...

    @property
    def findings(self) -> list[BaseException]:
        """Errors that are none of a job's: of hooks, or brought to light by the disturbances of the test."""
        ...

    @property
    def state(self) -> Any:
        """What jobs find in their context, besides."""
        ...

    async def tick(self) -> None:
        """Store the jobs of schedules that are due, if the drain lets them tick."""
        ...

    async def savepoint(self) -> Savepoint | None:
        """Return a savepoint for the work of one job, if there is a transaction that it is part of."""
        ...

    def accepts(self, job: Job, /) -> bool:
        """Return whether to go on with a job that was claimed."""
        ...

    def begins(self, hand: Hand, /) -> None:
        """Take note that a hand has begun a job."""
        ...

    def ends(self, hand: Hand, /) -> None:
        """Take note that a hand has ended its job."""
        ...

    def interrupt(self, error: BaseException, /) -> None:
        """Take note of an error that is none of a job's: no hand is to begin another job."""
        ...

    def heard_of(self, next_in: float | None, /) -> None:
        """Take note of the seconds until the next job falls due, if there is one."""
        ...

    def took(self, run: Run, /) -> None:
        """Take note of a run whose outcome is written."""
        ...

    def looks(self, hand: Hand, /) -> int:
        """Take note that a hand looks for a job; return how often there was reason to, so far."""
        ...

    def has_looked(self, hand: Hand, /) -> None:
        """Take note that it has an answer."""
        ...

    async def wait_for_others(self, known: int, /) -> bool:
        """Wait while other hands work and nothing is due; return whether there may be something to do again.

        Args:
            known: what :meth:`looks` has returned.
        """
        ...


class Director(Protocol):
    """Decides, at each point at which a hand can be stopped, whether and when it goes on."""

    async def point(self, hand: Hand, place: str) -> None:
        """Return when the hand may go on; never, if its worker dies here."""
        ...

    async def idle(self, hand: Hand) -> bool:
        """Wait while nothing is due; return whether there may be something again, or the hand's work is over."""
        ...

    def drive(self, hand: Hand, execution: Execution, coroutine: Driven) -> Driven:
        """Return what is run for an async job: its coroutine, with a point after each suspension."""
        ...


class Hand:
    """One simulated worker.

    Args:
        drain: what it works for.
        number: from 1.
        director: rules over it; None: it works as it likes.
        connector: the store, through a connection of its own if it has to.
    """

    def __init__(
        self, drain: Work, number: int, *, director: Director | None = None, connector: Connector | None = None
    ) -> None:
        self.drain = drain
        self.number = number
        self.connector = drain.connector if connector is None else connector
        self.director = director
        self.worker = drain.harness.next_worker()
        self.job: Job | None = None
        """The job that it has claimed and not yet given out of hand."""
        self._savepoint: Savepoint | None = None
        clock = drain.harness.clock
        self._raised = Raised(NAME, hooks=drain.harness.app.hooks.reporting(drain.findings.append))
        self._known = 0
        self._transactions = Transactions(cast("Transactional", self.connector))
        self._executor = Executor(
            drain.harness.app,
            worker_name=NAME,
            keep="all",
            threads=Inline(),
            journal=self._raised,
            clock=clock.now,
            timer=clock.seconds,
            drive=None if director is None else partial(director.drive, self),
            transactions=self._transactions,
            state=drain.state,
        )

    async def live(self) -> None:
        """Work until nothing is due any more, or the drain has had enough; then sign off."""
        await self.sign_on()
        try:
            while not self.drain.over:
                job = await self._claim()
                if job is not None:
                    if not self.drain.accepts(job):
                        break  # to leave is to give it back
                    await self._work(job)
                elif not await self._rest():
                    break
        finally:
            self.drain.ends(self)
            with anyio.CancelScope(shield=True):
                await self._ask("leave", self.worker)

    async def sign_on(self) -> None:
        """Make this worker known, with a lease that no clock of a test ends."""
        await self._ask("heartbeat", WorkerInfo(id=self.worker, name=NAME), LEASE)

    async def expire(self) -> None:
        """Die, as the store sees it: the lease runs out, and the running job is given back with a loss counted."""
        store, now = self.drain.connector, self.drain.harness.clock.now()
        await store.heartbeat(WorkerInfo(id=self.worker, name=NAME), timedelta(0), now=now)
        await store.rescue(now=now)

    async def forsake(self) -> None:
        """Undo what the job has done whose worker died in the midst of it: in a caller's transaction, or its own.

        One of its own in PostgreSQL has ended with its session.
        """
        for held in self._transactions.held:
            if isinstance(held.connection, MemoryTransaction):
                held.connection.__exit__(GeneratorExit, None, None)
        savepoint, self._savepoint = self._savepoint, None
        if savepoint is not None:
            await savepoint.rollback()

    def be_reborn(self) -> None:
        """Go on as another worker, after :meth:`expire`."""
        self.worker = self.drain.harness.next_worker()

    async def execute(self, job: Job) -> tuple[Outcome, BaseException | None]:
        """Run a job; return what became of it and the error, if there was one. Nothing is written.

        In a caller's transaction, what the job did there is undone unless it succeeded.

        Raises:
            BaseException: not an error of the job, but the end of the test; the job is still claimed.
        """
        self._raised.errors.clear()
        self._savepoint = await self.drain.savepoint()
        interrupts = interruptions()
        outcome = await self._executor.execute(_Watched(job, perf_counter(), store=self.connector))
        savepoint, self._savepoint = self._savepoint, None
        if (error := self._raised.latest) is not None and interrupts(error):
            self.drain.interrupt(error)
            raise error
        if savepoint is not None and outcome.kind != "succeeded":
            await savepoint.rollback()
        elif savepoint is not None:
            try:
                await savepoint.release()
            except TransactionRequired as error:  # there is nothing that could be kept
                self._raised.errors.append(error)
                outcome = Outcome.failed(job, error)
        return outcome, self._raised.latest

    @contextmanager
    def in_vain(self) -> Generator[None]:
        """Let no transaction of a job be committed in a block, as if the worker died right before."""
        self._transactions.commits = False
        try:
            yield
        finally:
            self._transactions.commits = True

    async def _claim(self) -> Job | None:
        """Return the next job that is due, running; None if there is none."""
        for look in range(LOOKS):
            self._known = self.drain.looks(self)
            try:
                await self.drain.tick()
                fetched: Fetched = await self._ask("fetch", self.worker, self.drain.queues, 1, told=self._take)
            finally:
                self.drain.has_looked(self)
            if self.job is not None:
                return self.job
            if not fetched.again:
                return None
            if look > self.drain.workers:
                await anyio.sleep(NAP)
        return None

    def _take(self, fetched: Fetched) -> None:
        self.drain.heard_of(fetched.next_in)
        if fetched.jobs:
            self.job = fetched.jobs[0]

    async def _work(self, job: Job) -> None:
        self.drain.begins(self)
        try:
            began = self.drain.harness.clock.now()
            deliverer = self.drain.harness.deliverer
            end = await (self.execute(job) if deliverer is None else deliverer.run(self, job))
            if end is None:
                return  # it was lost: the job is to be had again
            outcome, error = end

            def ended(current: list[int]) -> None:
                run = Run(
                    job=job,
                    outcome=outcome,
                    error=error,
                    started_at=began,
                    finished_at=self.drain.harness.clock.now(),
                    hand=self.number,
                    written=bool(current),
                )
                self.drain.took(run)

            if outcome.written is None:
                await self._ask("finish", [outcome], told=ended)
            else:  # the job's own transaction did that
                getattr(self.connector, "settle", lambda: None)()
                ended([job.id] if outcome.written else [])
        finally:
            self.job = None
            self.drain.ends(self)

    async def _rest(self) -> bool:
        return await (self.drain.wait_for_others(self._known) if self.director is None else self.director.idle(self))

    async def _ask(self, verb: str, *arguments: Any, told: Callable[[Any], None] | None = None) -> Any:
        """Ask the store, as of the test's time. A worker can die before it asks, and before it hears the answer.

        Args:
            verb: what to ask.
            arguments: of the verb.
            told: is called with the answer, whether or not the worker lives to hear it.
        """
        ask: Callable[..., Coroutine[Any, Any, Any]] = getattr(self.connector, verb)
        if self.director is not None:
            await self.director.point(self, f"before {verb}")
        answer = await ask(*arguments)
        if told is not None:
            told(answer)
        if self.director is not None:
            await self.director.point(self, f"after {verb}")
        return answer


@attrs.define(eq=False)
class _Watched(Execution):
    """A run that learns at once, from the store, when its job is cancelled: no heartbeat tells a hand."""

    store: Connector = attrs.field(kw_only=True)

    def stop_reason(self) -> Stop | None:
        if self.stop_asked is None and self._cancelled():
            self.stop("cancel")
        return super().stop_reason()

    def _cancelled(self) -> bool:
        try:
            found = self.store.sync.find(JobFilter(ids=[self.job.id]))
        except WrongConnection:  # a transaction that can only be awaited
            return False
        return bool(found and found[0].cancel_requested_at is not None)


class Inline:
    """Calls sync tasks where the drain was called: so they see the test's thread, its connections, its transactions."""

    async def run(self, function: Callable[[], Any]) -> Any:
        """Call `function` here; return what it returns, raise what it raises."""
        return no_loop.call(function)
