"""A small shop, whose connector leads to a database that no test may reach."""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector(os.environ["SHOP_DSN"]))
web = FastAPI()


class Gateway:
    def __init__(self) -> None:
        self.charged: dict[int, int] = {}
        self.down = False

    def charge(self, order: int) -> None:
        if self.down:
            raise TimeoutError(f"no answer about order {order}")
        self.charged[order] = self.charged.get(order, 0) + 1


gateway = Gateway()


@web.post("/orders/{order}")
def place(order: int) -> dict[str, Any]:
    charge.defer(order)
    remind.configure(schedule_in={"days": 3}).defer(order)
    return {"order": order}


@app.task(name="charge", retry=pq.RetryStrategy(max_attempts=3, wait=60))
def charge(order: int) -> None:
    gateway.charge(order)
    pack.defer(order)


@app.task(name="pack")
async def pack(order: int) -> None:
    await send.defer_async(order, to="ada@example.org")


@app.task(name="send")
def send(order: int, to: str) -> str:
    return f"order {order} goes to {to}"


@app.task(name="remind")
def remind(order: int) -> None: ...


class Ledger:
    """A table, reached through whichever connection the shop was given."""

    connection: Any = None


ledger = Ledger()


@app.task(name="book")
def book(order: int) -> None:
    ledger.connection.execute("insert into ledger values (%s)", [order])
    if order < 10:
        book.configure(connection=ledger.connection).defer(order + 10)
