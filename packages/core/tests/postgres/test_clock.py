"""A connector with a clock of its own: what it tells is the time of every verb that is given none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pq_core.connector import JobChanges, JobFilter, WorkerInfo
from pq_core.errors import InvalidOption
from pq_core.job import Job, NewJob
from pq_core.outcome import Outcome
from pq_core.postgres import PsycopgConnector

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(dsn: str, clock: Clock) -> Iterator[PsycopgConnector]:
    connector = PsycopgConnector(dsn, clock=clock)
    yield connector
    connector.sync.close()


async def run(connector: PsycopgConnector) -> Job:
    await connector.heartbeat(WorkerInfo(id=1), HOUR)
    (job,) = (await connector.fetch(1, None, 1)).jobs
    return job


@pytest.mark.anyio
async def test_a_job_lives_by_the_connectors_clock(timed: PsycopgConnector, clock: Clock) -> None:
    await timed.defer([NewJob(task="t", delay=HOUR)])
    await timed.heartbeat(WorkerInfo(id=1), 3 * HOUR)
    assert (await timed.fetch(1, None, 1)).next_in == 3600
    clock.now += HOUR
    job = await run(timed)
    assert (job.created_at, job.scheduled_at, job.started_at) == (NOON, NOON + HOUR, NOON + HOUR)
    await timed.finish([Outcome.succeeded(job)])
    (ended,) = await timed.find(JobFilter())
    assert ended.finished_at == NOON + HOUR
    clock.now += HOUR
    assert await timed.prune(HOUR + HOUR) == 0
    clock.now += 2 * HOUR
    assert await timed.prune(HOUR) == 1
    await timed.close()


@pytest.mark.anyio
async def test_leases_and_operators_verbs_go_by_the_connectors_clock(timed: PsycopgConnector, clock: Clock) -> None:
    await timed.defer([NewJob(task="lost"), NewJob(task="asked")])
    job = await run(timed)
    await timed.cancel([job.id])
    (asked,) = await timed.find(JobFilter(ids=[job.id]))
    assert asked.cancel_requested_at == NOON
    (moved,) = await timed.reschedule([2], JobChanges(delay=HOUR))
    assert moved.state == "scheduled"
    assert await timed.rescue() == []
    clock.now += HOUR
    assert [state.state for state in await timed.rescue()] == ["cancelled"]
    await timed.retry([1])
    (again,) = await timed.find(JobFilter(ids=[1]))
    assert again.scheduled_at == clock.now
    await run(timed)
    clock.now += HOUR / 2
    await timed.leave(1)
    (released,) = await timed.find(JobFilter(ids=[1]))
    assert released.scheduled_at == clock.now
    await timed.close()


def test_the_twin_and_a_connector_with_another_pool_go_by_the_same_clock(timed: PsycopgConnector) -> None:
    other = timed.with_pool(max_size=2)
    timed.sync.defer([NewJob(task="one")])
    other.sync.defer([NewJob(task="many"), NewJob(task="many")])
    other.sync.close()
    assert {job.created_at for job in timed.sync.find(JobFilter())} == {NOON}


def test_a_time_that_is_given_comes_before_the_clock(timed: PsycopgConnector) -> None:
    timed.sync.defer([NewJob(task="t")], now=NOON - HOUR)
    (job,) = timed.sync.find(JobFilter())
    assert job.created_at == NOON - HOUR


def test_a_clock_that_tells_no_aware_time_is_refused(timed: PsycopgConnector, clock: Clock) -> None:
    clock.now = datetime(2030, 1, 1)  # noqa: DTZ001 - the mistake
    with pytest.raises(InvalidOption, match="now"):
        timed.sync.defer([NewJob(task="t")])
    with pytest.raises(InvalidOption, match="clock"):
        PsycopgConnector(clock=NOON)  # type: ignore[arg-type]
