"""A fresh database for each test, with and without pq in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from pq_core.postgres import PsycopgConnector
from pq_core.postgres.schema import functions, migrations
from pq_testing.postgres import server


@pytest.fixture
def anyio_backend() -> str:
    """Psycopg's connections are asyncio's."""
    return "asyncio"


@pytest.fixture
def empty_dsn() -> Iterator[str]:
    """Give a database in which nothing is installed."""
    with server().fresh_database() as dsn:
        yield dsn


@pytest.fixture
def dsn() -> Iterator[str]:
    """Give a database with an empty pq in the schema `pq`."""
    here = server()
    key = "pq " + " ".join(file.hash for file in (*migrations(), *functions()))
    template = here.template(key, lambda dsn: PsycopgConnector(dsn).sync.migrate())
    with here.fresh_database(template=template) as dsn:
        yield dsn


@pytest.fixture
async def connector(dsn: str) -> AsyncIterator[PsycopgConnector]:
    """Give an open connector to an empty pq."""
    connector = PsycopgConnector(dsn)
    await connector.open()
    yield connector
    await connector.close()


@pytest.fixture
def session(dsn: str) -> Iterator[psycopg.Connection]:
    """Give a connection as a user has one in psql, in autocommit, that sees pq's tables first."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set search_path = pq, public")
        yield connection


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands in this directory."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.postgres)
