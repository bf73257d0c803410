"""The shop's tables in PostgreSQL, in the database in which pq's schema is too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import psycopg
from psycopg.rows import class_row, scalar_row

from shop.store import Order

SCHEMA = """
create table books (title text primary key, cents int not null, stock int not null);
create table orders (
    id int generated always as identity primary key,
    book text not null references books,
    email text not null,
    cents int not null,
    status text not null default 'placed'
);
create table payments (id text primary key, "order" int not null references orders);
"""


@attrs.frozen
class PostgresUnit:
    connection: psycopg.AsyncConnection[Any]

    async def add_order(self, book: str, email: str) -> Order:
        return await self._one(
            "insert into orders (book, email, cents) select title, %s, cents from books where title = %s returning *",
            email,
            book,
        )

    async def order(self, order: int) -> Order:
        return await self._one("select * from orders where id = %s", order)

    async def set_status(self, order: int, status: str) -> None:
        await self.connection.execute("update orders set status = %s where id = %s", [status, order])

    async def add_payment(self, payment: str, order: int) -> None:
        await self.connection.execute("insert into payments values (%s, %s) on conflict do nothing", [payment, order])

    async def stock(self, book: str) -> int:
        cursor = self.connection.cursor(row_factory=scalar_row)
        await cursor.execute("select stock from books where title = %s", [book])
        return int(await cursor.fetchone() or 0)

    async def set_stock(self, book: str, count: int) -> None:
        await self.connection.execute("update books set stock = %s where title = %s", [count, book])

    async def _one(self, query: str, *values: object) -> Order:
        cursor = self.connection.cursor(row_factory=class_row(Order))
        await cursor.execute(query, values)
        if (order := await cursor.fetchone()) is None:
            raise LookupError(values)
        return order


@attrs.frozen
class PostgresStore:
    dsn: str = ""

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresUnit]:
        async with await psycopg.AsyncConnection.connect(self.dsn) as connection:
            yield PostgresUnit(connection)
