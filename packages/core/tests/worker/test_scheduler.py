"""Workers tick schedules; of missed ticks, the schedule says which are made up for."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import attrs
import pytest

import pq_core as pq
from pq_core.errors import Unsupported
from pq_core.job import NewJob
from pq_core.schedule import Schedule
from pq_core.worker.ticking import MOST_TICKS, Ticker, plan

NOW = datetime(2031, 5, 6, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
Until = Callable[[Callable[[], object]], Awaitable[None]]


def due(since: timedelta, **fields: Any) -> Schedule:
    """Make a schedule that ticks each minute, and whose next tick was that long ago."""
    given: dict[str, Any] = {"cron": "* * * * *", "revision": 1, "planned": True, "created_at": NOW}
    return Schedule(id="s", job=NewJob(task="t"), next_tick=NOW - since, **(given | fields))


def ages(schedule: Schedule, now: datetime = NOW) -> list[float]:
    """Return how old the ticks are that are made, in minutes."""
    return [(now - tick) / MINUTE for tick in plan(schedule, now).ticks]


def test_a_schedule_that_is_not_planned_goes_on_to_the_first_tick_later_than_its_begin() -> None:
    new = attrs.evolve(due(timedelta(0)), planned=False)
    assert plan(new, NOW).next_tick == NOW + MINUTE
    assert plan(new, NOW).ticks == ()
    assert ages(new, NOW + MINUTE) == [0]


@pytest.mark.parametrize("catch_up", ["none", "last", "all"])
def test_ticks_in_time_are_all_made(catch_up: Any) -> None:
    each_second = due(timedelta(seconds=10), cron="* * * * * *", catch_up=catch_up)
    move = plan(each_second, NOW)
    assert [(NOW - tick).total_seconds() for tick in move.ticks] == [*range(10, -1, -1)]
    assert (move.next_tick, move.dropped) == (NOW + timedelta(seconds=1), None)


@pytest.mark.parametrize("catch_up, made", [("none", []), ("last", [0.5]), ("all", [2.5, 1.5, 0.5])])
def test_of_missed_ticks_none_the_last_or_all_are_made_up_for(catch_up: Any, made: list[float]) -> None:
    half = NOW + MINUTE / 2
    missed = due(2 * MINUTE, catch_up=catch_up)
    assert ages(missed, half) == made
    move = plan(missed, half)
    assert move.next_tick == NOW + MINUTE
    assert move.dropped == (None if catch_up == "all" else missed.next_tick)


def test_the_last_missed_tick_is_dropped_if_a_later_one_is_in_time() -> None:
    assert ages(due(HOUR, catch_up="last")) == [0]


@pytest.mark.parametrize("catch_up, made", [("none", [0]), ("last", [0]), ("all", [2, 1, 0])])
def test_ticks_older_than_max_delay_are_dropped_in_any_case(catch_up: Any, made: list[float]) -> None:
    assert ages(due(HOUR, catch_up=catch_up, max_delay=2 * MINUTE)) == made
    assert ages(due(HOUR, cron="0 11 * * *", catch_up=catch_up, max_delay=HOUR - MINUTE)) == []


def test_many_ticks_are_made_in_pages() -> None:
    each_second = due(HOUR, cron="* * * * * *", catch_up="all")
    move = plan(each_second, NOW)
    assert len(move.ticks) == MOST_TICKS
    assert move.next_tick == move.ticks[-1] + timedelta(seconds=1)


@pytest.mark.anyio
async def test_a_ticker_makes_all_pages(memory: pq.InMemoryConnector, caplog: pytest.LogCaptureFixture) -> None:
    schedule = pq.NewSchedule(id="s", job=NewJob(task="t"), cron="* * * * * *", catch_up="all")
    await memory.put_schedules([schedule], now=NOW)
    ticker = Ticker(connector=memory, made=[])
    assert await ticker.tick(NOW + HOUR) == 1.0
    assert [tick.at for tick in ticker.made or ()] == [NOW + timedelta(seconds=n) for n in range(1, 3601)]
    assert caplog.records == []
    await memory.put_schedules([attrs.evolve(schedule, catch_up="none")], now=NOW)
    with caplog.at_level(logging.WARNING):
        await ticker.tick(NOW + 3 * HOUR)
    assert [getattr(record, "action", "") for record in caplog.records] == ["ticks_missed"]


@pytest.mark.anyio
async def test_several_workers_make_each_tick_once(
    app: pq.App, memory: pq.InMemoryConnector, running: Any, until: Until
) -> None:
    ticks: list[str] = []

    @app.periodic(cron="* * * * * *", id="second")
    @app.task(pass_context=True)
    def tick(context: pq.JobContext) -> None:
        ticks.append(context.job.metadata["pq.tick"])

    async with running(), running(), running():
        await until(lambda: len(ticks) > 1)
    assert len(ticks) == len(set(ticks))
    (schedule,) = await memory.schedules()
    assert schedule.declared_at is not None


@pytest.mark.anyio
async def test_a_worker_that_does_not_wait_makes_no_ticks(app: pq.App, memory: pq.InMemoryConnector) -> None:
    @app.periodic(cron="* * * * * *")
    @app.task
    def tick() -> None: ...

    await app.run_worker_async(wait=False, install_signal_handlers=False)
    assert await memory.schedules() == []


@pytest.mark.anyio
async def test_a_worker_works_on_if_its_store_keeps_no_schedules(
    app: pq.App, memory: pq.InMemoryConnector, running: Any, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(*_: Any, **__: Any) -> Any:
        raise Unsupported("no schedules here")

    memory.put_schedules = memory.tick = refuse  # type: ignore[method-assign]
    ran = anyio.Event()

    @app.periodic(cron="@daily")
    @app.task
    async def work() -> None:
        ran.set()

    async with running():
        await work.defer_async()
        await until(lambda: ran.is_set() and caplog.records)
    assert "schedules_unsupported" in [getattr(record, "action", "") for record in caplog.records]
