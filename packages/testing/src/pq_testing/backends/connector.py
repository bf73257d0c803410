"""A connector for one test, or for one worker in it: PsycopgConnector on connections that need no pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs
import psycopg

from pq_core.connector import Fetched
from pq_core.outcome import Outcome
from pq_core.postgres.connector import PsycopgConnector
from pq_core.postgres.link import Link
from pq_core.postgres.pools import AsyncPool, SyncPool
from pq_core.postgres.statements import Statement
from pq_core.postgres.sync_connector import SyncPsycopgConnector
from pq_testing.backends.held import held_connections
from pq_testing.backends.stock import Lender, Stock

if TYPE_CHECKING:  # A backend makes these.
    from pq_testing.backends.postgres import PostgresBackend


class BackendConnector(PsycopgConnector):
    """A connector to the PostgreSQL for tests.

    It works in several event loops, one after the other or interleaved, and need be neither opened nor closed. What
    keeps tests off real databases does not concern it.

    .. versionadded:: 0.1
    """

    def __init__(self, backend: PostgresBackend, stock: Stock, clock: Callable[[], datetime] | None) -> None:
        super().__init__(backend.dsn, schema=backend.schema, clock=clock)
        self._link.refusable = False
        self._backend = backend
        self._lender = Lender(self._link, stock)
        self._sync: _SyncTwin = _SyncTwin(self._link, self._lender)
        self._stays_open = False

    def stay_open(self) -> None:
        """Let nobody close this connector: an app that its test client has shut down can be asked for its jobs."""
        self._stays_open = self._sync.stays_open = True

    async def close(self) -> None:
        """Refuse further use, until open(), unless it is to stay open."""
        if not self._stays_open:
            await super().close()

    @property
    def pids(self) -> set[int]:
        """Process ids, on the server, of the connections that it holds."""
        return self._lender.pids

    def with_pool(self, *, min_size: int | None = None, max_size: int | None = None) -> PsycopgConnector:
        """Return another connector to the same place. There is no pool that could have a size."""
        super().with_pool(min_size=min_size, max_size=max_size)  # refuses sizes that cannot be
        return self._backend.connector(self._link.clock)

    def terminate(self, job: object = None) -> None:  # noqa: ARG002 - only a worker runs one
        """End its sessions on the server, as the death of a worker does; wait until they are gone.

        What was begun is rolled back. The connector can go on, on new connections.
        """
        self._backend.terminate(*self._lender.pids)
        self._lender.drop()

    def end(self) -> None:
        """Give its connections back, at the end of the test."""
        self._lender.end()

    async def _opened_pool(self) -> AsyncPool:
        self._check_usable()
        self._door.enter()
        return _AsyncPool(self._lender)

    async def _pool_for_transactions(self) -> AsyncPool:
        return await self._opened_pool()


class HandConnector(BackendConnector):
    """The connector of one worker that may crash: it knows since when a job runs, to end what that has begun.

    .. versionadded:: 0.1
    """

    def __init__(self, backend: PostgresBackend, stock: Stock, clock: Callable[[], datetime] | None) -> None:
        super().__init__(backend, stock, clock)
        self.busy_since: datetime | None = None

    async def fetch(
        self, worker: int, queues: Sequence[str] | None, limit: int, *, now: datetime | None = None
    ) -> Fetched:
        """Claim jobs, and note the server's time if there are any."""
        fetched = await super().fetch(worker, queues, limit, now=now)
        if fetched.jobs:
            self.busy_since = await self._run(Statement("select clock_timestamp()", (), lambda rows: rows[0][0]))
        return fetched

    async def finish(
        self, outcomes: Sequence[Outcome], *, connection: Any = None, now: datetime | None = None
    ) -> list[int]:
        """Write what became of jobs: the worker is free."""
        finished = await super().finish(outcomes, connection=connection, now=now)
        self.busy_since = None
        return finished

    def settle(self) -> None:
        """Take note that a job's own transaction has written what became of it: the worker is free."""
        self.busy_since = None

    def terminate(self, job: object = None) -> None:
        """End its sessions on the server, and those in which its job has begun a transaction; wait until they are gone.

        Whose transaction it is, is told by the time; while another worker runs a job as well, also by whether the job
        holds the connection.

        Args:
            job: its frozen coroutine.
        """
        super().terminate()
        since, self.busy_since = self.busy_since, None
        if since is None:
            return
        if not self._backend.anybody_busy():
            self._backend.terminate_begun_since(since)
        elif held := {connection.info.backend_pid for connection in held_connections(job)}:
            self._backend.terminate_begun_since(since, among=held)


class _SyncTwin(SyncPsycopgConnector):
    def __init__(self, link: Link, lender: Lender) -> None:
        super().__init__(link)
        self._lender = lender
        self.stays_open = False

    def close(self) -> None:
        if not self.stays_open:
            super().close()

    def _opened_pool(self) -> SyncPool:
        self._door.check()
        self._door.enter()
        return self._lender

    def _pool_for_transactions(self) -> SyncPool:
        return self._opened_pool()


@attrs.frozen
class _AsyncPool:
    _lender: Lender

    def connection(self) -> AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]:
        return self._lender.async_connection()

    async def getconn(self) -> psycopg.AsyncConnection[Any]:
        return await self._lender.get_async()

    async def putconn(self, conn: Any, /) -> None:
        self._lender.put_async(conn)

    async def check(self) -> None:
        self._lender.check()
