"""The cursor that a connection of a pool keeps for jobs that are stored one by one."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pq_core.connector import JobFilter
from pq_core.errors import InvalidJob
from pq_core.job import NewJob
from pq_core.postgres import PsycopgConnector
from pq_core.postgres.cursors import async_cursor_on, cursor_on

pytestmark = pytest.mark.anyio

KINDS = [
    NewJob(task="plain", args={"a": 1}, priority=2),
    NewJob(task="locked", args={"a": 2}, lock="door", delay=timedelta(hours=1)),
    NewJob(task="expiring", args={"a": 3}, expires_in=timedelta(hours=1)),
    NewJob(task="unique", args={"a": 4}, unique_key="key"),
    NewJob(task="prior", args={"a": 5}, priority=-70),
]


async def test_jobs_of_all_kinds_follow_each_other_through_one_connection(dsn: str) -> None:
    connector = PsycopgConnector(dsn, max_size=1)
    ids: list[int] = []
    for job in KINDS:
        ids += [deferred.id for deferred in await connector.defer([job])]
        with pytest.raises(InvalidJob):
            await connector.defer([NewJob(task=job.task, args={"text": "\0"})])
    for job in KINDS:
        if job.unique_key is None:
            ids += [deferred.id for deferred in connector.sync.defer([job])]
    stored = await connector.find(JobFilter())
    assert [job.id for job in stored] == ids
    again = [job for job in KINDS if job.unique_key is None]
    assert [(job.task, job.args, job.priority) for job in stored] == [
        (job.task, job.args, job.priority) for job in [*KINDS, *again]
    ]
    await connector.close()
    connector.sync.close()


async def test_a_deferral_that_is_cancelled_leaves_a_connection_that_works(
    dsn: str, session: psycopg.Connection[Any]
) -> None:
    connector = PsycopgConnector(dsn, max_size=1)
    await connector.defer([KINDS[0]])
    with session.transaction():
        session.execute("lock table jobs")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await connector.defer([KINDS[0]])
    (deferred,) = await connector.defer([KINDS[0]])
    assert [job.id for job in await connector.find(JobFilter())][-1] == deferred.id
    await connector.close()


async def test_a_cursor_is_kept_with_its_connection_for_who_asks_for_that(dsn: str) -> None:
    with psycopg.connect(dsn) as one, psycopg.connect(dsn) as other:
        kept = cursor_on(one, kept=True)
        assert cursor_on(one, kept=True) is kept
        assert cursor_on(other, kept=True) is not kept
        assert cursor_on(one, kept=False) is not kept
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        assert async_cursor_on(connection, kept=True) is async_cursor_on(connection, kept=True)
        assert async_cursor_on(connection, kept=False) is not async_cursor_on(connection, kept=False)


async def test_a_callers_connection_is_given_no_cursor_to_keep(connector: PsycopgConnector, dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        before = set(vars(connection))
        await connector.defer([KINDS[0]], connection=connection)
        assert set(vars(connection)) == before
