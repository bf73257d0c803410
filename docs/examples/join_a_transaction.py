"""An order and its job, stored together or not at all. Needs PostgreSQL, found by libpq's environment (PGHOST, ...)."""

import asyncio

import psycopg

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector())


@app.task
def ship(order: int) -> None: ...


def order_books(*, paid: bool) -> None:
    with psycopg.connect() as connection:  # commits at the end, or rolls back
        connection.execute("create table if not exists orders (id int)")
        connection.execute("insert into orders values (1)")
        ship.configure(connection=connection).defer(order=1)
        if not paid:
            raise LookupError("nobody paid")


async def order_books_async() -> None:
    async with await psycopg.AsyncConnection.connect() as connection:
        await connection.execute("insert into orders values (2)")
        await ship.configure(connection=connection).defer_async(order=2)


with app.open():
    app.migrate()
    try:
        order_books(paid=False)
    except LookupError:
        assert app.jobs.find() == []
    order_books(paid=True)
    asyncio.run(order_books_async())
    assert [job.args for job in app.jobs.find()] == [{"order": 1}, {"order": 2}]
    print(*app.jobs.find(), sep="\n")
