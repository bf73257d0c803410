"""A fresh database for each test, with and without pq in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from django import setup
from django.conf import settings
from django.db import connections
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

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


@pytest.fixture
def sync(dsn: str) -> Iterator[Any]:
    """Give the twin of a connector that nobody opened."""
    connector = PsycopgConnector(dsn)
    yield connector.sync
    connector.sync.close()


@pytest.fixture
def url(dsn: str) -> Callable[[str], sqlalchemy.URL]:
    """Say how SQLAlchemy finds the test's database, through a driver."""
    parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items()}

    def make(driver: str) -> sqlalchemy.URL:
        account = {"username": parts["user"], "password": parts.get("password")}
        where = {"host": parts["host"], "port": parts.get("port", "5432")}
        made = sqlalchemy.URL.create(f"postgresql+{driver}", **account, database=parts["dbname"])
        return made.set(host=where["host"], port=int(where["port"])) if driver == "asyncpg" else made.set(query=where)

    return make


@pytest.fixture
def engine(url: Callable[[str], sqlalchemy.URL]) -> Iterator[sqlalchemy.Engine]:
    """Give an engine of SQLAlchemy."""
    engine = sqlalchemy.create_engine(url("psycopg"))
    yield engine
    engine.dispose()


@pytest.fixture
async def async_engine(url: Callable[[str], sqlalchemy.URL]) -> AsyncIterator[AsyncEngine]:
    """Give an engine of SQLAlchemy's for asyncio."""
    engine = create_async_engine(url("psycopg"))
    yield engine
    await engine.dispose()


@pytest.fixture
def django(dsn: str) -> Iterator[Any]:
    """Give Django's connection to the test's database, under the alias `jobs`."""
    if not settings.configured:
        settings.configure(DATABASES={"default": {}}, USE_TZ=False)
        setup()
    parts = conninfo_to_dict(dsn)
    here = {name.upper(): parts.get(name, "") for name in ("user", "password", "host", "port")}
    here |= {"ENGINE": "django.db.backends.postgresql", "NAME": parts["dbname"]}
    connections.databases["jobs"] = connections.configure_settings({"default": {}, "jobs": here})["jobs"]
    yield connections["jobs"]
    connections["jobs"].close()
    del connections["jobs"], connections.databases["jobs"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what stands in this directory."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.postgres)
