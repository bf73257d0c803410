"""The two faces of the engine: `InMemoryConnector` for callers that await, its `.sync` twin for those that do not."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from pq_core.answers import Deferred, Fetched, JobState, Pause, QueueInfo, SchemaStatus, Standing
from pq_core.clock import Clock, utc_now
from pq_core.errors import ConnectorClosed, ForkedConnector, WrongConnection
from pq_core.health import Health
from pq_core.job import Job, NewJob
from pq_core.memory import steering
from pq_core.memory.claiming import Fetch, Heartbeat
from pq_core.memory.deferring import Defer
from pq_core.memory.ending import Finish, Leave, Rescue
from pq_core.memory.engine import Engine
from pq_core.memory.listing import Count, Everything, Find, Pauses, Queues
from pq_core.memory.reports import Examine, Stand, Workers
from pq_core.memory.reviving import Retry
from pq_core.memory.scheduling import ListSchedules, PauseSchedules, PutSchedules, RemoveSchedules, Tick
from pq_core.memory.steering import Cancel, Prune, Purge, Reschedule, Resume
from pq_core.memory.store import Operation
from pq_core.memory.transaction import MemoryTransaction
from pq_core.memory.watching import watched, watched_in_thread
from pq_core.outcome import Outcome, Progress
from pq_core.schedule import Move, NewSchedule, Schedule, Ticked
from pq_core.selection import JobChanges, JobFilter
from pq_core.states import State
from pq_core.watch import SyncWatch, Watch
from pq_core.worker_info import WorkerInfo, WorkerStatus

Answer = TypeVar("Answer")
REASON = "cancelled by request"


async def _let_others_run() -> None:
    """Wait a turn, as for a database; a cancellation comes here, before anything is done."""
    from anyio.lowlevel import checkpoint  # A caller that only defers shall not pay for it.

    await checkpoint()


class _Face:
    """What both faces have. Each is opened and closed by itself, as the two pools of a database connector are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._closed = False
        self._opened_in: int | None = None

    @property
    def jobs(self) -> dict[int, Job]:
        """All jobs by id, live and ended, as they are now: copies. Also of a closed connector."""
        return self._engine.do(Everything())

    def reset(self) -> None:
        """Forget all jobs, workers and pauses; the next job has the id 1. What open transactions deferred is gone."""
        self._engine.reset()

    def transaction(self) -> MemoryTransaction:
        """Return a transaction to enter with `with` or `async with`, and to pass as `connection=` to defer and finish.

        Jobs deferred in it exist, and wake workers, when it ends without an exception.
        """
        self._check_open()
        return MemoryTransaction(self._engine)

    def _open(self) -> None:
        self._closed = False
        self._opened_in = os.getpid()

    def _close(self) -> None:
        self._closed = self._opened_in is not None

    def _check_open(self) -> None:
        if self._closed:
            raise ConnectorClosed("the in-memory connector is closed; open() it again")
        if self._opened_in is not None and self._opened_in != os.getpid():
            raise ForkedConnector(
                f"this connector was opened in process {self._opened_in}, of which this one ({os.getpid()}) is a fork, "
                "so nobody there would see what is done here; open() it again to go on with a copy"
            )

    def _do(self, operation: Operation[Answer], now: datetime | None) -> Answer:
        self._check_open()
        return self._engine.do(operation, now)

    def _defer(self, jobs: Sequence[NewJob], connection: object, now: datetime | None) -> list[Deferred]:
        if connection is None:
            return self._do(Defer(jobs), now)
        return self._own(connection).defer(jobs, now)

    def _finish(self, outcomes: Sequence[Outcome], connection: object, now: datetime | None) -> list[int]:
        if connection is None:
            return self._do(Finish(outcomes), now)
        return self._own(connection).finish(outcomes, now)

    def _own(self, connection: object) -> MemoryTransaction:
        self._check_open()
        if not isinstance(connection, MemoryTransaction):
            raise WrongConnection(
                f"connection is a {type(connection).__module__}.{type(connection).__qualname__}; in memory, "
                "pass what `with connector.transaction() as transaction:` gives"
            )
        if not connection.belongs_to(self._engine):
            raise WrongConnection("connection is a transaction of another InMemoryConnector")
        return connection


class InMemoryConnector(_Face):
    """Keeps jobs in memory, by the rules by which PostgreSQL keeps them: for tests, and for trying things out.

    It may be used without open(), from many threads and event loops at once, under asyncio and trio. What a fork of the
    process has is a copy, and neither sees what the other does: a connector that was opened says so there.

    Args:
        clock: tells the time wherever a verb is given none, as an aware datetime. The real time is the default.

    .. versionadded:: 0.1
    """

    def __init__(self, *, clock: Clock = utc_now) -> None:
        super().__init__(Engine(clock))
        self._sync = SyncInMemoryConnector(self._engine)

    @property
    def sync(self) -> SyncInMemoryConnector:
        """The twin for callers that cannot await: the same jobs."""
        return self._sync

    async def open(self) -> None:
        """Undo close(), and bind the connector to this process; one that was never opened works in any."""
        self._open()

    async def close(self) -> None:
        """Refuse further use, until open(). Jobs stay."""
        self._close()
        self._engine.ring_for_all()

    async def defer(
        self, jobs: Sequence[NewJob], *, connection: Any = None, now: datetime | None = None
    ) -> list[Deferred]:
        """Store jobs, all or none, in their order."""
        self._check_open()
        await _let_others_run()
        return self._defer(jobs, connection, now)

    async def fetch(
        self, worker: int, queues: Sequence[str] | None, limit: int, *, now: datetime | None = None
    ) -> Fetched:
        """Claim up to `limit` runnable jobs. `again` is True only if the share of a queue left some."""
        return await self._do_async(Fetch(worker, queues, limit), now)

    async def finish(
        self, outcomes: Sequence[Outcome], *, connection: Any = None, now: datetime | None = None
    ) -> list[int]:
        """Write what became of runs; return the ids of those that were current."""
        self._check_open()
        await _let_others_run()
        return self._finish(outcomes, connection, now)

    async def heartbeat(
        self, worker: WorkerInfo, lease: timedelta, *, progress: Sequence[Progress] = (), now: datetime | None = None
    ) -> list[int]:
        """Make the worker known, or prolong its lease; return which of its jobs were asked to stop."""
        return await self._do_async(Heartbeat(worker, lease, progress), now)

    async def rescue(self, *, now: datetime | None = None) -> list[JobState]:
        """Forget workers whose lease has run out, and give back their running jobs."""
        return await self._do_async(Rescue(), now)

    async def leave(self, worker: int, *, now: datetime | None = None) -> list[JobState]:
        """Forget the worker, and release its running jobs."""
        return await self._do_async(Leave(worker), now)

    async def listen(self, queues: Sequence[str] | None, wake: Callable[[], None]) -> None:
        """Call `wake()` once, and then whenever there may be something to do, until cancelled.

        Raises:
            ConnectorClosed: the connector is closed, or was while this listened.
        """
        self._check_open()
        with self._engine.bell(queues) as bell:
            while True:
                self._check_open()
                wake()
                await bell.wait()

    def watch(self, job_id: int) -> AbstractAsyncContextManager[Watch]:
        """Be told of the end of a job."""
        self._check_open()
        return watched(self._engine, job_id)

    async def find(
        self, which: JobFilter, *, limit: int = 100, after: int = 0, now: datetime | None = None
    ) -> list[Job]:
        """Return up to `limit` jobs that fit, with ids above `after`, in order of id."""
        return await self._do_async(Find(which, limit, after), now)

    async def count(self, which: JobFilter, *, now: datetime | None = None) -> dict[State, int]:
        """Return how many jobs fit, by state."""
        return await self._do_async(Count(which), now)

    async def cancel(self, ids: Sequence[int], *, reason: str = REASON, now: datetime | None = None) -> list[JobState]:
        """End waiting jobs as cancelled; ask running ones to stop."""
        return await self._do_async(Cancel(ids, reason), now)

    async def retry(self, ids: Sequence[int], *, now: datetime | None = None) -> list[JobState]:
        """Make ended jobs live again."""
        return await self._do_async(Retry(ids), now)

    async def reschedule(
        self, ids: Sequence[int], changes: JobChanges, *, now: datetime | None = None
    ) -> list[JobState]:
        """Change waiting jobs."""
        return await self._do_async(Reschedule(ids, changes), now)

    async def prune(
        self,
        older_than: timedelta | None,
        *,
        states: Sequence[State] | None = None,
        limit: int | None = None,
        now: datetime | None = None,
    ) -> int:
        """Forget jobs that ended before `older_than` ago; return how many."""
        return await self._do_async(Prune(older_than, states, limit), now)

    async def workers(self, *, now: datetime | None = None) -> list[WorkerStatus]:
        """Return all workers that are known, in the order in which they came."""
        return await self._do_async(Workers(), now)

    async def standing(self, job_id: int, *, now: datetime | None = None) -> Standing:
        """Say where a live job stands among others."""
        return await self._do_async(Stand(job_id), now)

    async def health(self, *, now: datetime | None = None) -> Health:
        """Say how the queues are; memory has no tables to tell of."""
        return await self._do_async(Examine(), now)

    async def queues(self, *, now: datetime | None = None) -> list[QueueInfo]:
        """Return every queue that has live jobs or is paused, sorted by name."""
        return await self._do_async(Queues(), now)

    async def purge(self, ids: Sequence[int], *, now: datetime | None = None) -> list[int]:
        """Delete jobs that wait or have ended; return their ids."""
        return await self._do_async(Purge(ids), now)

    async def pause(
        self,
        queue: str | None = None,
        *,
        task: str | None = None,
        everything: bool = False,
        now: datetime | None = None,
    ) -> None:
        """Let no job of `queue`, or of `task`, or no job at all, be fetched until resume()."""
        await self._do_async(steering.Pause(queue, task, everything), now)

    async def resume(
        self,
        queue: str | None = None,
        *,
        task: str | None = None,
        everything: bool = False,
        now: datetime | None = None,
    ) -> None:
        """Undo pause()."""
        await self._do_async(Resume(queue, task, everything), now)

    async def pauses(self, *, now: datetime | None = None) -> list[Pause]:
        """Return what is paused, sorted by kind, then by name."""
        return await self._do_async(Pauses(), now)

    async def schedules(self, ids: Sequence[str] | None = None, *, now: datetime | None = None) -> list[Schedule]:
        """Return the schedules with these ids, or all, sorted by id."""
        return await self._do_async(ListSchedules(ids), now)

    async def put_schedules(
        self,
        schedules: Sequence[NewSchedule],
        *,
        declared: bool = False,
        replace: bool = True,
        now: datetime | None = None,
    ) -> list[str]:
        """Store schedules; return the ids of those that are then as given."""
        return await self._do_async(PutSchedules(schedules, declared, replace), now)

    async def pause_schedules(
        self, ids: Sequence[str], *, paused: bool = True, now: datetime | None = None
    ) -> list[str]:
        """Let schedules not tick, or tick again."""
        return await self._do_async(PauseSchedules(ids, paused), now)

    async def remove_schedules(self, ids: Sequence[str], *, now: datetime | None = None) -> list[str]:
        """Forget schedules."""
        return await self._do_async(RemoveSchedules(ids), now)

    async def tick(self, moves: Sequence[Move], *, now: datetime | None = None) -> Ticked:
        """Move schedules on to their next ticks; say which are due."""
        return await self._do_async(Tick(moves), now)

    async def migrate(self) -> list[str]:
        """Return no name: memory has no schema."""
        await _let_others_run()
        return []

    async def check(self) -> SchemaStatus:
        """Return that nothing is missing."""
        await _let_others_run()
        return SchemaStatus(version=1)

    async def _do_async(self, operation: Operation[Answer], now: datetime | None) -> Answer:
        self._check_open()
        await _let_others_run()
        return self._do(operation, now)


class SyncInMemoryConnector(_Face):
    """The twin of :class:`InMemoryConnector` for callers that cannot await.

    .. versionadded:: 0.1
    """

    def open(self) -> None:
        """Undo close(), and bind the connector to this process; one that was never opened works in any."""
        self._open()

    def close(self) -> None:
        """Refuse further use, until open(). Jobs stay."""
        self._close()

    def defer(self, jobs: Sequence[NewJob], *, connection: Any = None, now: datetime | None = None) -> list[Deferred]:
        """Store jobs, all or none, in their order."""
        return self._defer(jobs, connection, now)

    def finish(self, outcomes: Sequence[Outcome], *, connection: Any = None, now: datetime | None = None) -> list[int]:
        """Write what became of runs; return the ids of those that were current."""
        return self._finish(outcomes, connection, now)

    def watch(self, job_id: int) -> AbstractContextManager[SyncWatch]:
        """Be told of the end of a job."""
        self._check_open()
        return watched_in_thread(self._engine, job_id)

    def find(self, which: JobFilter, *, limit: int = 100, after: int = 0, now: datetime | None = None) -> list[Job]:
        """Return up to `limit` jobs that fit, with ids above `after`, in order of id."""
        return self._do(Find(which, limit, after), now)

    def count(self, which: JobFilter, *, now: datetime | None = None) -> dict[State, int]:
        """Return how many jobs fit, by state."""
        return self._do(Count(which), now)

    def cancel(self, ids: Sequence[int], *, reason: str = REASON, now: datetime | None = None) -> list[JobState]:
        """End waiting jobs as cancelled; ask running ones to stop."""
        return self._do(Cancel(ids, reason), now)

    def retry(self, ids: Sequence[int], *, now: datetime | None = None) -> list[JobState]:
        """Make ended jobs live again."""
        return self._do(Retry(ids), now)

    def reschedule(self, ids: Sequence[int], changes: JobChanges, *, now: datetime | None = None) -> list[JobState]:
        """Change waiting jobs."""
        return self._do(Reschedule(ids, changes), now)

    def prune(
        self,
        older_than: timedelta | None,
        *,
        states: Sequence[State] | None = None,
        limit: int | None = None,
        now: datetime | None = None,
    ) -> int:
        """Forget jobs that ended before `older_than` ago; return how many."""
        return self._do(Prune(older_than, states, limit), now)

    def workers(self, *, now: datetime | None = None) -> list[WorkerStatus]:
        """Return all workers that are known, in the order in which they came."""
        return self._do(Workers(), now)

    def standing(self, job_id: int, *, now: datetime | None = None) -> Standing:
        """Say where a live job stands among others."""
        return self._do(Stand(job_id), now)

    def health(self, *, now: datetime | None = None) -> Health:
        """Say how the queues are; memory has no tables to tell of."""
        return self._do(Examine(), now)

    def queues(self, *, now: datetime | None = None) -> list[QueueInfo]:
        """Return every queue that has live jobs or is paused, sorted by name."""
        return self._do(Queues(), now)

    def purge(self, ids: Sequence[int], *, now: datetime | None = None) -> list[int]:
        """Delete jobs that wait or have ended; return their ids."""
        return self._do(Purge(ids), now)

    def pause(
        self,
        queue: str | None = None,
        *,
        task: str | None = None,
        everything: bool = False,
        now: datetime | None = None,
    ) -> None:
        """Let no job of `queue`, or of `task`, or no job at all, be fetched until resume()."""
        self._do(steering.Pause(queue, task, everything), now)

    def resume(
        self,
        queue: str | None = None,
        *,
        task: str | None = None,
        everything: bool = False,
        now: datetime | None = None,
    ) -> None:
        """Undo pause()."""
        self._do(Resume(queue, task, everything), now)

    def pauses(self, *, now: datetime | None = None) -> list[Pause]:
        """Return what is paused, sorted by kind, then by name."""
        return self._do(Pauses(), now)

    def schedules(self, ids: Sequence[str] | None = None, *, now: datetime | None = None) -> list[Schedule]:
        """Return the schedules with these ids, or all, sorted by id."""
        return self._do(ListSchedules(ids), now)

    def put_schedules(
        self,
        schedules: Sequence[NewSchedule],
        *,
        declared: bool = False,
        replace: bool = True,
        now: datetime | None = None,
    ) -> list[str]:
        """Store schedules; return the ids of those that are then as given."""
        return self._do(PutSchedules(schedules, declared, replace), now)

    def pause_schedules(self, ids: Sequence[str], *, paused: bool = True, now: datetime | None = None) -> list[str]:
        """Let schedules not tick, or tick again."""
        return self._do(PauseSchedules(ids, paused), now)

    def remove_schedules(self, ids: Sequence[str], *, now: datetime | None = None) -> list[str]:
        """Forget schedules."""
        return self._do(RemoveSchedules(ids), now)

    def tick(self, moves: Sequence[Move], *, now: datetime | None = None) -> Ticked:
        """Move schedules on to their next ticks; say which are due."""
        return self._do(Tick(moves), now)

    def migrate(self) -> list[str]:
        """Return no name: memory has no schema."""
        return []

    def check(self) -> SchemaStatus:
        """Return that nothing is missing."""
        return SchemaStatus(version=1)
