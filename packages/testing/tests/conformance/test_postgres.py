"""The connector for PostgreSQL, held to the rules under asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs
import psycopg
import pytest
from pq_core.postgres import PsycopgConnector
from pq_testing.conformance import ConnectorConformance


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


@pytest.mark.postgres
class TestPsycopgConnector(ConnectorConformance):
    @pytest.fixture
    async def connector(self, empty_dsn: str) -> AsyncIterator[PsycopgConnector]:
        connector = PsycopgConnector(empty_dsn)
        await connector.open()
        yield connector
        await connector.close()

    @pytest.fixture
    def transactions(self, empty_dsn: str) -> PsycopgTransactions:
        return PsycopgTransactions(empty_dsn)
