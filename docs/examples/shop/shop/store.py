"""What the shop remembers, and how it is asked for: in units of work, each a transaction."""

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import attrs


@attrs.frozen(kw_only=True)
class Order:
    """Its status goes from placed to paid to packed to delivered; or to cancelled, or sold out."""

    id: int
    book: str
    email: str
    cents: int
    status: str = "placed"


class Unit(Protocol):
    """A transaction. `connection` is what pq takes, so that jobs are stored with the orders or not at all."""

    connection: Any

    async def add_order(self, book: str, email: str) -> Order: ...
    async def order(self, order: int) -> Order: ...
    async def set_status(self, order: int, status: str) -> None: ...
    async def add_payment(self, payment: str, order: int) -> None: ...
    async def stock(self, book: str) -> int: ...
    async def set_stock(self, book: str, count: int) -> None: ...


class Store(Protocol):
    def begin(self) -> AbstractAsyncContextManager[Unit]: ...
