"""One database for all cases that need one; they empty it in milliseconds instead of making another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs
import psycopg
import pytest

from pq_core.postgres import PsycopgConnector
from pq_testing.postgres import fresh_database

OpenPostgres = Callable[[], AbstractAsyncContextManager[PsycopgConnector]]


@attrs.frozen
class PsycopgTransactions:
    """Transactions of psycopg's async connections."""

    dsn: str

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[psycopg.AsyncConnection]:
        async with await psycopg.AsyncConnection.connect(self.dsn) as connection, connection.transaction():
            yield connection

    def savepoint(self, connection: psycopg.AsyncConnection) -> AbstractAsyncContextManager[Any]:
        return connection.transaction()


@pytest.fixture(scope="session")
def migrated_dsn() -> Iterator[str]:
    """Give a database with pq in it."""
    with fresh_database() as dsn:
        connector = PsycopgConnector(dsn)
        connector.sync.migrate()
        connector.sync.close()
        yield dsn


@pytest.fixture(scope="session")
def psycopg_transactions(migrated_dsn: str) -> PsycopgTransactions:
    """Say how to open a transaction in it."""
    return PsycopgTransactions(migrated_dsn)


@pytest.fixture(scope="session")
def open_postgres(migrated_dsn: str) -> Iterator[OpenPostgres]:
    """Say how to empty it and open a connector to it."""
    with psycopg.connect(migrated_dsn, autocommit=True) as eraser:

        @asynccontextmanager
        async def opened() -> AsyncIterator[PsycopgConnector]:
            for table in ("jobs", "finished_jobs", "workers", "pauses", "unique_periods", "schedules", "waits"):
                eraser.execute(f"delete from pq.{table}")
            connector = PsycopgConnector(migrated_dsn)
            await connector.open()
            yield connector
            await connector.close()

        yield opened
