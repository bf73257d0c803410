"""What happens to an order after it is placed."""

from datetime import UTC, datetime

import anyio

import pq_core as pq
from shop.outside import GatewayDown, outside
from shop.queue import app

AN_HOUR = 3600


@app.task(retry=pq.RetryStrategy(max_attempts=3, wait=60, retry_exceptions=[GatewayDown]))
async def charge(order: int) -> None:
    async with outside.store.begin() as unit:
        placed = await unit.order(order)
    if placed.status != "placed":
        return
    payment = await outside.gateway.charge(key=f"order {order}", cents=placed.cents)
    async with outside.store.begin() as unit:
        await unit.add_payment(payment, order)
        await unit.set_status(order, "paid")
        await pack.configure(connection=unit.connection, lock=f"stock of {placed.book}").defer_async(order)
        await send_receipt.configure(connection=unit.connection).defer_async(order)


@app.task
async def pack(order: int) -> None:
    async with outside.store.begin() as unit:
        paid = await unit.order(order)
        if paid.status != "paid":
            return
        stock = await unit.stock(paid.book)
        if stock == 0:
            await unit.set_status(order, "sold out")
            return
        await unit.set_stock(paid.book, stock - 1)
        await unit.set_status(order, "packed")
        await follow_parcel.configure(connection=unit.connection).defer_async(order)


@app.task(queue="parcels", pass_context=True)
async def follow_parcel(context: pq.JobContext, order: int) -> None:
    async with outside.store.begin() as unit:
        packed = await unit.order(order)
    if packed.status != "packed":
        return
    while not await outside.carrier.delivered(order):
        if context.should_stop():
            return
        await anyio.sleep(AN_HOUR)
    async with outside.store.begin() as unit:
        await unit.set_status(order, "delivered")
        await ask_for_review.configure(connection=unit.connection, schedule_in={"days": 14}).defer_async(order)


@app.task(queue="mails", retry=pq.RetryStrategy(max_attempts=5, wait=300))
async def send_receipt(order: int) -> None:
    await write(order, "receipt", f"{{book}} cost {{cents}} cents, paid on {datetime.now(UTC):%d %B %Y}")


@app.task(queue="mails", retry=pq.RetryStrategy(max_attempts=5, wait=300))
async def ask_for_review(order: int) -> None:
    await write(order, "review", "How was {book}?")


@app.task(queue="mails")
async def apologise(order: int) -> None:
    await write(order, "apology", "We could not charge you for {book}. Order {order} is cancelled.")


@app.task
async def cancel_unpaid(order: int) -> None:
    async with outside.store.begin() as unit:
        if (await unit.order(order)).status == "placed":
            await unit.set_status(order, "cancelled")
            await apologise.configure(connection=unit.connection).defer_async(order)


async def write(order: int, kind: str, text: str) -> None:
    async with outside.store.begin() as unit:
        about = await unit.order(order)
    text = text.format(order=order, book=about.book, cents=about.cents)
    await outside.mailer.send(key=f"{kind} {order}", to=about.email, text=text)
