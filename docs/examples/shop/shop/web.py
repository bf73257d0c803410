"""The shop by HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
from fastapi import FastAPI

from shop.orders import place_order
from shop.outside import outside
from shop.queue import app


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with app.open_async():
        yield


web = FastAPI(lifespan=lifespan)


@web.post("/orders", status_code=202)
async def post_order(book: str, email: str) -> dict[str, Any]:
    async with outside.store.begin() as unit:
        return attrs.asdict(await place_order(unit, book, email))


@web.get("/orders/{order}")
async def get_order(order: int) -> dict[str, Any]:
    async with outside.store.begin() as unit:
        return attrs.asdict(await unit.order(order))
