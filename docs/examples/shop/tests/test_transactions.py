"""An order and its jobs are stored together or not at all."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import psycopg
import pytest
from memory_store import MemoryStore, MemoryUnit
from shop.orders import place_order
from shop.outside import outside
from shop.postgres_store import PostgresUnit
from shop.tasks import cancel_unpaid, charge, follow_parcel, pack, send_receipt

from pq_testing import RunJobs

pytestmark = pytest.mark.anyio


@pytest.mark.pq(backend="all")
async def test_an_order_that_is_rolled_back_leaves_no_job(run_jobs: RunJobs) -> None:
    store = outside.store
    async with run_jobs.rolls_back() as connection:
        unit = MemoryUnit(store, connection) if isinstance(store, MemoryStore) else PostgresUnit(connection)
        await place_order(unit, "Emma", "ada@example.org")


@attrs.frozen
class OpenStore:
    """All units of work in one transaction, which the test will roll back."""

    connection: psycopg.AsyncConnection[Any]

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresUnit]:
        async with self.connection.transaction():
            yield PostgresUnit(self.connection)


@pytest.mark.pq(backend="postgres")
async def test_an_order_is_handled_in_a_transaction_of_the_test(
    database: str, run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        await psycopg.AsyncConnection.connect(database) as connection,
        connection.transaction(force_rollback=True),
    ):
        monkeypatch.setattr(outside, "store", store := OpenStore(connection))
        async with store.begin() as unit:
            order = await place_order(unit, "Emma", "ada@example.org")
        report = await run_jobs.run_async(connection=connection)
        assert sorted(report.names) == sorted(task.name for task in (charge, pack, send_receipt, follow_parcel))
        async with store.begin() as unit:
            assert (await unit.order(order.id)).status == "delivered"
        seen = await run_jobs.deferred_in_async(connection)
        seen.where(scheduled_at="2h").one(cancel_unpaid)
    run_jobs.deferred.none(cancel_unpaid)
