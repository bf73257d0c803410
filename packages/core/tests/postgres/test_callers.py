"""Deferring in the transaction of SQLAlchemy or Django, with the libraries themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from django.db import connections
from django.db import transaction as django_transaction
from django.db.utils import load_backend
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from pq_core.connector import JobFilter
from pq_core.errors import WrongConnection
from pq_core.job import NewJob
from pq_core.postgres import PsycopgConnector
from pq_core.postgres.bound import BoundConnector

JOB = [NewJob(task="t")]


def test_a_job_lives_and_dies_with_the_transaction_of_a_sqlalchemy_connection(engine: sa.Engine, sync: Any) -> None:
    with engine.connect() as connection:
        sync.defer(JOB, connection=connection)
        connection.rollback()
        sync.defer(JOB, connection=connection)
        assert sync.find(JobFilter()) == []
        connection.commit()
    assert [job.id for job in sync.find(JobFilter())] == [2]


@pytest.mark.parametrize("scoped", [False, True])
def test_a_session_that_has_done_nothing_yet_takes_the_job_into_its_transaction(
    engine: sa.Engine, sync: Any, *, scoped: bool
) -> None:
    factory = sessionmaker(engine)
    session: Session | scoped_session[Session] = scoped_session(factory) if scoped else factory()
    sync.defer(JOB, connection=session)
    session.rollback()
    sync.defer(JOB, connection=session)
    assert sync.find(JobFilter()) == []
    session.commit()
    assert [job.id for job in sync.find(JobFilter())] == [2]
    session.close()


def test_a_nested_transaction_of_a_session_takes_its_jobs_with_it(engine: sa.Engine, sync: Any) -> None:
    with Session(engine) as session:
        sync.defer(JOB, connection=session)
        with session.begin_nested() as nested:
            sync.defer(JOB, connection=session)
            nested.rollback()
        session.commit()
    assert [job.id for job in sync.find(JobFilter())] == [1]


@pytest.mark.anyio
async def test_an_asynchronous_connection_and_session_are_joined_as_well(
    async_engine: AsyncEngine, connector: PsycopgConnector
) -> None:
    async def through(given: AsyncConnection | AsyncSession) -> None:
        before = await connector.find(JobFilter())
        await connector.defer(JOB, connection=given)
        await given.rollback()
        await connector.defer(JOB, connection=given)
        assert await connector.find(JobFilter()) == before
        await given.commit()
        assert len(await connector.find(JobFilter())) == len(before) + 1

    async with async_engine.connect() as connection:
        await through(connection)
    async with AsyncSession(async_engine) as session:
        await through(session)


@pytest.mark.anyio
async def test_the_other_colour_of_sqlalchemy_is_refused(
    engine: sa.Engine, async_engine: AsyncEngine, connector: PsycopgConnector
) -> None:
    with Session(engine) as session, pytest.raises(WrongConnection, match="a Session wants defer"):
        await connector.defer(JOB, connection=session)
    async with AsyncSession(async_engine) as waiting:
        with pytest.raises(WrongConnection, match="an AsyncSession wants defer_async"):
            connector.sync.defer(JOB, connection=waiting)


def test_a_job_lives_and_dies_with_an_atomic_block_of_django(django: Any, sync: Any) -> None:
    with django_transaction.atomic(using="jobs"):
        sync.defer(JOB, connection=django)
        django_transaction.set_rollback(True, using="jobs")
    with django_transaction.atomic(using="jobs"):
        sync.defer(JOB, connection=django)
        assert sync.find(JobFilter()) == []
    assert [job.id for job in sync.find(JobFilter())] == [2]


def test_outside_of_an_atomic_block_django_commits_at_once(django: Any, sync: Any) -> None:
    sync.defer(JOB, connection=django)
    assert [job.id for job in sync.find(JobFilter())] == [1]


def test_djangos_proxy_for_the_default_connection_is_taken(django: Any, sync: Any) -> None:
    from django.utils.connection import ConnectionProxy

    sync.defer(JOB, connection=ConnectionProxy(connections, "jobs"))
    assert [job.id for job in sync.find(JobFilter())] == [1]


@pytest.mark.anyio
async def test_django_wants_a_synchronous_defer(django: Any, connector: PsycopgConnector) -> None:
    with pytest.raises(WrongConnection, match="a DatabaseWrapper wants defer"):
        await connector.defer(JOB, connection=django)


def test_to_work_through_another_driver_than_psycopg_is_refused_but_to_defer(
    dsn: str, url: Callable[[str], sa.URL]
) -> None:
    engine = sa.create_engine(url("psycopg2"))
    with (
        engine.connect() as connection,
        pytest.raises(WrongConnection, match=r"stands on psycopg2.*psycopg 3 only.*postgresql\+psycopg"),
    ):
        BoundConnector(PsycopgConnector(dsn), connection).sync.find(JobFilter())
    engine.dispose()


@pytest.mark.anyio
async def test_to_work_through_asyncpg_is_refused_but_to_defer(
    connector: PsycopgConnector, url: Callable[[str], sa.URL]
) -> None:
    """Tests that roll back all they did do so through psycopg."""
    engine = create_async_engine(url("asyncpg"))
    async with AsyncSession(engine) as session:
        with pytest.raises(WrongConnection, match=r"stands on asyncpg.*postgresql\+psycopg"):
            await BoundConnector(connector, session).find(JobFilter())
        raw = (await (await session.connection()).get_raw_connection()).driver_connection
        with pytest.raises(WrongConnection, match=r"connection= is a asyncpg\.Connection, and.*psycopg 3"):
            await BoundConnector(connector, raw).find(JobFilter())
    await engine.dispose()


def test_another_database_under_django_is_named(sync: Any, tmp_path: Path) -> None:
    backend = load_backend("django.db.backends.sqlite3")
    wrapper = backend.DatabaseWrapper(
        {"NAME": str(tmp_path / "lite"), "OPTIONS": {}, "AUTOCOMMIT": True, "TIME_ZONE": None, "CONN_MAX_AGE": 0}
        | {"CONN_HEALTH_CHECKS": False},
        "lite",
    )
    with pytest.raises(WrongConnection, match=r"DatabaseWrapper that stands on sqlite3.*install psycopg"):
        sync.defer(JOB, connection=wrapper)
    wrapper.close()


def test_what_is_no_connection_at_all_is_named(sync: Any) -> None:
    with (
        sqlite3.connect(":memory:") as lite,
        pytest.raises(WrongConnection, match=r"connection= is a sqlite3\.Connection"),
    ):
        sync.defer(JOB, connection=lite)
    lite.close()
