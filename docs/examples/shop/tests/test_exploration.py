"""Two workers in every order that there is: the function is called once for each, and makes its world anew."""

from memory_store import MemoryStore
from shop.outside import outside
from shop.store import Order
from shop.tasks import charge

from pq_testing import RunJobs, pq_explore


@pq_explore(workers=2, max_schedules=300)
def test_the_last_copy_is_sold_once(run_jobs: RunJobs) -> None:
    orders = {number: Order(id=number, book="Emma", email="ada@example.org", cents=1200) for number in (1, 2)}
    outside.store = store = MemoryStore(stock={"Emma": 1}, orders=orders)
    for number in orders:
        charge.defer(number)
    run_jobs(queues=["default"])
    assert sorted(order.status for order in store.orders.values()) == ["packed", "sold out"]
