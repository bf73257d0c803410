"""What the shop remembers, in memory, for tests: what a unit changes is seen by others once it is committed."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
from anyio.lowlevel import checkpoint
from shop.queue import app
from shop.store import Order


@attrs.define
class MemoryUnit:
    """Each question goes to a server and back in real life, and others get on meanwhile: so it does here."""

    store: "MemoryStore"
    connection: Any
    changes: list[Callable[[], None]] = attrs.field(factory=list)

    async def add_order(self, book: str, email: str) -> Order:
        await checkpoint()
        self.store.last_id += 1
        order = Order(id=self.store.last_id, book=book, email=email, cents=self.store.cents[book])
        self.changes.append(lambda: self.store.orders.update({order.id: order}))
        return order

    async def order(self, order: int) -> Order:
        await checkpoint()
        return self.store.orders[order]

    async def set_status(self, order: int, status: str) -> None:
        await checkpoint()
        changed = attrs.evolve(self.store.orders[order], status=status)
        self.changes.append(lambda: self.store.orders.update({order: changed}))

    async def add_payment(self, payment: str, order: int) -> None:
        await checkpoint()
        self.changes.append(lambda: self.store.payments.update({payment: order}))

    async def stock(self, book: str) -> int:
        await checkpoint()
        return self.store.stock.get(book, 0)

    async def set_stock(self, book: str, count: int) -> None:
        await checkpoint()
        self.changes.append(lambda: self.store.stock.update({book: count}))


@attrs.define
class MemoryStore:
    cents: dict[str, int] = attrs.field(factory=dict)
    stock: dict[str, int] = attrs.field(factory=dict)
    orders: dict[int, Order] = attrs.field(factory=dict)
    payments: dict[str, int] = attrs.field(factory=dict)
    last_id: int = 0

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[MemoryUnit]:
        connector: Any = app.connector
        async with connector.transaction() as connection:
            unit = MemoryUnit(self, connection)
            yield unit
            for change in unit.changes:
                change()
        await checkpoint()
