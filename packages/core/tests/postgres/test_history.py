"""Partitions of the finished jobs: made in time, made in need, and dropped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from pq_core.connector import JobFilter, WorkerInfo
from pq_core.job import NewJob
from pq_core.outcome import Outcome
from pq_core.postgres import PsycopgConnector

NOON = datetime(2031, 5, 17, 12, tzinfo=UTC)
DAY = timedelta(days=1)

pytestmark = pytest.mark.anyio


def days(session: psycopg.Connection) -> list[str]:
    """Return the days that have a partition, but for those made when the schema was installed."""
    rows = session.execute(
        "select right(inhrelid::regclass::text, 8) from pg_inherits"
        " where inhparent = 'finished_jobs'::regclass order by 1"
    )
    return [day for (day,) in rows if day.startswith("2031")]


@pytest.fixture
def reader(dsn: str) -> Iterator[psycopg.Connection]:
    """Give another session that has read the history and not ended its transaction."""
    with psycopg.connect(dsn) as connection:
        yield connection
        connection.rollback()


async def run_one(connector: PsycopgConnector, at: datetime) -> int:
    worker = WorkerInfo(id=5)
    await connector.heartbeat(worker, DAY, now=at)
    await connector.defer([NewJob(task="t")], now=at)
    (job,) = (await connector.fetch(5, None, 1, now=at)).jobs
    return (await connector.finish([Outcome.succeeded(job)], now=at))[0]


async def test_a_finish_that_finds_no_partition_makes_one(
    connector: PsycopgConnector, session: psycopg.Connection
) -> None:
    assert days(session) == []
    await run_one(connector, NOON)
    await run_one(connector, NOON + 40 * DAY)
    assert days(session) == ["20310517", "20310626"]
    assert (await connector.find(JobFilter()))[1].finished_at == NOON + 40 * DAY


async def test_partitions_are_made_ahead_of_their_days(
    connector: PsycopgConnector, session: psycopg.Connection
) -> None:
    await connector.prune(None, now=NOON)
    assert days(session) == ["20310517", "20310518", "20310519", "20310520"]


async def test_retention_drops_whole_days_and_deletes_the_rest_of_one(
    connector: PsycopgConnector, session: psycopg.Connection
) -> None:
    for at in (NOON, NOON + DAY, NOON + 3 * DAY, NOON + 3 * DAY + timedelta(hours=6)):
        await run_one(connector, at)
    assert await connector.prune(2 * DAY, now=NOON + 5 * DAY + timedelta(hours=3)) == 3
    assert [job.id for job in await connector.find(JobFilter())] == [4]
    assert days(session)[0] == "20310520"


async def test_a_day_that_is_being_read_is_forgotten_later(
    connector: PsycopgConnector, session: psycopg.Connection, reader: psycopg.Connection
) -> None:
    await run_one(connector, NOON)
    reader.execute("select * from pq.finished_jobs")
    assert await connector.prune(DAY, now=NOON + 5 * DAY) in (0, 1)
    assert "20310517" in days(session)
    reader.rollback()
    await connector.prune(DAY, now=NOON + 5 * DAY)
    assert "20310517" not in days(session)
    assert await connector.find(JobFilter()) == []
