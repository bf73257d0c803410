"""The outside world of each test: fakes, and tables in memory or beside pq's in PostgreSQL."""

from collections.abc import Iterator

import attrs
import psycopg
import pytest
from fakes import FakeCarrier, FakeGateway, FakeMailer
from fastapi.testclient import TestClient
from memory_store import MemoryStore
from shop.outside import outside
from shop.postgres_store import SCHEMA, PostgresStore
from shop.web import web

import pq_core as pq
from pq_testing import Effects
from pq_testing.postgres import fresh_database

BOOKS = {"Emma": 1200, "Persuasion": 900}


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """The shop's database, as its own migrations would make it."""
    with fresh_database() as dsn:
        with psycopg.connect(dsn) as connection:
            connection.execute(SCHEMA)
        yield dsn


@pytest.fixture(scope="session")
def pq_dsn(database: str) -> str:
    """Where pq installs its schema, too, for tests on PostgreSQL."""
    return database


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run under asyncio: psycopg knows no other loop."""
    return "asyncio"


@attrs.define
class World:
    gateway: FakeGateway = attrs.field(factory=FakeGateway)
    mailer: FakeMailer = attrs.field(factory=FakeMailer)
    carrier: FakeCarrier = attrs.field(factory=FakeCarrier)
    tables: psycopg.Connection | None = None

    def watched_by(self, effects: Effects) -> None:
        effects.watch(self.gateway, "gateway")
        effects.watch(self.mailer, "mailer")
        effects.watch_jobs()
        if self.tables is not None:
            effects.watch_tables("orders", "payments", "books", connection=self.tables)


@pytest.fixture(autouse=True)
def world(
    request: pytest.FixtureRequest, pq_connector: pq.Connector, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    world = World()
    for name in ("gateway", "mailer", "carrier"):
        monkeypatch.setattr(outside, name, getattr(world, name))
    if isinstance(pq_connector, pq.InMemoryConnector):
        monkeypatch.setattr(outside, "store", MemoryStore(cents=dict(BOOKS), stock=dict.fromkeys(BOOKS, 2)))
        yield world
        return
    dsn = request.getfixturevalue("database")
    monkeypatch.setattr(outside, "store", PostgresStore(dsn))
    with psycopg.connect(dsn, autocommit=True) as world.tables:
        world.tables.execute("truncate books, orders, payments restart identity")
        for title, cents in BOOKS.items():
            world.tables.execute("insert into books values (%s, %s, 2)", [title, cents])
        yield world


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    with TestClient(web) as client:
        yield client
