"""pq_sqlite, held to the rules of pq."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pq_sqlite import SQLiteConnector

from pq_core.connector import Connector
from pq_testing.conformance import ConnectorConformance
from pq_testing.model import check_against_memory


@asynccontextmanager
async def empty_and_open() -> AsyncIterator[Connector]:
    with TemporaryDirectory() as directory:
        connector = SQLiteConnector(Path(directory) / "jobs.db")
        await connector.open()
        await connector.migrate()
        yield connector
        await connector.close()
        connector.sync.close()


class TestSQLiteConnector(ConnectorConformance):
    supports_connection = False
    supports_transactions = False
    supports_schedules = False

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    async def connector(self) -> AsyncIterator[Connector]:
        async with empty_and_open() as connector:
            yield connector


def test_random_steps_lead_to_where_they_lead_in_memory() -> None:
    check_against_memory(empty_and_open)
