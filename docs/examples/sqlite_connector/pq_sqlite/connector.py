"""The two faces of the database: `SQLiteConnector` for callers that await, its `.sync` twin for those that do not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
from anyio import to_thread

from pq_core.connector import (
    Deferred,
    Fetched,
    JobChanges,
    JobFilter,
    JobState,
    Pause,
    QueueInfo,
    SchemaStatus,
    Standing,
    WorkerInfo,
    WorkerStatus,
)
from pq_core.errors import WrongConnection
from pq_core.health import Health
from pq_core.job import Job, NewJob
from pq_core.outcome import Outcome, Progress
from pq_core.states import State
from pq_core.watch import SyncWatch, Watch
from pq_sqlite import claiming, deferring, ending, listing, reports, steering
from pq_sqlite.database import Database
from pq_sqlite.scheduling import NoSchedules, NoSchedulesSync
from pq_sqlite.watching import gone, watched, watched_in_thread

Params = ParamSpec("Params")
Answer = TypeVar("Answer")
PAUSE = 0.01
"""Seconds between two looks at the bells: SQLite tells nobody of a change."""
REASON = "cancelled by request"
Now = datetime | None


class SQLiteConnector(NoSchedules):
    """Keeps jobs in a file of SQLite. It cannot join a transaction of the caller's, which would stop every worker."""

    def __init__(self, path: str | Path) -> None:
        self._database = Database(path)
        self._sync = SyncSQLiteConnector(Database(path))

    @property
    def sync(self) -> SyncSQLiteConnector:
        return self._sync

    async def open(self) -> None:
        await to_thread.run_sync(self._database.open)

    async def close(self) -> None:
        await to_thread.run_sync(self._database.close)

    async def defer(self, jobs: Sequence[NewJob], *, connection: Any = None, now: Now = None) -> list[Deferred]:
        self._database.check_open()
        refuse(connection)
        return await self._do(deferring.defer, now, jobs)

    async def fetch(self, worker: int, queues: Sequence[str] | None, limit: int, *, now: Now = None) -> Fetched:
        return await self._do(claiming.fetch, now, worker, queues, limit)

    async def finish(self, outcomes: Sequence[Outcome], *, now: Now = None) -> list[int]:
        return await self._do(ending.finish, now, outcomes)

    async def heartbeat(
        self, worker: WorkerInfo, lease: timedelta, *, progress: Sequence[Progress] = (), now: Now = None
    ) -> list[int]:
        return await self._do(claiming.heartbeat, now, worker, lease, progress)

    async def rescue(self, *, now: Now = None) -> list[JobState]:
        return await self._do(ending.rescue, now)

    async def leave(self, worker: int, *, now: Now = None) -> list[JobState]:
        return await self._do(ending.leave, now, worker)

    async def listen(self, queues: Sequence[str] | None, wake: Callable[[], None]) -> None:
        heard = None
        while True:
            rung = await self._do(listing.rings, None, queues)
            if rung != heard:
                wake()
            heard = rung
            await anyio.sleep(PAUSE)

    def watch(self, job_id: int) -> AbstractAsyncContextManager[Watch]:
        return watched(partial(self._do, gone, None, job_id))

    async def find(self, which: JobFilter, *, limit: int = 100, after: int = 0, now: Now = None) -> list[Job]:
        return await self._do(listing.find, now, which, limit, after)

    async def count(self, which: JobFilter, *, now: Now = None) -> dict[State, int]:
        return await self._do(listing.count, now, which)

    async def cancel(self, ids: Sequence[int], *, reason: str = REASON, now: Now = None) -> list[JobState]:
        return await self._do(steering.cancel, now, ids, reason)

    async def retry(self, ids: Sequence[int], *, now: Now = None) -> list[JobState]:
        return await self._do(steering.retry, now, ids)

    async def reschedule(self, ids: Sequence[int], changes: JobChanges, *, now: Now = None) -> list[JobState]:
        return await self._do(steering.reschedule, now, ids, changes)

    async def prune(
        self,
        older_than: timedelta | None,
        *,
        states: Sequence[State] | None = None,
        limit: int | None = None,
        now: Now = None,
    ) -> int:
        return await self._do(steering.prune, now, older_than, states, limit)

    async def workers(self, *, now: Now = None) -> list[WorkerStatus]:
        return await self._do(reports.workers, now)

    async def standing(self, job_id: int, *, now: Now = None) -> Standing:
        return await self._do(reports.standing, now, job_id)

    async def health(self, *, now: Now = None) -> Health:
        return await self._do(reports.health, now)

    async def queues(self, *, now: Now = None) -> list[QueueInfo]:
        return await self._do(listing.queues, now)

    async def purge(self, ids: Sequence[int], *, now: Now = None) -> list[int]:
        return await self._do(steering.purge, now, ids)

    async def pause(
        self, queue: str | None = None, *, task: str | None = None, everything: bool = False, now: Now = None
    ) -> None:
        await self._do(steering.pause, now, queue, task, everything)

    async def resume(
        self, queue: str | None = None, *, task: str | None = None, everything: bool = False, now: Now = None
    ) -> None:
        await self._do(steering.resume, now, queue, task, everything)

    async def pauses(self, *, now: Now = None) -> list[Pause]:
        return await self._do(listing.pauses, now)

    async def migrate(self) -> list[str]:
        return await to_thread.run_sync(self._database.migrate)

    async def check(self) -> SchemaStatus:
        return await to_thread.run_sync(self._database.check)

    async def _do(
        self,
        verb: Callable[Concatenate[sqlite3.Connection, datetime, Params], Answer],
        now: Now,
        *args: Params.args,
        **options: Params.kwargs,
    ) -> Answer:
        self._database.check_open()  # In a fork there may be no thread to ask it in.
        return await to_thread.run_sync(partial(self._database.do, verb, now, *args, **options))


class SyncSQLiteConnector(NoSchedulesSync):
    def __init__(self, database: Database) -> None:
        self._database = database
        self.open, self.close = database.open, database.close
        self.migrate, self.check = database.migrate, database.check

    def defer(self, jobs: Sequence[NewJob], *, connection: Any = None, now: Now = None) -> list[Deferred]:
        refuse(connection)
        return self._database.do(deferring.defer, now, jobs)

    def watch(self, job_id: int) -> AbstractContextManager[SyncWatch]:
        return watched_in_thread(partial(self._database.do, gone, None, job_id))

    def find(self, which: JobFilter, *, limit: int = 100, after: int = 0, now: Now = None) -> list[Job]:
        return self._database.do(listing.find, now, which, limit, after)

    def count(self, which: JobFilter, *, now: Now = None) -> dict[State, int]:
        return self._database.do(listing.count, now, which)

    def cancel(self, ids: Sequence[int], *, reason: str = REASON, now: Now = None) -> list[JobState]:
        return self._database.do(steering.cancel, now, ids, reason)

    def retry(self, ids: Sequence[int], *, now: Now = None) -> list[JobState]:
        return self._database.do(steering.retry, now, ids)

    def reschedule(self, ids: Sequence[int], changes: JobChanges, *, now: Now = None) -> list[JobState]:
        return self._database.do(steering.reschedule, now, ids, changes)

    def prune(
        self,
        older_than: timedelta | None,
        *,
        states: Sequence[State] | None = None,
        limit: int | None = None,
        now: Now = None,
    ) -> int:
        return self._database.do(steering.prune, now, older_than, states, limit)

    def workers(self, *, now: Now = None) -> list[WorkerStatus]:
        return self._database.do(reports.workers, now)

    def standing(self, job_id: int, *, now: Now = None) -> Standing:
        return self._database.do(reports.standing, now, job_id)

    def health(self, *, now: Now = None) -> Health:
        return self._database.do(reports.health, now)

    def queues(self, *, now: Now = None) -> list[QueueInfo]:
        return self._database.do(listing.queues, now)

    def purge(self, ids: Sequence[int], *, now: Now = None) -> list[int]:
        return self._database.do(steering.purge, now, ids)

    def pause(
        self, queue: str | None = None, *, task: str | None = None, everything: bool = False, now: Now = None
    ) -> None:
        self._database.do(steering.pause, now, queue, task, everything)

    def resume(
        self, queue: str | None = None, *, task: str | None = None, everything: bool = False, now: Now = None
    ) -> None:
        self._database.do(steering.resume, now, queue, task, everything)

    def pauses(self, *, now: Now = None) -> list[Pause]:
        return self._database.do(listing.pauses, now)


def refuse(connection: object) -> None:
    if connection is not None:
        raise WrongConnection(f"a file of SQLite has one writer, so jobs cannot wait in yours: {connection!r}")
