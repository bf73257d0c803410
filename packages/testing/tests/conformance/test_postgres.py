"""The connector for PostgreSQL, held to the rules under asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from pq_core.postgres import PsycopgConnector
from pq_testing.conformance import ConnectorConformance, Transactions


@pytest.mark.postgres
class TestPsycopgConnector(ConnectorConformance):
    @pytest.fixture
    async def connector(
        self, open_postgres: Callable[[], AbstractAsyncContextManager[PsycopgConnector]]
    ) -> AsyncIterator[PsycopgConnector]:
        async with open_postgres() as connector:
            yield connector

    @pytest.fixture
    def transactions(self, psycopg_transactions: Transactions) -> Transactions:
        return psycopg_transactions
