"""All verbs inside one transaction of a caller's, for tests that roll back all they did."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from django.db import transaction as django_transaction
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from pq_core.connector import JobFilter, WorkerInfo
from pq_core.errors import (
    ConnectionFailed,
    ConnectorError,
    LeaseLost,
    TransactionRequired,
    WrongConnection,
)
from pq_core.job import NewJob
from pq_core.outcome import Outcome
from pq_core.postgres import PsycopgConnector
from pq_core.postgres.bound import BoundConnector

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
JOB = [NewJob(task="t")]
WORKER = WorkerInfo(id=1)
HOUR = timedelta(hours=1)
Bind = Callable[[Any], BoundConnector]


@pytest.fixture
def bind(dsn: str) -> Bind:
    return lambda connection: BoundConnector(PsycopgConnector(dsn, clock=lambda: NOON), connection)


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn) as connection:
        connection.execute("create temp table notes (text text)")
        connection.commit()
        yield connection


def now(coroutine: Any) -> Any:
    """Run what never waits: under no event loop at all."""
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    return end.value.value


async def drain(bound: BoundConnector) -> list[int]:
    await bound.heartbeat(WORKER, HOUR)
    jobs = (await bound.fetch(1, None, 10)).jobs
    return await bound.finish([Outcome.succeeded(job) for job in jobs])


def notes(connection: Any) -> list[str]:
    return [text for (text,) in connection.execute("select text from notes").fetchall()]


def test_jobs_are_deferred_run_and_ended_in_the_callers_transaction_and_gone_with_it(
    bind: Bind, connection: psycopg.Connection, sync: Any
) -> None:
    bound = bind(connection)
    now(bound.defer(JOB))
    assert now(drain(bound)) == [1]
    (job,) = now(bound.find(JobFilter()))
    assert (job.state, job.created_at, job.finished_at) == ("succeeded", NOON, NOON)
    assert sync.find(JobFilter()) == []
    connection.rollback()
    assert now(bound.find(JobFilter())) == []


def test_an_error_leaves_the_transaction_fit_for_use(bind: Bind, connection: psycopg.Connection) -> None:
    bound = bind(connection)
    now(bound.defer(JOB))
    with pytest.raises(LeaseLost):
        bound.fetch(1, None, 1).send(None)
    assert len(now(bound.find(JobFilter()))) == 1


def test_the_twin_works_on_the_same_transaction(bind: Bind, connection: psycopg.Connection, sync: Any) -> None:
    bound = bind(connection)
    assert bound.sync.defer(JOB)[0].id == 1
    assert bound.sync.defer(JOB, connection=connection)[0].id == 2
    assert len(bound.sync.find(JobFilter())) == 2
    assert sync.find(JobFilter()) == []
    connection.commit()
    assert len(sync.find(JobFilter())) == 2


def test_a_job_deferred_on_another_connection_stays_in_that_ones_transaction(
    bind: Bind, connection: psycopg.Connection, dsn: str
) -> None:
    bound = bind(connection)
    with psycopg.connect(dsn) as other:
        bound.sync.defer(JOB, connection=other)
        assert bound.sync.find(JobFilter()) == []
    assert len(bound.sync.find(JobFilter())) == 1


def test_a_savepoint_undoes_or_keeps_what_a_job_did(bind: Bind, connection: psycopg.Connection) -> None:
    bound = bind(connection)
    for text, keep in (("undone", False), ("kept", True)):
        savepoint = now(bound.savepoint())
        connection.execute("insert into notes values (%s)", [text])
        now(bound.defer([NewJob(task=text)]))
        now(savepoint.release() if keep else savepoint.rollback())
    assert notes(connection) == ["kept"]
    assert [job.task for job in now(bound.find(JobFilter()))] == ["kept"]


def test_a_job_that_swallowed_an_error_of_the_database_has_nothing_to_keep(
    bind: Bind, connection: psycopg.Connection
) -> None:
    bound = bind(connection)
    savepoint = now(bound.savepoint())
    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("select 1 / 0")
    with pytest.raises(TransactionRequired, match="caught"):
        savepoint.release().send(None)
    assert now(bound.find(JobFilter())) == []


def test_a_transaction_is_needed_and_it_must_be_able_to_work(bind: Bind, connection: psycopg.Connection) -> None:
    bound = bind(connection)

    def refused(error: type[Exception], text: str) -> None:
        with pytest.raises(error, match=text):
            bound.find(JobFilter()).send(None)

    with pytest.raises(psycopg.errors.DivisionByZero):
        connection.execute("select 1 / 0")
    refused(TransactionRequired, "has failed")
    connection.rollback()
    connection.autocommit = True
    refused(TransactionRequired, "no open transaction")
    connection.autocommit = False
    connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    refused(TransactionRequired, "SERIALIZABLE")
    connection.close()
    refused(ConnectionFailed, "closed")


def test_what_outlasts_a_transaction_is_refused(bind: Bind, connection: psycopg.Connection) -> None:
    bound = bind(connection)
    for refused in (bound.migrate(), bound.check(), bound.listen(None, lambda: None)):
        with pytest.raises(ConnectorError, match="bound"):
            refused.send(None)
    now(bound.open())
    now(bound.close())


@pytest.mark.anyio
async def test_an_asynchronous_connection_is_bound_as_well(bind: Bind, dsn: str, connector: PsycopgConnector) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        bound = bind(connection)
        await bound.defer(JOB)
        savepoint = await bound.savepoint()
        await bound.defer(JOB, connection=connection)
        await savepoint.rollback()
        savepoint = await bound.savepoint()
        assert await drain(bound) == [1]
        await savepoint.release()
        assert await connector.find(JobFilter()) == []
        with pytest.raises(WrongConnection, match="only be awaited"):
            _ = bound.sync
        await connection.rollback()
        assert await bound.find(JobFilter()) == []


@pytest.mark.anyio
async def test_verbs_that_are_called_at_once_take_turns(bind: Bind, dsn: str, connection: psycopg.Connection) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as waiting:
        bound = bind(waiting)
        await asyncio.gather(*(bound.defer(JOB) for _ in range(5)))
        assert len(await bound.find(JobFilter())) == 5
        await waiting.rollback()
    twin = bind(connection).sync
    threads = [threading.Thread(target=twin.defer, args=[JOB]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(twin.find(JobFilter())) == 5


def test_a_session_of_sqlalchemy_knows_of_what_was_undone(bind: Bind, engine: sa.Engine, sync: Any) -> None:
    with Session(engine) as session:
        session.execute(sa.text("create temp table notes (text text)"))
        bound = bind(session)
        now(bound.defer(JOB))
        savepoint = now(bound.savepoint())
        session.execute(sa.text("insert into notes values ('undone')"))
        assert session.in_nested_transaction()
        now(savepoint.rollback())
        savepoint = now(bound.savepoint())
        assert now(drain(bound)) == [1]
        now(savepoint.release())
        assert not session.in_nested_transaction()
        assert session.scalars(sa.text("select text from notes")).all() == []
        session.rollback()
    assert sync.find(JobFilter()) == []


def test_a_job_that_ends_the_whole_transaction_is_told(bind: Bind, engine: sa.Engine) -> None:
    with engine.connect() as connection:
        savepoint = now(bind(connection).savepoint())
        connection.rollback()
        with pytest.raises(TransactionRequired, match="as a whole"):
            savepoint.release().send(None)


@pytest.mark.anyio
async def test_an_asynchronous_session_is_bound_as_well(
    bind: Bind, async_engine: AsyncEngine, connector: PsycopgConnector
) -> None:
    async with AsyncSession(async_engine) as session:
        bound = bind(session)
        await bound.defer(JOB)
        savepoint = await bound.savepoint()
        assert session.in_nested_transaction()
        await bound.defer(JOB)
        await savepoint.rollback()
        savepoint = await bound.savepoint()
        assert await drain(bound) == [1]
        await savepoint.release()
        assert await connector.find(JobFilter()) == []
        assert len(await bound.find(JobFilter())) == 1
        await session.rollback()


def test_djangos_own_state_follows_the_savepoint(bind: Bind, django: Any, sync: Any) -> None:
    committed = []
    bound = bind(django)
    with pytest.raises(TransactionRequired, match="no open transaction"):
        bound.savepoint().send(None)
    with django_transaction.atomic(using="jobs"):
        now(bound.defer(JOB))
        savepoint = now(bound.savepoint())
        django_transaction.on_commit(lambda: committed.append("undone"), using="jobs")
        now(savepoint.rollback())
        savepoint = now(bound.savepoint())
        django_transaction.on_commit(lambda: committed.append("kept"), using="jobs")
        assert now(drain(bound)) == [1]
        now(savepoint.release())
        (job,) = now(bound.find(JobFilter()))
        assert job.finished_at == NOON
        assert sync.find(JobFilter()) == []
    assert committed == ["kept"]


@pytest.mark.anyio
async def test_django_which_refuses_to_be_called_where_a_loop_runs_is_called_as_the_caller_says(
    dsn: str, django: Any
) -> None:
    def call(function: Callable[[], Any], /) -> Any:
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        try:
            return function()
        finally:
            asyncio._set_running_loop(loop)

    bound = BoundConnector(PsycopgConnector(dsn), django, call=call)
    block = django_transaction.atomic(using="jobs")
    call(block.__enter__)
    await bound.defer(JOB)
    await (await bound.savepoint()).rollback()
    assert len(await bound.find(JobFilter())) == 1
    call(lambda: block.__exit__(None, None, None))
