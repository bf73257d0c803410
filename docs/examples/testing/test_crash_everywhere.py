"""Kill the worker wherever it can die."""

import anyio.lowlevel
import pytest
from newsletter import app

from pq_testing import RunJobs

labels: list[int] = []
shipped: set[int] = set()


@app.task
async def ship(order: int) -> None:
    if order not in labels:
        labels.append(order)
        await anyio.lowlevel.checkpoint()  # The printer is asked, and answers.
    shipped.add(order)


@pytest.mark.pq(crash="everywhere")
def test_an_order_is_shipped_with_one_label(run_jobs: RunJobs) -> None:
    labels.clear()
    shipped.clear()
    ship.defer(7)
    run_jobs()
    assert shipped == {7}
    assert labels == [7]
