"""The engine's face for callers that do not await."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from pq_core.answers import Deferred, JobState, Pause, QueueInfo, SchemaStatus, Standing
from pq_core.health import Health
from pq_core.job import Job, NewJob
from pq_core.memory import steering
from pq_core.memory.face import REASON, Face
from pq_core.memory.listing import Count, Find, Pauses, Queues
from pq_core.memory.reports import Examine, Stand, Workers
from pq_core.memory.reviving import Retry
from pq_core.memory.scheduling import ListSchedules, PauseSchedules, PutSchedules, RemoveSchedules, Tick
from pq_core.memory.steering import Cancel, Prune, Purge, Reschedule, Resume
from pq_core.memory.watching import watched_in_thread
from pq_core.outcome import Outcome
from pq_core.schedule import Move, NewSchedule, Schedule, Ticked
from pq_core.selection import JobChanges, JobFilter
from pq_core.states import State
from pq_core.watch import SyncWatch
from pq_core.worker_info import WorkerStatus


class SyncInMemoryConnector(Face):
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
