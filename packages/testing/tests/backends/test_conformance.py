"""The connector of tests, held to the same rules as the one that it stands for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import attrs
import psycopg
import pytest

from pq_testing.backends.connector import BackendConnector
from pq_testing.backends.postgres import PostgresBackend
from pq_testing.conformance import ConnectorConformance


@attrs.frozen
class _Transactions:
    dsn: str

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[psycopg.AsyncConnection]:
        async with await psycopg.AsyncConnection.connect(self.dsn) as connection, connection.transaction():
            yield connection

    def savepoint(self, connection: psycopg.AsyncConnection) -> AbstractAsyncContextManager[Any]:
        return connection.transaction()


class TestBackendConnector(ConnectorConformance):
    @pytest.fixture
    async def connector(self, backend: PostgresBackend) -> AsyncIterator[BackendConnector]:
        connector = backend.connector()
        await connector.open()
        yield connector
        await connector.close()

    @pytest.fixture
    def transactions(self, backend: PostgresBackend) -> _Transactions:
        return _Transactions(backend.dsn)
