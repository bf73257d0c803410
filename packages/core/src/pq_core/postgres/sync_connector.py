"""The synchronous colour: runs the statements on a pool of its own, for callers that cannot await."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar, cast

import attrs
import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool

from pq_core.answers import Deferred, JobState, Pause, QueueInfo, SchemaStatus, Standing
from pq_core.errors import ConnectionFailed
from pq_core.health import Health
from pq_core.job import Job, NewJob
from pq_core.outcome import Outcome
from pq_core.postgres import schema
from pq_core.postgres.callers import any_sync_driver, is_psycopg2, sync_driver
from pq_core.postgres.cursors import cursor_on
from pq_core.postgres.door import Door
from pq_core.postgres.faults import breaks_preparing, translate, unspeakable
from pq_core.postgres.link import ISOLATION, Link, settings_to_mend
from pq_core.postgres.other_drivers import run_psycopg2
from pq_core.postgres.pools import SyncPool
from pq_core.postgres.schema import Conversation
from pq_core.postgres.statements import Statement
from pq_core.postgres.streaming import store_batches
from pq_core.postgres.transactions import IDLE, MOST, guarded, transaction
from pq_core.postgres.watching import watched_in_thread
from pq_core.schedule import Move, NewSchedule, Schedule, Ticked
from pq_core.selection import JobChanges, JobFilter
from pq_core.states import State
from pq_core.streaming import Tell
from pq_core.watch import SyncWatch
from pq_core.worker_info import WorkerStatus

T = TypeVar("T")


class SyncPsycopgConnector:
    """`PsycopgConnector.sync`: see :class:`pq_core.connector.SyncConnector` for what each verb means.

    The pool is opened by open(), or when first needed.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._pool: ConnectionPool[psycopg.Connection] | None = None
        self._door = Door()
        self._opening = threading.Lock()
        self._aside: SyncPsycopgConnector | None = None

    def open(self) -> None:
        """Open the pool.

        Raises:
            ConnectionFailed: the database does not answer, or refuses.
            DatabaseRefused: a test did not ask for a real database.
        """
        if self._door.open():
            self._pool = None
        self._opened_pool()

    def close(self) -> None:
        """Close the pool; the connector can be opened again."""
        if self._aside is not None:
            self._aside.close()
        pool, self._pool = self._pool, None
        if self._door.close() and pool is not None:
            pool.close()

    def defer(self, jobs: Sequence[NewJob], *, connection: Any = None, now: datetime | None = None) -> list[Deferred]:
        if connection is None and jobs:
            return self._run(self._link.statements.defer(jobs, now, alone=True))
        self._door.check()
        if not jobs:
            return []
        statement = self._link.statements.defer(jobs, now)
        driver = any_sync_driver(connection)
        if is_psycopg2(driver):
            return run_psycopg2(driver, statement, self._link.schema)
        return self._run_on(sync_driver(connection), statement)

    def defer_batches(self, batches: Iterable[Sequence[NewJob]], tell: Tell) -> None:
        self._door.check()
        with transaction(self._pool_for_transactions(), self._link) as connection:
            make = partial(self._link.statements.defer, now=None)
            store_batches(connection, batches, make, tell, self._link.schema)

    def finish(self, outcomes: Sequence[Outcome], *, connection: Any = None, now: datetime | None = None) -> list[int]:
        self._door.check()
        if not outcomes:
            return []
        statement = self._link.statements.finish(outcomes, now)
        if connection is None:
            return self._run(statement)
        driver = sync_driver(connection)
        with guarded(driver, self._link.schema):
            return self._run_on(driver, statement)

    @contextmanager
    def transaction(self) -> Generator[Any]:
        self._door.check()
        if self._link.transactions is not None:
            with self._link.transactions() as connection:
                yield connection
            return
        with transaction(self._pool_for_transactions(), self._link) as connection:
            yield connection

    def watch(self, job_id: int) -> AbstractContextManager[SyncWatch]:
        self._door.check()
        return watched_in_thread(self._link, job_id)

    def find(self, which: JobFilter, *, limit: int = 100, after: int = 0, now: datetime | None = None) -> list[Job]:
        return self._run(self._link.statements.find(which, limit, after, now))

    def count(self, which: JobFilter, *, now: datetime | None = None) -> dict[State, int]:
        return self._run(self._link.statements.count(which, now))

    def cancel(
        self, ids: Sequence[int], *, reason: str = "cancelled by request", now: datetime | None = None
    ) -> list[JobState]:
        return self._run(self._link.statements.cancel(ids, reason, now))

    def retry(self, ids: Sequence[int], *, now: datetime | None = None) -> list[JobState]:
        return self._run(self._link.statements.retry(ids, now))

    def reschedule(self, ids: Sequence[int], changes: JobChanges, *, now: datetime | None = None) -> list[JobState]:
        return self._run(self._link.statements.reschedule(ids, changes, now))

    def prune(
        self,
        older_than: timedelta | None,
        *,
        states: Sequence[State] | None = None,
        limit: int | None = None,
        now: datetime | None = None,
    ) -> int:
        return self._run(self._link.statements.prune(older_than, states, limit, now))

    def workers(self, *, now: datetime | None = None) -> list[WorkerStatus]:
        return self._run(self._link.statements.workers(now))

    def standing(self, job_id: int, *, now: datetime | None = None) -> Standing:
        return self._run(self._link.statements.standing(job_id, now))

    def health(self, *, now: datetime | None = None) -> Health:
        return self._run(self._link.statements.health(now))

    def queues(self, *, now: datetime | None = None) -> list[QueueInfo]:
        return self._run(self._link.statements.queues(now))

    def purge(self, ids: Sequence[int], *, now: datetime | None = None) -> list[int]:
        return self._run(self._link.statements.purge(ids, now))

    def pause(
        self,
        queue: str | None = None,
        *,
        task: str | None = None,
        everything: bool = False,
        now: datetime | None = None,
    ) -> None:
        self._run(self._link.statements.pause(queue, task, now, everything=everything))

    def resume(
        self,
        queue: str | None = None,
        *,
        task: str | None = None,
        everything: bool = False,
        now: datetime | None = None,
    ) -> None:
        self._run(self._link.statements.resume(queue, task, now, everything=everything))

    def pauses(self, *, now: datetime | None = None) -> list[Pause]:
        return self._run(self._link.statements.pauses(now))

    def schedules(self, ids: Sequence[str] | None = None, *, now: datetime | None = None) -> list[Schedule]:
        return self._run(self._link.statements.schedules(ids, now))

    def put_schedules(
        self,
        schedules: Sequence[NewSchedule],
        *,
        declared: bool = False,
        replace: bool = True,
        now: datetime | None = None,
    ) -> list[str]:
        return self._run(self._link.statements.put_schedules(schedules, declared=declared, replace=replace, now=now))

    def pause_schedules(self, ids: Sequence[str], *, paused: bool = True, now: datetime | None = None) -> list[str]:
        return self._run(self._link.statements.pause_schedules(ids, paused=paused, now=now))

    def remove_schedules(self, ids: Sequence[str], *, now: datetime | None = None) -> list[str]:
        return self._run(self._link.statements.remove_schedules(ids, now))

    def tick(self, moves: Sequence[Move], *, now: datetime | None = None) -> Ticked:
        return self._run(self._link.statements.tick(moves, now))

    def migrate(self) -> list[str]:
        return self._converse(lambda: schema.upgrade(self._link.schema))

    def check(self) -> SchemaStatus:
        return self._converse(lambda: schema.status(self._link.schema))

    def _run(self, statement: Statement[T]) -> T:
        pool = self._opened_pool()
        try:
            connection = pool.getconn()
            try:
                connection.prepare_threshold = 5 if self._link.preparing else None
                return self._run_on(connection, statement)
            finally:
                pool.putconn(connection)
        except psycopg.Error as fault:
            raise translate(fault, self._link.schema) from fault
        except ConnectionFailed:
            # What broke one connection has often broken all: one error is enough to have them looked at.
            pool.check()
            raise

    def _run_on(self, connection: psycopg.Connection, statement: Statement[T]) -> T:
        try:
            cursor = cursor_on(connection, kept=statement.kept)
            return statement.read(cursor.execute(statement.text, statement.parameters).fetchall())
        except psycopg.Error as fault:
            if not (breaks_preparing(fault) and connection.autocommit and self._link.stop_preparing()):
                raise translate(fault, self._link.schema) from fault
        except UnicodeEncodeError as fault:
            raise unspeakable(fault) from fault
        connection.prepare_threshold = None
        return self._run_on(connection, statement)

    def _converse(self, begin: Callable[[], Conversation[T]]) -> T:
        self._link.check_permitted()
        for attempts_left in reversed(range(schema.ATTEMPTS)):
            try:
                with psycopg.connect(self._link.conninfo, prepare_threshold=None, row_factory=tuple_row) as connection:
                    return _drive(connection, begin())
            except psycopg.errors.LockNotAvailable as fault:
                if not attempts_left:
                    raise translate(fault, self._link.schema) from fault
            except psycopg.Error as fault:
                raise translate(fault, self._link.schema) from fault
        raise AssertionError  # the last round returns or raises

    def _opened_pool(self) -> SyncPool:
        self._door.check()
        self._link.check_permitted()
        pool = self._pool
        if pool is None:
            with self._opening:
                pool = self._pool
                if pool is None:
                    self._probe()
                    pool = ConnectionPool(
                        **self._link.pool_options, kwargs=self._link.connection_options, configure=_configure
                    )
                    try:
                        pool.open(wait=True)
                    except psycopg.Error as fault:
                        raise translate(fault, self._link.schema) from fault
                    # Threads that wait for work would hold up the end of a program that closes nothing.
                    weakref.finalize(self, _close_at_exit, pool, os.getpid())
                    self._door.enter()
                    self._pool = pool
        return pool

    def _pool_for_transactions(self) -> SyncPool:
        with self._opening:
            if self._aside is None:
                self._aside = SyncPsycopgConnector(attrs.evolve(self._link, min_size=0, max_size=MOST, max_idle=IDLE))
        return self._aside._opened_pool()  # noqa: SLF001 - of this class

    def _probe(self) -> None:
        """Connect once: a pool would only say after its timeout that it could not, and not why."""
        try:
            psycopg.connect(self._link.conninfo, autocommit=True).close()
        except psycopg.Error as fault:
            raise translate(fault, self._link.schema) from fault


def _close_at_exit(pool: ConnectionPool[psycopg.Connection], pid: int) -> None:
    if os.getpid() == pid and not pool.closed:
        pool.close(timeout=1)


def _configure(connection: psycopg.Connection) -> None:
    for statement in settings_to_mend(connection, connection.execute(ISOLATION).fetchone()):
        connection.execute(statement)


def _drive(connection: psycopg.Connection[Any], conversation: Conversation[T]) -> T:
    try:
        text, parameters = next(conversation)
        while True:
            cursor = connection.execute(cast("Any", text), parameters or None)
            rows = cursor.fetchall() if cursor.description else []
            text, parameters = conversation.send(rows)
    except StopIteration as end:
        return cast("T", end.value)
