"""A fresh start for each test, in pq's schema and nowhere else."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from pq_core.connector import JobFilter, WorkerInfo
from pq_core.errors import ConnectionFailed, LeaseLost
from pq_core.job import NewJob
from pq_core.outcome import Outcome
from pq_testing.backends import reset
from pq_testing.backends.errors import DatabaseInUse, ServerDied
from pq_testing.backends.postgres import PostgresBackend
from pq_testing.postgres import Server, fresh_database

JOB = NewJob(task="t", lock="l")


async def live(backend: PostgresBackend, now: datetime | None = None) -> None:
    connector = backend.connector(None if now is None else lambda: now)
    await connector.defer([JOB] * 3)
    await connector.heartbeat(WorkerInfo(id=1), timedelta(hours=1))
    (job,) = (await connector.fetch(1, None, 1)).jobs
    await connector.finish([Outcome.succeeded(job)])
    await connector.fetch(1, None, 1)
    await connector.pause("q")


def test_nothing_of_a_test_is_there_in_the_next_and_ids_begin_at_1(backend: PostgresBackend) -> None:
    asyncio.run(live(backend))
    backend.reset()
    connector = backend.connector()
    assert connector.sync.find(JobFilter()) == []
    assert connector.sync.queues() == []
    assert connector.sync.defer([JOB])[0].id == 1
    with pytest.raises(LeaseLost):
        asyncio.run(connector.fetch(1, None, 1))


def test_other_schemas_are_left_alone(user: psycopg.Connection, session_dsn: str) -> None:
    user.execute("create schema shop; create table shop.jobs (id serial); insert into shop.jobs default values")
    user.commit()
    mine = PostgresBackend(session_dsn, schema='it\'s "mine"')
    mine.reset()
    asyncio.run(live(mine))
    other = PostgresBackend(session_dsn, schema="other")
    other.reset()
    asyncio.run(live(other))
    mine.reset()
    assert mine.connector().sync.find(JobFilter()) == []
    assert len(other.connector().sync.find(JobFilter())) == 3
    assert user.execute("select id from shop.jobs").fetchall() == [(1,)]
    mine.close()
    other.close()
    user.execute('drop schema shop, other, "it\'s ""mine""" cascade')
    user.commit()


def test_a_reset_takes_five_milliseconds_at_most(backend: PostgresBackend) -> None:
    took = []
    for _ in range(20):
        asyncio.run(live(backend))
        begun = time.perf_counter()
        backend.reset()
        took.append(time.perf_counter() - begun)
    assert statistics.median(took) < 0.005


def test_days_of_history_that_a_moved_clock_has_made_do_not_pile_up(
    backend: PostgresBackend, user: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reset, "_MOST_DAYS", 8)
    for day in range(1, 8):
        asyncio.run(live(backend, datetime(2030, 1, day, tzinfo=UTC)))
        backend.reset()
        backend.close_test()
    query = "select count(*) from pg_inherits where inhparent = 'pq.finished_jobs'::regclass"
    assert user.execute(query).fetchone() in [(number,) for number in range(4, 9)]
    asyncio.run(live(backend))


def test_whoever_holds_the_tables_is_named(
    backend: PostgresBackend, user: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = PostgresBackend(backend.dsn, schema="impatient")
    monkeypatch.setattr(reset, "SETTINGS", "set lock_timeout = '50ms'; set pq.inside = on")
    impatient.reset()
    impatient.connector().sync.defer([JOB])
    user.execute("select id /* mine */ from impatient.jobs for update")
    with pytest.raises(DatabaseInUse) as raised:
        impatient.reset()
    assert f"process {user.info.backend_pid} (idle in transaction" in str(raised.value)
    assert "/* mine */" in str(raised.value)
    user.rollback()
    impatient.reset()
    with pytest.raises(DatabaseInUse, match="pytest-xdist"):
        PostgresBackend(backend.dsn, schema="impatient").reset()
    impatient.close()
    user.execute("drop schema impatient cascade")
    user.commit()


@pytest.fixture
def own() -> Iterator[Server]:
    with Server.start() as server:
        yield server


def test_a_server_that_died_in_a_test_is_back_for_the_next_one(own: Server) -> None:
    backend = PostgresBackend(own.create_database().dsn, revive=own.restart)
    backend.reset()
    asyncio.run(live(backend))
    own.crash()
    with pytest.raises(ConnectionFailed, match="does not answer"):
        backend.connector().sync.find(JobFilter())
    with pytest.raises(ConnectionFailed, match="does not answer"):
        asyncio.run(live(backend))
    backend.close_test()
    backend.reset()
    asyncio.run(live(backend))
    backend.close()


def test_a_server_of_somebody_elses_that_died_is_reported_in_one_paragraph(own: Server) -> None:
    backend = PostgresBackend(own.create_database().dsn)
    backend.reset()
    own.crash()
    with pytest.raises(ServerDied, match="start it again") as raised:
        backend.reset()
    assert "\n" not in str(raised.value)
    own.restart()
    backend.reset()
    backend.close()


def test_a_database_that_is_made_anew_for_each_test_gets_pq_again(own: Server) -> None:
    """So do fixtures of pytest-postgresql: they end all sessions, and drop the database."""
    database = own.create_database()
    backend = PostgresBackend(database.dsn)
    for _ in range(2):
        backend.reset()
        asyncio.run(live(backend))
        backend.close_test()
        own.drop_database(database.name)
        with psycopg.connect(own.dsn(), autocommit=True) as connection:
            connection.execute(f"create database {database.name}")
    backend.close()


def test_a_schema_that_somebody_dropped_is_installed_again(backend: PostgresBackend, user: psycopg.Connection) -> None:
    user.execute("drop schema pq cascade")
    user.commit()
    backend.reset()
    asyncio.run(live(backend))


def test_tests_of_two_processes_in_one_schema_are_refused() -> None:
    with fresh_database() as dsn:
        one, other = PostgresBackend(dsn), PostgresBackend(dsn, schema="other")
        one.reset()
        other.reset()
        one.close()
        again = PostgresBackend(dsn)
        again.reset()
        again.close()
        other.close()
