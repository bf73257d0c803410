from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pq_testing.backends.postgres import PostgresBackend
from pq_testing.postgres import fresh_database


@pytest.fixture(scope="session")
def session_dsn() -> Iterator[str]:
    with fresh_database() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def session_backend(session_dsn: str) -> Iterator[PostgresBackend]:
    backend = PostgresBackend(session_dsn)
    yield backend
    backend.close()


@pytest.fixture
def backend(session_backend: PostgresBackend) -> Iterator[PostgresBackend]:
    session_backend.reset()
    yield session_backend
    session_backend.close_test()


@pytest.fixture
def user(session_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection of the test's own."""
    with psycopg.connect(session_dsn) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def sessions(backend: PostgresBackend) -> Callable[[], int]:
    """Count the sessions on the database, but for the one that counts."""

    def count() -> int:
        with psycopg.connect(backend.dsn, autocommit=True) as connection:
            query = (
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            )
            ((number,),) = connection.execute(query).fetchall()
        return int(number)

    return count


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.postgres)
