"""The asynchronous verbs that are one statement each, wherever that is run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from pq_core.answers import Fetched, JobState, Pause, QueueInfo, Standing
from pq_core.health import Health
from pq_core.job import Job
from pq_core.outcome import Progress
from pq_core.postgres.link import Link
from pq_core.postgres.statements import Statement
from pq_core.schedule import Move, NewSchedule, Schedule, Ticked
from pq_core.selection import JobChanges, JobFilter
from pq_core.states import State
from pq_core.worker_info import WorkerInfo, WorkerStatus

T = TypeVar("T")


class Verbs(ABC):
    """What a connector through a pool and one that is bound to a transaction have in common."""

    _link: Link

    @abstractmethod
    async def _run(self, statement: Statement[T]) -> T:
        """Run a statement; return what its answer means."""

    async def fetch(
        self, worker: int, queues: Sequence[str] | None, limit: int, *, now: datetime | None = None
    ) -> Fetched:
        return await self._run(self._link.statements.fetch(worker, queues, limit, now))

    async def heartbeat(
        self, worker: WorkerInfo, lease: timedelta, *, progress: Sequence[Progress] = (), now: datetime | None = None
    ) -> list[int]:
        return await self._run(self._link.statements.heartbeat(worker, lease, progress, now))

    async def rescue(self, *, now: datetime | None = None) -> list[JobState]:
        return await self._run(self._link.statements.rescue(now))

    async def leave(self, worker: int, *, now: datetime | None = None) -> list[JobState]:
        return await self._run(self._link.statements.leave(worker, now))

    async def find(
        self, which: JobFilter, *, limit: int = 100, after: int = 0, now: datetime | None = None
    ) -> list[Job]:
        return await self._run(self._link.statements.find(which, limit, after, now))

    async def count(self, which: JobFilter, *, now: datetime | None = None) -> dict[State, int]:
        return await self._run(self._link.statements.count(which, now))

    async def cancel(
        self, ids: Sequence[int], *, reason: str = "cancelled by request", now: datetime | None = None
    ) -> list[JobState]:
        return await self._run(self._link.statements.cancel(ids, reason, now))

    async def retry(self, ids: Sequence[int], *, now: datetime | None = None) -> list[JobState]:
        return await self._run(self._link.statements.retry(ids, now))

    async def reschedule(
        self, ids: Sequence[int], changes: JobChanges, *, now: datetime | None = None
    ) -> list[JobState]:
        return await self._run(self._link.statements.reschedule(ids, changes, now))

    async def prune(
        self,
        older_than: timedelta | None,
        *,
        states: Sequence[State] | None = None,
        limit: int | None = None,
        now: datetime | None = None,
    ) -> int:
        return await self._run(self._link.statements.prune(older_than, states, limit, now))

    async def workers(self, *, now: datetime | None = None) -> list[WorkerStatus]:
        return await self._run(self._link.statements.workers(now))

    async def standing(self, job_id: int, *, now: datetime | None = None) -> Standing:
        return await self._run(self._link.statements.standing(job_id, now))

    async def health(self, *, now: datetime | None = None) -> Health:
        return await self._run(self._link.statements.health(now))

    async def queues(self, *, now: datetime | None = None) -> list[QueueInfo]:
        return await self._run(self._link.statements.queues(now))

    async def purge(self, ids: Sequence[int], *, now: datetime | None = None) -> list[int]:
        return await self._run(self._link.statements.purge(ids, now))

    async def pause(
        self,
        queue: str | None = None,
        *,
        task: str | None = None,
        everything: bool = False,
        now: datetime | None = None,
    ) -> None:
        await self._run(self._link.statements.pause(queue, task, now, everything=everything))

    async def resume(
        self,
        queue: str | None = None,
        *,
        task: str | None = None,
        everything: bool = False,
        now: datetime | None = None,
    ) -> None:
        await self._run(self._link.statements.resume(queue, task, now, everything=everything))

    async def pauses(self, *, now: datetime | None = None) -> list[Pause]:
        return await self._run(self._link.statements.pauses(now))

    async def schedules(self, ids: Sequence[str] | None = None, *, now: datetime | None = None) -> list[Schedule]:
        return await self._run(self._link.statements.schedules(ids, now))

    async def put_schedules(
        self,
        schedules: Sequence[NewSchedule],
        *,
        declared: bool = False,
        replace: bool = True,
        now: datetime | None = None,
    ) -> list[str]:
        return await self._run(
            self._link.statements.put_schedules(schedules, declared=declared, replace=replace, now=now)
        )

    async def pause_schedules(
        self, ids: Sequence[str], *, paused: bool = True, now: datetime | None = None
    ) -> list[str]:
        return await self._run(self._link.statements.pause_schedules(ids, paused=paused, now=now))

    async def remove_schedules(self, ids: Sequence[str], *, now: datetime | None = None) -> list[str]:
        return await self._run(self._link.statements.remove_schedules(ids, now))

    async def tick(self, moves: Sequence[Move], *, now: datetime | None = None) -> Ticked:
        return await self._run(self._link.statements.tick(moves, now))
