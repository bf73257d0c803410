"""The least that it takes to store a job: a row in a table, through the pool that pq uses, and no queue.

The table has the columns that an enqueued job has in pq, its key, and the one index that any queue needs: of what is
ready. It has no checks, no triggers, and tells nobody.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from pq_benchmarks.contestants.contestant import Client, Contestant

TASK = "pq_benchmarks.contestants.pq_itself.noop"
TABLE = """
    create table jobs (
        id bigint generated always as identity primary key,
        queue text not null default 'default',
        task text not null,
        args json not null default '{}',
        priority smallint not null default 0,
        lock text,
        lock_mode text not null default 'ordered',
        state text not null default 'ready',
        attempt bigint not null default 0,
        claim bigint not null default 0,
        losses smallint not null default 0,
        max_losses smallint not null default 3,
        scheduled_at timestamptz not null default now(),
        created_at timestamptz not null default now(),
        started_at timestamptz,
        worker bigint,
        cancel_requested_at timestamptz,
        reason text,
        errors jsonb not null default '[]',
        result json,
        progress json,
        metadata json not null default '{}'
    );
    create index jobs_ready on jobs (queue, priority desc, id) where state = 'ready'
"""
INSERT = "insert into jobs (queue, task, args) values (%s, %s, %s) returning id"
COPY = "copy jobs (queue, task, args) from stdin"


class BareClient(Client):
    """Writes rows."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]]) -> None:
        self._pool = pool

    async def defer(self, probe: int | None = None) -> object:
        """Insert a row, in a transaction of its own; return its id."""
        del probe
        async with self._pool.connection() as connection:
            cursor = await connection.execute(INSERT, ["default", TASK, "{}"], prepare=True)
            return await cursor.fetchone()

    async def defer_batch(self, size: int) -> object:
        """Copy many rows, in one transaction."""
        row = ("default", TASK, "{}")
        async with self._pool.connection() as connection, connection.cursor().copy(COPY) as copy:
            for _ in range(size):
                await copy.write_row(row)
        return None


class BareTable(Contestant):
    """The table."""

    async def install(self) -> None:
        """Make it."""
        async with await psycopg.AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            await connection.execute(TABLE)

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Client]:
        """Open the pool."""
        async with AsyncConnectionPool(self.dsn, min_size=1, kwargs={"autocommit": True}, open=False) as pool:
            yield BareClient(pool)

    def work(self, concurrency: int, queue: str | None = None) -> None:
        """Do not: nothing works on a bare table."""
        raise NotImplementedError


CONTESTANT = BareTable
