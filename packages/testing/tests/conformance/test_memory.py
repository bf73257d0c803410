"""The in-memory connector, held to the rules under asyncio and trio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import pytest

from pq_core.memory import InMemoryConnector, MemoryTransaction
from pq_testing.conformance import ConnectorConformance


@attrs.frozen
class MemoryTransactions:
    """Transactions of an in-memory connector."""

    connector: InMemoryConnector

    def begin(self) -> AbstractAsyncContextManager[Any]:
        return self.connector.transaction()

    def savepoint(self, connection: MemoryTransaction) -> AbstractAsyncContextManager[Any]:
        return connection.savepoint()


class TestInMemoryConnector(ConnectorConformance):
    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    async def connector(self) -> AsyncIterator[InMemoryConnector]:
        connector = InMemoryConnector()
        await connector.open()
        yield connector
        await connector.close()

    @pytest.fixture
    def transactions(self, connector: InMemoryConnector) -> MemoryTransactions:
        return MemoryTransactions(connector)
