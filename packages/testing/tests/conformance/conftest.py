"""One database for all cases that need one; they empty it in milliseconds instead of making another."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from pq_core.postgres import PsycopgConnector
from pq_testing.postgres import fresh_database

EMPTY = """
delete from pq.jobs;
delete from pq.finished_jobs;
delete from pq.workers;
delete from pq.paused_queues;
"""


@pytest.fixture(scope="session")
def migrated_dsn() -> Iterator[str]:
    """Give a database with pq in it."""
    with fresh_database() as dsn:
        connector = PsycopgConnector(dsn)
        connector.sync.migrate()
        connector.sync.close()
        yield dsn


@pytest.fixture(scope="session")
def eraser(migrated_dsn: str) -> Iterator[psycopg.Connection]:
    """Give a connection to empty the database by."""
    with psycopg.connect(migrated_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def empty_dsn(migrated_dsn: str, eraser: psycopg.Connection) -> str:
    """Give the database, emptied."""
    eraser.execute(EMPTY)
    return migrated_dsn
