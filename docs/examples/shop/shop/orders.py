"""What a customer can do."""

from shop.store import Order, Unit
from shop.tasks import cancel_unpaid, charge


async def place_order(unit: Unit, book: str, email: str) -> Order:
    order = await unit.add_order(book, email)
    first = charge.configure(connection=unit.connection, lock=f"order {order.id}")
    await first.defer_async(order.id)
    later = cancel_unpaid.configure(connection=unit.connection, lock=f"order {order.id}", schedule_in={"hours": 2})
    await later.defer_async(order.id)
    return order
