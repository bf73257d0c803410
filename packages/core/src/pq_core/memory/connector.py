"""The engine's face for callers that await."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any

from pq_core.answers import Deferred, Fetched, JobState, Pause, QueueInfo, SchemaStatus, Standing
from pq_core.clock import Clock, utc_now
from pq_core.health import Health
from pq_core.job import Job, NewJob
from pq_core.memory import steering
from pq_core.memory.claiming import Fetch, Heartbeat
from pq_core.memory.ending import Leave, Rescue
from pq_core.memory.engine import Engine
from pq_core.memory.face import REASON, Answer, Face
from pq_core.memory.listing import Count, Find, Pauses, Queues
from pq_core.memory.reports import Examine, Stand, Workers
from pq_core.memory.reviving import Retry
from pq_core.memory.scheduling import ListSchedules, PauseSchedules, PutSchedules, RemoveSchedules, Tick
from pq_core.memory.steering import Cancel, Prune, Purge, Reschedule, Resume
from pq_core.memory.store import Operation
from pq_core.memory.sync_connector import SyncInMemoryConnector
from pq_core.memory.watching import watched
from pq_core.outcome import Outcome, Progress
from pq_core.schedule import Move, NewSchedule, Schedule, Ticked
from pq_core.selection import JobChanges, JobFilter
from pq_core.states import State
from pq_core.watch import Watch
from pq_core.worker_info import WorkerInfo, WorkerStatus


class InMemoryConnector(Face):
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


async def _let_others_run() -> None:
    """Wait a turn, as for a database; a cancellation comes here, before anything is done."""
    from anyio.lowlevel import checkpoint  # A caller that only defers shall not pay for it.

    await checkpoint()
