"""Both connectors beside the in-memory one, step by random step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from pq_core.memory import InMemoryConnector
from pq_core.postgres import PsycopgConnector
from pq_testing.conformance import Transactions
from pq_testing.model import MemoryTransactions, check_against_memory


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_memory_does_what_memory_does(backend: str) -> None:
    """So what differs elsewhere is not the model's fault."""
    assert check_against_memory(open_memory, transactions=MemoryTransactions, backend=backend, steps=500) > 200


@pytest.mark.postgres
@pytest.mark.timeout(7200)  # PQ_MODEL_STEPS may ask for any number of steps
def test_postgres_does_what_memory_does(
    open_postgres: Callable[[], AbstractAsyncContextManager[PsycopgConnector]], psycopg_transactions: Transactions
) -> None:
    check_against_memory(open_postgres, transactions=lambda _: psycopg_transactions)


@asynccontextmanager
async def open_memory() -> AsyncIterator[InMemoryConnector]:
    connector = InMemoryConnector()
    await connector.open()
    yield connector
    await connector.close()
