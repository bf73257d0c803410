"""Workers die, answers get lost, and jobs come in another order: an order ends as it should all the same."""

import pytest
from conftest import World
from fastapi.testclient import TestClient
from test_orders import order, status

from pq_testing import Effects, RunJobs


@pytest.mark.pq(backend="all", redeliver=True)
def test_what_is_done_twice_happens_once(
    client: TestClient, world: World, run_jobs: RunJobs, pq_effects: Effects
) -> None:
    world.watched_by(pq_effects)
    order(client)
    run_jobs()


@pytest.mark.pq(crash="everywhere")
def test_wherever_a_worker_dies_the_parcel_arrives(client: TestClient, run_jobs: RunJobs) -> None:
    number = order(client)
    run_jobs()
    assert status(client, number) == "delivered"


@pytest.mark.pq(reorder=True, seed=2)
def test_whichever_job_is_first_the_parcels_arrive(client: TestClient, run_jobs: RunJobs) -> None:
    orders = [order(client, book) for book in ("Emma", "Persuasion", "Emma", "Persuasion")]
    run_jobs()
    assert {status(client, each) for each in orders} == {"delivered"}
