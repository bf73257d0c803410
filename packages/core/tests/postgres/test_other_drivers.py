"""Deferring in transactions of asyncpg and psycopg2, alone and under SQLAlchemy and Django, with the real libraries."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import attrs
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

import pq_core as pq
from pq_core.connector import JobFilter
from pq_core.errors import AlreadyDeferred, ConnectionFailed, ConnectorError, SchemaMissing, TransactionRequired
from pq_core.job import NewJob
from pq_core.postgres import PsycopgConnector
from pq_core.postgres.other_drivers import numbered

asyncpg: Any = pytest.importorskip("asyncpg")
psycopg2: Any = pytest.importorskip("psycopg2")
extras: Any = pytest.importorskip("psycopg2.extras")

pytestmark = pytest.mark.anyio
JOB = [NewJob(task="t")]
MOMENT = datetime(2030, 3, 31, 2, 30, 0, 123456, tzinfo=ZoneInfo("Europe/Paris"))
AWKWARD = NewJob(
    task="%s $1 'q' \\",
    args={"text": '100 % of "it\'s" \\ 日本', "none": None, "list": [1.5, 1e22, {"deep": True}]},
    queue="q%",
    priority=-3,
    lock="l'",
    lock_mode="mutex",
    scheduled_at=MOMENT,
    max_losses=7,
    metadata={"$1": "%s"},
    delivery="at_most_once",
    version=4,
    expires_in=timedelta(days=20_000, microseconds=1),
)


@pytest.fixture
async def raw(url: Callable[[str], sa.URL]) -> AsyncIterator[Any]:
    """Give a connection of asyncpg."""
    where = url("asyncpg")
    connection = await asyncpg.connect(
        host=where.host, port=where.port, user=where.username, password=where.password, database=where.database
    )
    yield connection
    await connection.close()


@pytest.fixture
def plain(dsn: str) -> Iterator[Any]:
    """Give a connection of psycopg2."""
    connection = psycopg2.connect(dsn)
    yield connection
    connection.close()


async def stored(connector: PsycopgConnector) -> list[pq.Job]:
    return await connector.find(JobFilter())


def of(job: pq.Job) -> str:
    """Return all of a job but what no two have in common."""
    return repr(attrs.evolve(job, id=0, created_at=MOMENT, expires_at=None))


async def test_asyncpg_has_jobs_live_and_die_with_its_transaction(raw: Any, connector: PsycopgConnector) -> None:
    undone = raw.transaction()
    await undone.start()
    await connector.defer(JOB, connection=raw)
    await undone.rollback()
    async with raw.transaction():
        await connector.defer(JOB * 3, connection=raw)
        assert await stored(connector) == []
    assert [job.id for job in await stored(connector)] == [2, 3, 4]


async def test_a_connection_of_a_pool_of_asyncpg_is_taken(
    url: Callable[[str], sa.URL], connector: PsycopgConnector
) -> None:
    where = url("asyncpg")
    pool = asyncpg.create_pool(
        host=where.host, port=where.port, user=where.username, database=where.database, min_size=1
    )
    async with pool, pool.acquire() as connection, connection.transaction():
        await connector.defer(JOB, connection=connection)
        assert await stored(connector) == []
    assert len(await stored(connector)) == 1


@pytest.mark.parametrize("session", [False, True])
async def test_sqlalchemy_on_asyncpg_begins_its_transaction_with_the_job(
    url: Callable[[str], sa.URL], connector: PsycopgConnector, *, session: bool
) -> None:
    engine = create_async_engine(url("asyncpg"))
    given: AsyncConnection | AsyncSession
    async with AsyncSession(engine) if session else engine.connect() as given:
        await connector.defer(JOB, connection=given)
        await given.rollback()
        await connector.defer(JOB, connection=given)
        assert await stored(connector) == []
        await given.execute(sa.text("select 1"))
        await given.commit()
    assert [job.id for job in await stored(connector)] == [2]
    await engine.dispose()


async def test_psycopg2_has_jobs_live_and_die_with_its_transaction(plain: Any, connector: PsycopgConnector) -> None:
    connector.sync.defer(JOB, connection=plain)
    plain.rollback()
    connector.sync.defer(JOB * 3, connection=plain)
    assert await stored(connector) == []
    plain.commit()
    assert [job.id for job in await stored(connector)] == [2, 3, 4]
    connector.sync.close()


async def test_sqlalchemy_on_psycopg2_is_joined(url: Callable[[str], sa.URL], connector: PsycopgConnector) -> None:
    engine = sa.create_engine(url("psycopg2"))
    with engine.connect() as connection, Session(engine) as session:
        for given in (connection, session):
            connector.sync.defer(JOB, connection=given)
            given.rollback()
            connector.sync.defer(JOB, connection=given)
            given.commit()
    assert [job.id for job in await stored(connector)] == [2, 4]
    engine.dispose()
    connector.sync.close()


async def test_whatever_a_job_holds_arrives_as_through_psycopg(
    raw: Any, plain: Any, connector: PsycopgConnector, url: Callable[[str], sa.URL]
) -> None:
    """Also if the caller has codecs for JSON, or cursors that give dicts."""
    await raw.set_type_codec("json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")
    plain.cursor_factory = extras.RealDictCursor
    engine = create_async_engine(url("asyncpg"))
    for jobs in ([AWKWARD], [AWKWARD, NewJob(task="plain", delay=timedelta(hours=3))]):
        now = datetime.now(UTC)
        await connector.defer(jobs, now=now)
        await connector.defer(jobs, connection=raw, now=now)
        connector.sync.defer(jobs, connection=plain, now=now)
        plain.commit()
        async with engine.begin() as connection:
            await connector.defer(jobs, connection=connection, now=now)
    found = await stored(connector)
    assert len({of(job) for job in found if job.task == AWKWARD.task}) == 1
    assert len({of(job) for job in found if job.task == "plain"}) == 1
    assert len(found) == 12
    assert found[0].args == AWKWARD.args
    await engine.dispose()
    connector.sync.close()


async def test_a_job_of_a_unique_key_is_skipped_or_refused_alike(
    raw: Any, plain: Any, connector: PsycopgConnector
) -> None:
    await connector.defer([NewJob(task="t", unique_key="k")])
    refused, skipped = NewJob(task="t", unique_key="k"), NewJob(task="t", unique_key="k", on_conflict="skip")
    for jobs in ([refused], [refused, NewJob(task="t")]):
        with pytest.raises(AlreadyDeferred):
            await connector.defer(jobs, connection=raw)
        with pytest.raises(AlreadyDeferred):
            connector.sync.defer(jobs, connection=plain)
        plain.rollback()
    assert [(each.id, each.status) for each in await connector.defer([skipped], connection=raw)] == [(1, "skipped")]
    assert [(each.id, each.status) for each in connector.sync.defer([skipped], connection=plain)] == [(1, "skipped")]
    connector.sync.close()


async def test_a_commit_wakes_a_worker_that_listens(raw: Any, plain: Any, connector: PsycopgConnector) -> None:
    calls = 0

    def wake() -> None:
        nonlocal calls
        calls += 1

    async def heard(number: int) -> None:
        with anyio.fail_after(10):
            while calls < number:  # noqa: ASYNC110 - a notification comes by the connector's own task
                await anyio.sleep(0.001)

    async with anyio.create_task_group() as group:
        group.start_soon(connector.listen, ["default"], wake)
        await heard(1)
        async with raw.transaction():
            await connector.defer(JOB, connection=raw)
        await heard(2)
        connector.sync.defer(JOB, connection=plain)
        plain.commit()
        await heard(3)
        group.cancel_scope.cancel()
    connector.sync.close()


async def test_what_the_database_says_is_said_in_pqs_words(
    raw: Any, plain: Any, dsn: str, url: Callable[[str], sa.URL]
) -> None:
    elsewhere = PsycopgConnector(dsn, schema="nowhere")
    engine = create_async_engine(url("asyncpg"))
    with pytest.raises(SchemaMissing):
        await elsewhere.defer(JOB, connection=raw)
    with pytest.raises(SchemaMissing):
        elsewhere.sync.defer(JOB, connection=plain)
    async with engine.connect() as connection:
        with pytest.raises(SchemaMissing):
            await elsewhere.defer(JOB, connection=connection)
        with pytest.raises(TransactionRequired, match="failed already"):
            await elsewhere.defer(JOB, connection=connection)
    with pytest.raises(TransactionRequired, match="failed already"):
        elsewhere.sync.defer(JOB, connection=plain)
    plain.close()
    await raw.close()
    with pytest.raises(ConnectionFailed):
        await elsewhere.defer(JOB, connection=raw)
    with pytest.raises(ConnectionFailed):
        elsewhere.sync.defer(JOB, connection=plain)
    await engine.dispose()


async def test_a_text_that_the_callers_encoding_lacks_is_named(plain: Any, connector: PsycopgConnector) -> None:
    plain.set_client_encoding("LATIN1")
    with pytest.raises(ConnectorError, match="encoding"):
        connector.sync.defer([NewJob(task="日本")], connection=plain)
    connector.sync.close()


def test_placeholders_are_numbered_and_a_percent_sign_is_one() -> None:
    assert numbered('select "a%%b".f(%s, %s::json, %s::int)') == 'select "a%b".f($1, $2::text::json, $3::int)'
