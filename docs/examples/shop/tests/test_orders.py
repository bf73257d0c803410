"""From an order to a delivered parcel, as customers see it."""

from datetime import UTC, datetime, timedelta

import pytest
from conftest import World
from fastapi.testclient import TestClient
from shop.outside import CardDeclined, GatewayDown
from shop.tasks import ask_for_review, cancel_unpaid, charge, follow_parcel, pack, send_receipt

from pq_testing import Clock, RunJobs


def order(client: TestClient, book: str = "Emma") -> int:
    answer = client.post("/orders", params={"book": book, "email": "ada@example.org"})
    assert answer.status_code == 202
    return int(answer.json()["id"])


def status(client: TestClient, order: int) -> str:
    return str(client.get(f"/orders/{order}").json()["status"])


@pytest.mark.pq(strict="pending")
def test_an_order_is_charged_now_and_looked_at_in_two_hours(client: TestClient, run_jobs: RunJobs) -> None:
    number = order(client)
    assert run_jobs.deferred.where(scheduled_at=None).one(charge, order=number).lock == "order 1"
    run_jobs.deferred.where(scheduled_at="2h").one(cancel_unpaid, order=number)
    run_jobs.deferred.none(pack)


def test_an_order_is_charged_packed_and_delivered(client: TestClient, world: World, run_jobs: RunJobs) -> None:
    number = order(client)
    report = run_jobs()
    assert sorted(report.names) == sorted(task.name for task in (charge, pack, send_receipt, follow_parcel))
    assert world.gateway.taken == 1200
    assert status(client, number) == "delivered"


def test_charging_goes_on_while_the_mails_stand_still(client: TestClient, world: World, run_jobs: RunJobs) -> None:
    order(client)
    run_jobs(queues=["default"])
    assert world.mailer.sent == {}
    assert len(run_jobs.deferred.where(queue="mails", state="ready")) == 1


@pytest.mark.pq(reorder=False)
def test_the_first_of_two_orders_is_charged_first(client: TestClient, run_jobs: RunJobs) -> None:
    first, second = order(client), order(client)
    run_jobs(limit=1)
    assert (status(client, first), status(client, second)) == ("paid", "placed")


def test_two_workers_at_a_time_charge_both_orders(client: TestClient, world: World, run_jobs: RunJobs) -> None:
    order(client, "Emma")
    order(client, "Persuasion")
    run_jobs(workers=2)
    assert world.gateway.taken == 1200 + 900


def test_three_customers_want_two_copies(client: TestClient, run_jobs: RunJobs) -> None:
    orders = [order(client) for _ in range(3)]
    report = run_jobs()
    assert report.count(pack) == 3
    assert sorted(status(client, each) for each in orders) == ["delivered", "delivered", "sold out"]


@pytest.mark.pq(crash=False)  # a run that is lost counts as an attempt
def test_charging_is_given_up_after_three_attempts(client: TestClient, world: World, run_jobs: RunJobs) -> None:
    world.gateway.fault = GatewayDown
    number = order(client)
    with pytest.raises(GatewayDown, match="1200 cents"):
        run_jobs(until="1h")
    job = run_jobs.deferred.one(charge, order=number)
    assert (job.state, job.attempt) == ("failed", 3)


def test_a_declined_card_is_not_tried_again(client: TestClient, world: World, run_jobs: RunJobs) -> None:
    world.gateway.fault = CardDeclined
    outcome = run_jobs.perform(charge.job(order(client)))
    assert outcome.kind == "failed"


def test_an_order_that_nobody_could_charge_is_cancelled(client: TestClient, world: World, run_jobs: RunJobs) -> None:
    world.gateway.fault = GatewayDown
    number = order(client)
    run_jobs(until="2h", on_error="record")
    assert run_jobs.deferred.one(charge).ended
    assert status(client, number) == "cancelled"


def test_a_parcel_is_followed_for_as_long_as_it_takes(
    client: TestClient, world: World, run_jobs: RunJobs, pq_clock: Clock
) -> None:
    world.carrier.times = 31
    number = order(client)
    ordered_at = pq_clock.now()
    report = run_jobs(until="3d")
    assert report.duration == timedelta(days=3)
    review = run_jobs.deferred.one(ask_for_review, order=number)
    assert review.scheduled_at == ordered_at + timedelta(hours=30) + timedelta(days=14)
    assert status(client, number) == "delivered"


def test_two_weeks_after_a_delivery_a_review_is_asked_for(
    client: TestClient, world: World, run_jobs: RunJobs, pq_clock: Clock
) -> None:
    number = order(client)
    run_jobs()
    run_jobs.deferred.where(state="scheduled", scheduled_at={"days": 14}).one(ask_for_review, order=number)
    pq_clock.advance(days=14)
    run_jobs()
    assert world.mailer.sent["review 1"] == "ada@example.org: How was Emma?"


def test_a_receipt_has_the_day_on_it(client: TestClient, world: World, run_jobs: RunJobs, pq_clock: Clock) -> None:
    pq_clock.move_to(datetime(2026, 12, 24, 18, tzinfo=UTC))
    with pq_clock.patch_python():
        order(client)
        run_jobs()
    assert world.mailer.sent["receipt 1"].endswith("paid on 24 December 2026")
