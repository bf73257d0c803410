"""The same fixtures in async tests."""

import httpx2 as httpx
import pytest
from conftest import World
from shop.outside import outside
from shop.tasks import follow_parcel
from shop.web import web

from pq_testing import RunJobs

pytestmark = pytest.mark.anyio


async def test_an_order_by_an_async_client(run_jobs: RunJobs) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(web), base_url="http://shop") as client:
        order = (await client.post("/orders", params={"book": "Emma", "email": "ada@example.org"})).json()
        await run_jobs.run_async()
        assert (await client.get(f"/orders/{order['id']}")).json()["status"] == "delivered"


async def test_a_parcel_that_is_not_packed_is_not_asked_for(world: World, run_jobs: RunJobs) -> None:
    async with outside.store.begin() as unit:
        order = await unit.add_order("Emma", "ada@example.org")
    await follow_parcel(run_jobs.context(follow_parcel), order.id)
    assert world.carrier.asked == 0
