"""Where jobs are kept: about a dozen verbs over many jobs at once, and the values that they take and give.

Two connectors come with pq, `InMemoryConnector` and `PsycopgConnector`; `pq_testing.conformance` holds every
connector to the rules that stand here. A new feature is a new field of a value, not a new verb.

Every verb takes `now`: None means the clock of the store, which in production is the only one; a test may pass an aware
datetime. Ids are whole numbers that grow in the order of deferring; there may be gaps.

**Locks.** Of all live jobs with one lock, at most one is running. A job with `lock_mode` ``ordered`` is *runnable* if
no other live job of its lock is running and none is earlier: of higher priority, or of the same and a lower id,
whatever its state and queue. A ``mutex`` job is runnable if no job of its lock is running. A job without a lock is
runnable.

**Unique keys.** Of all jobs with one `unique_key` and the `unique_scope` ``waiting``, at most one is waiting; with the
scope ``live``, at most one is live. Keys of the two scopes do not see each other. Besides, whoever takes a key with a
`unique_period` keeps others from taking it until so long after, whatever becomes of the job. A waiting job with
``expires_at <= now`` and no attempt spent has no key: who meets it ends it first, as ``cancelled`` with the reason
``expired``.

**The last life.** A job with ``losses >= max_losses - 1`` would end with the next worker that dies under it. A worker
that runs nothing claims the first such job that is runnable, before anything else, and alone; any other worker passes
them over. (With ``max_losses == 1`` every life is the last one.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol

from pq_core.answers import (
    MOST_AHEAD,
    Deferred,
    Fetched,
    JobState,
    Pause,
    PauseKind,
    QueueInfo,
    SchemaStatus,
    Standing,
    Status,
)
from pq_core.health import Health
from pq_core.job import Job, NewJob
from pq_core.outcome import Outcome, Progress
from pq_core.schedule import Move, NewSchedule, Schedule, Ticked
from pq_core.selection import JobChanges, JobFilter
from pq_core.states import State
from pq_core.watch import SyncWatch, Watch
from pq_core.worker_info import WorkerInfo, WorkerStatus

__all__ = [
    "MOST_AHEAD",
    "Connector",
    "Deferred",
    "Fetched",
    "JobChanges",
    "JobFilter",
    "JobState",
    "Pause",
    "PauseKind",
    "QueueInfo",
    "SchemaStatus",
    "Standing",
    "Status",
    "SyncConnector",
    "SyncTransactional",
    "Transactional",
    "WorkerInfo",
    "WorkerStatus",
    "has_transactions",
]
"""With the values of the verbs, which stand in `answers`, `selection`, `worker_info`: others import them from here."""


class SyncConnector(Protocol):
    """The verbs for callers that cannot await. Each means what its twin in :class:`Connector` does."""

    def open(self) -> None: ...
    def close(self) -> None: ...
    def defer(
        self, jobs: Sequence[NewJob], *, connection: Any = None, now: datetime | None = None
    ) -> list[Deferred]: ...
    def watch(self, job_id: int) -> AbstractContextManager[SyncWatch]: ...
    def find(self, which: JobFilter, *, limit: int = 100, after: int = 0, now: datetime | None = None) -> list[Job]: ...
    def count(self, which: JobFilter, *, now: datetime | None = None) -> dict[State, int]: ...
    def cancel(
        self, ids: Sequence[int], *, reason: str = "cancelled by request", now: datetime | None = None
    ) -> list[JobState]: ...
    def retry(self, ids: Sequence[int], *, now: datetime | None = None) -> list[JobState]: ...
    def reschedule(self, ids: Sequence[int], changes: JobChanges, *, now: datetime | None = None) -> list[JobState]: ...
    def prune(
        self,
        older_than: timedelta | None,
        *,
        states: Sequence[State] | None = None,
        limit: int | None = None,
        now: datetime | None = None,
    ) -> int: ...
    def workers(self, *, now: datetime | None = None) -> list[WorkerStatus]: ...
    def standing(self, job_id: int, *, now: datetime | None = None) -> Standing: ...
    def health(self, *, now: datetime | None = None) -> Health: ...
    def queues(self, *, now: datetime | None = None) -> list[QueueInfo]: ...
    def purge(self, ids: Sequence[int], *, now: datetime | None = None) -> list[int]: ...
    def pause(
        self,
        queue: str | None = None,
        *,
        task: str | None = None,
        everything: bool = False,
        now: datetime | None = None,
    ) -> None: ...
    def resume(
        self,
        queue: str | None = None,
        *,
        task: str | None = None,
        everything: bool = False,
        now: datetime | None = None,
    ) -> None: ...
    def pauses(self, *, now: datetime | None = None) -> list[Pause]: ...
    def schedules(self, ids: Sequence[str] | None = None, *, now: datetime | None = None) -> list[Schedule]: ...
    def put_schedules(
        self,
        schedules: Sequence[NewSchedule],
        *,
        declared: bool = False,
        replace: bool = True,
        now: datetime | None = None,
    ) -> list[str]: ...
    def pause_schedules(self, ids: Sequence[str], *, paused: bool = True, now: datetime | None = None) -> list[str]: ...
    def remove_schedules(self, ids: Sequence[str], *, now: datetime | None = None) -> list[str]: ...
    def tick(self, moves: Sequence[Move], *, now: datetime | None = None) -> Ticked: ...
    def migrate(self) -> list[str]: ...
    def check(self) -> SchemaStatus: ...


class Connector(Protocol):
    """Where jobs are kept.

    Every verb is one atomic step. It raises `ConnectorClosed` if the connector is not open, `ForkedConnector` in a fork
    of the process that opened it, and `ConnectionFailed` if the store does not answer. An argument that is not what the
    verb takes it refuses before it changes anything, with an `InvalidOption` unless said otherwise; `pq_core.given` has
    the checks. Ids that no job can have are no error.

    .. versionadded:: 0.1
    """

    @property
    def sync(self) -> SyncConnector:
        """The twin for callers that cannot await: the same store."""
        ...

    async def open(self) -> None:
        """Make ready for use. Opening an open connector does nothing."""
        ...

    async def close(self) -> None:
        """Give back what open(), or the first use, took. Closing a closed connector does nothing.

        After an open(), further use is then refused; a connector that nobody opened takes anew what it needs. `sync` is
        opened and closed by itself.
        """
        ...

    async def defer(
        self, jobs: Sequence[NewJob], *, connection: Any = None, now: datetime | None = None
    ) -> list[Deferred]:
        """Store jobs, all or none, in their order; answer in the same order.

        A job is ``scheduled`` if it is due later than now, else ``ready``. Wakes workers that listen to the queues,
        once per queue, when the transaction commits.

        A job whose unique key is taken, also by one before it in the batch, is not stored; its `on_conflict` says what
        then. ``raise``: the batch is refused. ``skip``: the answer is ``skipped``, with the id of the job that has the
        key, or that took it last. ``replace``: so too, unless that job waits; then the answer is ``replaced``, and that
        job takes over task, arguments, version, metadata, priority, expiry and time of the new one, its state with
        it. It keeps all else, its id, queue, lock, attempts and period among it, and is not claimed before the
        transaction ends. Who meets a key of somebody's open transaction waits for the end of that, or raises
        `StoreBusy`.

        Args:
            jobs: may be empty.
            connection: the caller's own connection; the jobs are part of its transaction.
            now: see the module.

        Raises:
            AlreadyDeferred: a unique key is taken, and the job is not to give way. `index` as below, of the first of
                these; `job_id` is 0 if the key is that of another job of the batch.
            InvalidJob: arguments or metadata cannot be stored; in a batch of more than one, `index` says which job's;
                or a delay leads beyond the year 8999.
            WrongConnection: `connection` is of a kind that this connector cannot use.
        """
        ...

    async def fetch(
        self, worker: int, queues: Sequence[str] | None, limit: int, *, now: datetime | None = None
    ) -> Fetched:
        """Claim up to `limit` runnable jobs of `queues` (None: of every queue), highest priority first, then lowest id.

        First ends, of every queue, the waiting jobs with ``expires_at <= now`` and no attempt spent: as cancelled, with
        the reason ``expired``. Then makes due jobs ready, of every queue. (Of more than a thousand of either, a
        connector may leave those that came last to the next call, if it says `again`; none that has expired is ever
        claimed.) Paused queues and tasks give nothing. Each job claimed is ``running``, its
        attempt and claim have grown by one, its `worker` and `started_at` are set. Of several queues, one call claims
        at most ``max(1, ceil(2 * limit / number of queues))`` jobs each, where queues given twice count once, and
        paused or empty ones too (with None, only queues with ready jobs count); `again` says if that left some. A
        connector may give fewer jobs than it could, if it says `again`. An empty list of queues gives nothing.

        Whether a job that is not runnable is called ``ready`` or ``blocked`` is found out when a fetch comes to it.

        Raises:
            LeaseLost: the worker has no live lease.
            InvalidOption: `limit` is less than 1.
        """
        ...

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime | None = None) -> list[int]:
        """Write what became of runs; return, sorted, the ids of the jobs whose claim was current.

        An outcome is *current* if its job is running under the same claim. Any other changes nothing. Of several
        outcomes of one job in a call, the first of the newest claim counts.

        * succeeded, failed, cancelled: the job ends, and its lock is free; `finished_at` is now; with ``keep=False`` no
          trace is left. A failure's error is appended to `errors`.
        * retried: the job is due after the delay (``scheduled``, or ``ready`` if that is zero), with the queue,
          priority and lock that the outcome names; the error is appended to `errors`.
        * snoozed, released: the job is due after the delay, and the attempt is given back; the claim is not.
        * a retried, snoozed or released job with a cancel request ends as cancelled, with the request's reason, its
          attempt not given back.
        * a retried, snoozed or released job with a unique key of scope ``waiting`` takes that key back. If a waiting
          job has it by now, the run ends as cancelled, with the reason ``superseded by job N``, its attempt not given
          back; unless that job has expired: then that one ends, as with fetch. Outcomes of one call count in the order
          of the jobs' ids, whatever order they come in.

        `delivery`, if given, is from now on that of a job that goes on. `progress`, if given, is the job's from now on,
        with the time of writing as ``at``; else it keeps the one that it had.

        A job that leaves ``running`` has no worker and no `started_at` any more, unless it ended. `scheduled_at` of a
        job that goes on is now plus the delay.
        """
        ...

    async def heartbeat(
        self, worker: WorkerInfo, lease: timedelta, *, progress: Sequence[Progress] = (), now: datetime | None = None
    ) -> list[int]:
        """Make the worker known, or prolong its lease until now + `lease`.

        What `progress` says of jobs that run under the same claim is theirs from now on, with now as ``at``; of several
        words for one job in a call, the last of the newest claim counts. Any other changes nothing, as with finish. A
        connector may pass over a job that another transaction has in hand.

        Returns, sorted, the ids of those of its running jobs that were asked to stop.
        """
        ...

    async def rescue(self, *, now: datetime | None = None) -> list[JobState]:
        """Forget workers whose lease has run out (``lease end <= now``) and give back their running jobs, sorted by id.

        So too running jobs of workers that are not known. Each loses: `losses` grows by one and an error of type
        ``WorkerLost`` is appended to `errors`. A job with a cancel request ends as cancelled; one that has reached its
        `max_losses`, or that is delivered ``at_most_once``, ends as failed; one with a unique key of scope ``waiting``
        that a waiting job has by now ends as cancelled, with the reason ``superseded by job N``; any other is ``ready``
        and due now. The attempt stays spent. A job whose key an open transaction of others has in hand may be left to
        the next call.

        Ends waiting jobs that have expired, too, as fetch does; they are not in the answer.
        """
        ...

    async def leave(self, worker: int, *, now: datetime | None = None) -> list[JobState]:
        """Forget the worker and release its running jobs, sorted by id, as if each had the outcome `released`.

        But a job that is delivered ``at_most_once`` ends as failed, as if the worker had died, unless it was asked to
        stop. One that cannot be released yet, as with rescue, is left to that.
        """
        ...

    async def listen(self, queues: Sequence[str] | None, wake: Callable[[], None]) -> None:
        """Run until cancelled; call `wake()` whenever there may be something to fetch, or to stop, for these queues.

        It is called once at the start, when listening works. Raises `ConnectionFailed` when the connection breaks.
        """
        ...

    def watch(self, job_id: int) -> AbstractAsyncContextManager[Watch]:
        """Be told of the end of a job for as long as this is entered, see :class:`pq_core.watch.Watch`.

        Look at the job after that: it may have ended before. A connector whose store does not tell gives
        `pq_core.watch.deaf_watch()`; those who wait then find out by looking again.
        """
        ...

    async def find(
        self, which: JobFilter, *, limit: int = 100, after: int = 0, now: datetime | None = None
    ) -> list[Job]:
        """Return up to `limit` jobs that fit, with ids above `after`, in order of id. Live and ended ones alike."""
        ...

    async def count(self, which: JobFilter, *, now: datetime | None = None) -> dict[State, int]:
        """Return how many jobs fit, by state; every state is there, if only with 0."""
        ...

    async def cancel(
        self, ids: Sequence[int], *, reason: str = "cancelled by request", now: datetime | None = None
    ) -> list[JobState]:
        """End waiting jobs as cancelled, and ask running ones to stop.

        Returns those, sorted by id, with their state after it.
        A running job stays ``running`` with `cancel_requested_at` and `reason` set (the first request counts; a second
        changes nothing, and is in the answer). Ended and unknown jobs are left alone, and not in the answer.
        """
        ...

    async def retry(self, ids: Sequence[int], *, now: datetime | None = None) -> list[JobState]:
        """Make ended jobs live again, ``ready`` and due now, under their ids; return them sorted by id.

        The attempt and the losses start from 0; the claim stays, so that old runs stay fenced off; errors stay; result,
        reason, worker, started_at, finished_at and cancel_requested_at are None. Live and unknown jobs are left alone,
        and so are those whose unique key is taken; of two with one key the one with the lower id comes back. A period
        is no hindrance.
        """
        ...

    async def reschedule(
        self, ids: Sequence[int], changes: JobChanges, *, now: datetime | None = None
    ) -> list[JobState]:
        """Change waiting jobs; return them sorted by id with their state after it.

        With a time given a job is ``scheduled`` if that is later than now, else ``ready``. Without one a blocked job
        becomes ``ready`` (fetch finds out anew) and any other keeps its state. Running, ended and unknown jobs are
        left alone.

        """
        ...

    async def prune(
        self,
        older_than: timedelta | None,
        *,
        states: Sequence[State] | None = None,
        limit: int | None = None,
        now: datetime | None = None,
    ) -> int:
        """Forget ended jobs with ``finished_at < now - older_than`` (None: none of them); return how many.

        Also readies the store for the days to come.

        Args:
            older_than: from 0.
            states: of these states only; None means of any. Live jobs are never forgotten.
            limit: forget so many at most, and leave all to another call with a limit if that is under way (answering
                0). A connector may count what is forgotten a day at once as one step, and so go beyond it. If a call
                answers less than its limit, nothing is left to forget; from 1.
            now: see the module.
        """
        ...

    async def workers(self, *, now: datetime | None = None) -> list[WorkerStatus]:
        """Return all workers that are known, sorted by `started_at`, then id.

        Those whose lease has run out are known until a rescue forgets them. What the first heartbeat said of a worker
        stays; a worker that was forgotten begins anew.
        """
        ...

    async def standing(self, job_id: int, *, now: datetime | None = None) -> Standing:
        """Say where a live job stands among others: see :class:`Standing`. Changes nothing."""
        ...

    async def health(self, *, now: datetime | None = None) -> Health:
        """Say how the store is: see :class:`~pq_core.health.Health`. Changes nothing."""
        ...

    async def queues(self, *, now: datetime | None = None) -> list[QueueInfo]:
        """Return every queue that has live jobs or is paused, sorted by name (by Unicode code points)."""
        ...

    async def purge(self, ids: Sequence[int], *, now: datetime | None = None) -> list[int]:
        """Delete jobs that wait or have ended, so that no trace of them is left; return their ids, sorted.

        A unique key that such a job took for a period is free again, and so is its lock. Running and unknown jobs are
        left alone, and not in the answer.
        """
        ...

    async def pause(
        self,
        queue: str | None = None,
        *,
        task: str | None = None,
        everything: bool = False,
        now: datetime | None = None,
    ) -> None:
        """Let no job of `queue`, or of `task`, or no job at all, be fetched until resume(). Running ones run on.

        Pauses do not know of each other: a job is fetched if neither its queue, nor its task, nor everything is paused.
        A job of a paused task keeps its place behind its lock; whether it is called ``ready`` or ``blocked`` is found
        out when a fetch comes to it. What is paused already stays so, since when it was.

        Raises:
            InvalidOption: nothing is named, or more than one of `queue`, `task` and `everything`.
            InvalidJob: no queue, or no task, can have that name.
        """
        ...

    async def resume(
        self,
        queue: str | None = None,
        *,
        task: str | None = None,
        everything: bool = False,
        now: datetime | None = None,
    ) -> None:
        """Undo a pause() of the same, and wake the workers of the queues that have jobs for them again.

        Raises:
            InvalidOption, InvalidJob: as pause() does.
        """
        ...

    async def pauses(self, *, now: datetime | None = None) -> list[Pause]:
        """Return what is paused, sorted by kind, then by name (by Unicode code points)."""
        ...

    async def schedules(self, ids: Sequence[str] | None = None, *, now: datetime | None = None) -> list[Schedule]:
        """Return the schedules with these ids (None: all), sorted by id (by Unicode code points)."""
        ...

    async def put_schedules(
        self,
        schedules: Sequence[NewSchedule],
        *,
        declared: bool = False,
        replace: bool = True,
        now: datetime | None = None,
    ) -> list[str]:
        """Store schedules; return, sorted, the ids of those that are then as given.

        `declared` says that code declares them: that holds for five minutes (until just before ``now + 5 min``) and
        takes the place of whatever has the id. Without it, a schedule whose declaration holds is left alone, and with
        ``replace=False`` any other that is there. Repeated within half a minute, a declaration may not be written
        again.

        The next tick of a new schedule is the first one later than now. It stays when a schedule is stored again,
        unless cron text or time zone are others; then it is looked for anew, later than now. A pause stays. What is
        stored again just as it is, by the same kind of author, keeps its revision.

        Raises:
            InvalidJob: arguments or metadata cannot be stored.
            InvalidOption: two have one id.
            Unsupported: the connector keeps no schedules; likewise for the verbs below.
        """
        ...

    async def pause_schedules(
        self, ids: Sequence[str], *, paused: bool = True, now: datetime | None = None
    ) -> list[str]:
        """Let schedules not tick, or tick again; return the ids of those that there are, sorted.

        The first pause counts. Ticks during a pause are not missed ones: the next is the first later than its end.
        """
        ...

    async def remove_schedules(self, ids: Sequence[str], *, now: datetime | None = None) -> list[str]:
        """Forget schedules; return the ids of those that there were, sorted. Jobs that they have stored stay."""
        ...

    async def tick(self, moves: Sequence[Move], *, now: datetime | None = None) -> Ticked:
        """Move schedules on to their next ticks; then say which are due, as of one moment.

        A move is made, in order of ids, if the schedule still has the revision and is not paused. With it, as one step,
        a job is stored for each tick: due at the tick, with the schedule's id as ``pq.schedule`` and the tick as
        ``pq.tick`` in its metadata (ISO 8601, in UTC, whole seconds), expiring `max_delay` after the tick if there is
        one. If its unique key is taken, it is skipped. `last_tick` is then the last of the ticks, if there are any. A
        move is left for later if its schedule, or a unique key of its jobs, is in other hands just now.

        Due is what is not paused, and has ``next_tick <= now``, and is not undeclared: with ``declared_at <= now - 5
        min``. `next_in` counts undeclared ones, too.
        """
        ...

    async def migrate(self) -> list[str]:
        """Bring the schema up to date; return the names of what was applied, in order. Safe to call by many at once."""
        ...

    async def check(self) -> SchemaStatus:
        """Say what is installed.

        Raises:
            SchemaMissing: pq is not installed there.
            SchemaTooNew: a later version of pq has migrated it.
        """
        ...


class SyncTransactional(SyncConnector, Protocol):
    """The part for callers that cannot await of a connector that has transactions: see :class:`Transactional`."""

    def transaction(self) -> AbstractContextManager[Any]: ...
    def finish(
        self, outcomes: Sequence[Outcome], *, connection: Any = None, now: datetime | None = None
    ) -> list[int]: ...


class Transactional(Connector, Protocol):
    """A connector that has transactions of its own to lend, as jobs with ``delivery="transactional"`` need them.

    .. versionadded:: 0.1
    """

    @property
    def sync(self) -> SyncTransactional:
        """The twin for callers that cannot await: the same store."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """Lend a connection for a block, in an open transaction, for `connection=` of defer and finish.

        At the end of the block the transaction is committed; it is rolled back if an exception leaves the block, and if
        the process dies.

        Raises:
            ConnectionFailed: there is no connection to be had; or, at the end, it is not known whether that was
                committed.
            StoreBusy: at the end: it could not be committed, and is rolled back.
        """
        ...

    async def finish(
        self, outcomes: Sequence[Outcome], *, connection: Any = None, now: datetime | None = None
    ) -> list[int]:
        """Write outcomes, in a transaction of the caller's if `connection` is given: what it answers holds at its end.

        It is to be the last that is done in the transaction, since it may hold what others wait for, and if an outcome
        was not current, the transaction is to be rolled back. Until it ends, nobody else can change those jobs.

        Raises:
            TransactionRequired: no transaction is open, or it has failed, or it is not READ COMMITTED.
            StoreBusy: something is held elsewhere; the transaction goes on, and the same call may go through later.
        """
        ...


def has_transactions(connector: object) -> bool:
    """Whether it is a :class:`Transactional` connector."""
    return hasattr(connector, "transaction")
