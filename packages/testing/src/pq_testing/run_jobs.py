"""What the fixture `run_jobs` gives: runs the jobs of a test, and shows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack, cast, overload

from pq_core.app import App
from pq_core.connector import Connector, Transactional
from pq_core.context import JobContext, Stop
from pq_core.deferrer import refuse_unknown
from pq_core.errors import InvalidOption, shown
from pq_core.given import check_queues
from pq_core.job import Job, NewJob
from pq_core.outcome import Outcome
from pq_core.task import Task
from pq_core.worker.executor import Executor
from pq_core.worker.run import Run as Execution
from pq_core.worker.ticking import Ticker
from pq_core.worker.transactional import Transactions
from pq_testing import own_loop, perform
from pq_testing.clock import Clock
from pq_testing.drain import Drain, OnError, in_own_frames
from pq_testing.given import check_count
from pq_testing.hand import NAME, Inline
from pq_testing.harness import Backend, Harness, View
from pq_testing.interruptions import interruptions
from pq_testing.job_query import JobQuery
from pq_testing.living import NOT_GIVEN, living
from pq_testing.raised import Raised
from pq_testing.report import Report

if TYPE_CHECKING:
    from pq_testing.effects import Effects
    from pq_testing.rolls_back import RollsBack

C = TypeVar("C")
Until = str | timedelta | datetime


class DrainOptions(TypedDict, total=False):
    """The options of one call of `run_jobs`.

    .. versionadded:: 0.1
    """

    queues: Sequence[str] | None
    """Whose jobs run; None: of every queue."""
    limit: int | None
    """Jobs to run at most."""
    periodic: bool
    """Whether schedules tick, those of the app and of the database, while the clock goes on `until` then."""
    workers: int
    """Simulated workers at a time. Async jobs of several run side by side, sync ones one after the other."""
    on_error: OnError
    """``"raise"``: the error of a job that fails for good ends the drain, and is raised as it was; so is that of a job
    which waits for its retry when a drain without `until` ends. ``"record"``: errors are in the report only."""
    connection: Any
    """A connection of yours with an open transaction, in which jobs are claimed, run and ended: what was deferred in it
    is seen, and a rollback takes everything back. Each job has a savepoint, so that they run one after the other,
    however many `workers` there are."""
    state: Any
    """What jobs find as ``context.state``; not given, the app's `worker_lifespan` surrounds the drain, and gives it."""


class RunJobs:
    """Runs the jobs of a test, in the test's thread, with the executor that workers have.

    Called, it runs what is due now, with the jobs that jobs defer and retries without a wait, in the order in which one
    worker would; the clock stands still, unless `until` lets it go. Under a running event loop, await
    :meth:`run_async`.

    .. versionadded:: 0.1
    """

    def __init__(self, harness: Harness) -> None:
        self.harness = harness

    def __call__(self, until: Until | None = None, **options: Unpack[DrainOptions]) -> Report:
        """Run jobs; return what was done.

        Args:
            until: how far the clock goes: ``"2h"`` or a timedelta from now, or a moment. It jumps from one due time to
                the next, so that nothing is waited for; a job that sleeps takes no real time either.
            options: see :class:`DrainOptions`.

        Raises:
            BaseException: the error of a job.
            AsyncTaskInSyncDrain: an event loop runs in this thread already, and a task is async.
            EndlessJobs: jobs feed themselves.
            InvalidOption: a value that an option cannot have.
        """
        __tracebackhide__ = True
        drain = self._drain(until, options)
        drain.nested = own_loop.in_a_loop()
        return own_loop.run(drain.run())

    async def run_async(self, until: Until | None = None, **options: Unpack[DrainOptions]) -> Report:
        """Do what a call does, in the running event loop."""
        __tracebackhide__ = True
        return await self._drain(until, options).run()

    def perform(self, job: NewJob, *, attempt: int = 1, state: Any = NOT_GIVEN) -> Outcome:
        """Run one job that is not stored; return what would be written of it. Errors are in the outcome, not raised.

        Its arguments pass through JSON, middleware surrounds it, its retry strategy decides.

        Args:
            job: as ``task.job(...)`` makes it.
            attempt: which run of the job it is.
            state: what the job finds as ``context.state``; not given, the app's `worker_lifespan` gives it.

        Raises:
            AsyncTaskInSyncDrain: an event loop runs in this thread already, and the task is async.
            InvalidOption: this is no job, or no attempt.
            TaskNotFound: the app does not know the task.
        """
        __tracebackhide__ = True
        claimed = perform.claimed(job, self.clock, attempt)
        if own_loop.in_a_loop():
            perform.refuse_async(self.app, claimed)
        return own_loop.run(self._perform(claimed, state))

    async def perform_async(self, job: NewJob, *, attempt: int = 1, state: Any = NOT_GIVEN) -> Outcome:
        """Do what :meth:`perform` does, in the running event loop."""
        return await self._perform(perform.claimed(job, self.clock, attempt), state)

    def context(
        self,
        of: NewJob | Task[..., Any] | None = None,
        *,
        attempt: int = 1,
        stop: Stop | None = None,
        connection: Any = None,
        state: Any = None,
    ) -> JobContext:
        """Return the context of a run, to call a task with that takes it.

        What the task says by it can be asserted: `latest_progress`, and the verdict that :meth:`JobContext.snooze` and
        the like raise, as ``with pytest.raises(pq_core.verdicts.Snooze)``.

        Args:
            of: the job, as ``task.job(...)`` makes it, or the task; None: of a job that has nothing to do.
            attempt: which run of the job it is.
            stop: why the run is to stop, as if it had been told so: ``"cancel"``, ``"shutdown"`` or ``"timeout"``;
                None: it is not to, unless the test's clock passes the task's `timeout`.
            connection: what a transactional task finds in it: yours, with an open transaction.
            state: what the app's `worker_lifespan` would give, which is not entered here.

        Raises:
            InvalidOption: this is no job, no attempt, or no reason to stop.
        """
        return perform.context(self.app, self.clock, of, attempt, stop, connection=connection, state=state)

    @overload
    def rolls_back(self) -> RollsBack[Any]: ...
    @overload
    def rolls_back(self, connection: C) -> RollsBack[C]: ...
    def rolls_back(self, connection: Any = None) -> RollsBack[Any]:
        """Roll the caller's transaction back at the end of a block, and fail the test if a job is there all the same.

        Args:
            connection: yours, with an open transaction; in memory None: the block is given a transaction.
        """
        from pq_testing.rolls_back import RollsBack

        return RollsBack(self.harness, connection)

    @property
    def deferred(self) -> JobQuery:
        """Every job of this test, in any state, to assert on."""
        return JobQuery(self.harness)

    def deferred_in(self, connection: Any) -> JobQuery:
        """Return what :attr:`deferred` is, as your open transaction sees it: with the jobs that are not committed yet.

        Args:
            connection: yours: of psycopg, of SQLAlchemy or Django's.

        Raises:
            WrongBackend: the jobs of this test are in memory.
            TransactionRequired: no transaction is open.
            WrongConnection: the connection can only be awaited: see :meth:`deferred_in_async`.
        """
        return JobQuery(View(self.harness, partial(self.harness.jobs, connection)))

    async def deferred_in_async(self, connection: Any) -> JobQuery:
        """Do what :meth:`deferred_in` does, on a connection that can only be awaited: it shows the jobs of now."""
        jobs = await self.harness.jobs_async(connection)
        return JobQuery(View(self.harness, lambda: jobs))

    @property
    def app(self) -> App:
        """The app under test."""
        return self.harness.app

    @property
    def backend(self) -> Backend:
        """Where the jobs of this test are: ``"memory"`` or ``"postgres"``."""
        return self.harness.backend

    @property
    def connector(self) -> Connector:
        """Where the jobs of this test are."""
        return self.harness.connector

    @property
    def clock(self) -> Clock:
        """The clock of this test."""
        return self.harness.clock

    @property
    def effects(self) -> Effects:
        """What redelivered jobs must not change twice."""
        return self.harness.effects

    def _drain(self, until: Until | None, options: DrainOptions) -> Drain:
        refuse_unknown("run_jobs", options, DrainOptions)
        workers, limit, on_error = options.get("workers", 1), options.get("limit"), options.get("on_error", "raise")
        check_count("workers", workers)
        if limit is not None:
            check_count("limit", limit)
        if on_error not in ("raise", "record"):
            raise InvalidOption(f"on_error {shown(on_error)} is neither 'raise' nor 'record'")
        connection, periodic = options.get("connection"), options.get("periodic", False)
        if not isinstance(periodic, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - users need no type checker
            raise InvalidOption(f"periodic {shown(periodic)} is neither True nor False")
        if periodic and until is None:
            raise InvalidOption("periodic=True needs until=: schedules tick as time passes, and here the clock stands")
        transaction = None if connection is None else self.harness.bound(connection)
        ticker: Ticker | None = None
        if periodic:
            store = self.connector if transaction is None else transaction
            ticker = Ticker(connector=store, declared=self.app.declared_schedules(), made=[])
        return Drain(
            harness=self.harness,
            transaction=transaction,
            until=None if until is None else self.clock.until(until),
            queues=check_queues(options.get("queues")),
            limit=limit,
            workers=workers,
            on_error=on_error,
            ticker=ticker,
            state=options.get("state", NOT_GIVEN),
        )

    async def _perform(self, claimed: Job, state: Any) -> Outcome:
        async with living(self.app, NAME, state) as own:
            return await self._execute(claimed, own)

    async def _execute(self, claimed: Job, state: Any) -> Outcome:
        findings: list[BaseException] = []
        raised, interrupts = Raised(NAME, hooks=self.app.hooks.reporting(findings.append)), interruptions()
        executor = Executor(
            self.app,
            worker_name=NAME,
            keep="all",
            threads=Inline(),
            journal=raised,
            clock=self.clock.now,
            timer=self.clock.seconds,
            transactions=Transactions(cast("Transactional", self.connector), fenced=False),
            state=state,
        )
        outcome = await executor.execute(Execution(claimed, perf_counter()))
        if raised.latest is not None and interrupts(raised.latest):
            raise in_own_frames(raised.latest)
        if findings:
            raise in_own_frames(findings[0])
        return outcome
