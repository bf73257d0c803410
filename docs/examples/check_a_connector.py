"""Hold a connector to the rules: here one that notes each call and leaves the work to the in-memory one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import pq_core as pq
from pq_testing.conformance import ConnectorConformance, Transactions
from pq_testing.model import MemoryTransactions, check_against_memory


class NotingConnector(pq.InMemoryConnector):
    """Yours implements `pq_core.connector.Connector` instead."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    async def defer(self, *args: Any, **options: Any) -> Any:
        self.calls.append("defer")
        return await super().defer(*args, **options)


@asynccontextmanager
async def empty_and_open() -> AsyncIterator[NotingConnector]:
    connector = NotingConnector()
    await connector.open()
    yield connector
    await connector.close()


class TestNotingConnector(ConnectorConformance):
    @pytest.fixture
    async def connector(self) -> AsyncIterator[NotingConnector]:
        async with empty_and_open() as connector:
            yield connector

    @pytest.fixture
    def transactions(self, connector: NotingConnector) -> Transactions:
        return MemoryTransactions(connector)


def test_random_steps_lead_to_where_they_lead_in_memory() -> None:
    check_against_memory(empty_and_open, transactions=MemoryTransactions, steps=300)


if __name__ == "__main__":
    raise SystemExit(subprocess.call([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]))  # noqa: S603
