"""What `pq_effects` tells of tables, through connections of any kind, and that none of them notices."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from pq_core.errors import InvalidOption
from pq_testing.effects import CannotRead, CannotWatch, ColumnNotFound, Effects, TableNotFound, TooMuchToWatch
from pq_testing.postgres import fresh_database, server

SCHEMA = """
create table orders (id bigint primary key, charged int not null default 0, note text, updated_at timestamptz);
create table outbox (msg text);
create table lines (order_id int, sku text, n int, primary key (sku, order_id));
create table "Order Lines" ("Id" int primary key, "n%" int);
create schema shop;
create table shop.orders (id uuid primary key, meta jsonb, tags text[], rate double precision);
create table shop."Odd.Name" (a int);
create view charged as select id from orders where charged > 0;
insert into orders (id) values (7), (10), (9);
insert into outbox values ('old');
insert into lines values (7, 'a', 1);
insert into "Order Lines" values (1, 1);
insert into shop.orders values ('00000000-0000-0000-0000-000000000007', '{"a": [1]}', '{x}', 'nan');
"""


def install(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(SCHEMA)


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with fresh_database(template=server().template("toolkit effects 1", install)) as dsn:
        yield dsn


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection of the test's own, whose work is rolled back."""
    with psycopg.connect(dsn) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def effects() -> Effects:
    return Effects()


@pytest.fixture
def sqlite() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(
        """
        create table orders (id integer primary key, charged int, updated_at text);
        create table outbox (msg text);
        create table "Order Lines" ("Id" int primary key, n int);
        insert into orders values (7, 1, 'x'), (8, 1, 'x');
        insert into "Order Lines" values (1, 1);
        attach ':memory:' as shop;
        create table shop.orders (id int, sku text, n int, primary key (sku, id));
        insert into shop.orders values (1, 'a', 1);
        """
    )
    yield connection
    connection.close()


def changes(effects: Effects, act: Callable[[], object]) -> list[str]:
    before = effects.snapshot()
    act()
    return [str(change) for change in effects.changes_since(before)]


class TestOnSqlite:
    def test_rows_are_known_by_their_primary_key(self, effects: Effects, sqlite: sqlite3.Connection) -> None:
        effects.watch_tables("orders", connection=sqlite)

        def act() -> None:
            sqlite.execute("update orders set charged = 2 where id = 7")
            sqlite.execute("delete from orders where id = 8")
            sqlite.execute("insert into orders values (5, 0, null)")

        assert changes(effects, act) == [
            "orders +1 row {'id': 5, 'charged': 0, 'updated_at': None}",
            "orders[7].charged 1 → 2",
            "orders -1 row {'id': 8, 'charged': 1, 'updated_at': 'x'}",
        ]

    def test_rows_without_a_key_are_counted(self, effects: Effects, sqlite: sqlite3.Connection) -> None:
        effects.watch_tables("outbox", connection=sqlite)
        sqlite.executemany("insert into outbox values (?)", [("a",), ("a",), ("b",)])

        def act() -> None:
            sqlite.executemany("insert into outbox values (?)", [("receipt",), ("receipt",), ("a",)])
            sqlite.execute("delete from outbox where msg = 'b'")

        assert changes(effects, act) == [
            "outbox +1 row {'msg': 'a'}",
            "outbox -1 row {'msg': 'b'}",
            "outbox +2 rows {'msg': 'receipt'}",
        ]

    def test_names_may_have_quotes_and_schemas(self, effects: Effects, sqlite: sqlite3.Connection) -> None:
        sqlite.execute('create table "say ""hi""" (id integer primary key)')
        effects.watch_tables('"Order Lines"', "shop.orders", "Orders", '"say ""hi"""', connection=sqlite)

        def act() -> None:
            sqlite.execute('insert into "say ""hi""" values (1)')
            sqlite.execute('update "Order Lines" set n = 2')
            sqlite.execute("update shop.orders set n = 2")
            sqlite.execute("update main.orders set charged = 2 where id = 7")

        assert changes(effects, act) == [
            '"Order Lines"[1].n 1 → 2',
            "shop.orders['a', 1].n 1 → 2",
            "Orders[7].charged 1 → 2",
            '"say ""hi""" +1 row {\'id\': 1}',
        ]

    def test_reading_begins_no_transaction_and_ends_none(self, effects: Effects, sqlite: sqlite3.Connection) -> None:
        sqlite.row_factory = lambda cursor, row: pytest.fail("the user's row factory was asked")
        effects.watch_tables("orders", connection=sqlite)
        sqlite.commit()
        effects.snapshot()
        assert not sqlite.in_transaction
        sqlite.execute("update orders set charged = 5")
        effects.snapshot()
        assert sqlite.in_transaction
        sqlite.rollback()
        sqlite.row_factory = None
        assert sqlite.execute("select charged from orders").fetchall() == [(1,), (1,)]

    def test_a_table_that_is_not_there_is_told_with_those_that_are(
        self, effects: Effects, sqlite: sqlite3.Connection
    ) -> None:
        with pytest.raises(
            TableNotFound,
            match='there is no table order, as this connection sees it; there are: "Order Lines", orders, outbox, '
            r"shop.orders\.",
        ):
            effects.watch_tables("order", connection=sqlite)
        with (
            pytest.raises(TableNotFound, match="there are none: is it a connection to the right database"),
            sqlite3.connect(":memory:") as empty,
        ):
            effects.watch_tables("orders", connection=empty)
        empty.close()
        assert not effects.watching

    @pytest.mark.parametrize(
        "ignore", [["orders.updated_at"], ["updated_at"], ["*.updated_at"], ['ORDERS."updated_at"'], ["updated_at"] * 2]
    )
    def test_ignored_columns_do_not_count(
        self, effects: Effects, sqlite: sqlite3.Connection, ignore: list[str]
    ) -> None:
        effects.watch_tables("outbox", "orders", connection=sqlite, ignore=ignore)
        assert changes(
            effects, lambda: sqlite.execute("update orders set updated_at = 'y', charged = charged + 1")
        ) == [
            "orders[7].charged 1 → 2",
            "orders[8].charged 1 → 2",
        ]

    @pytest.mark.parametrize(
        "ignore, error",
        [
            (
                "orders.updated",
                "ignore= names orders.updated, and there is no such column: orders has id, charged, upda",
            ),
            ("nothing", "there is no such column: orders has id, charged, updated_at; outbox has msg"),
            (
                "order.updated_at",
                "ignore= names order.updated_at, but no such table is watched here; these are: orders,",
            ),
        ],
    )
    def test_an_ignored_column_that_is_not_there_is_told_with_those_that_are(
        self, effects: Effects, sqlite: sqlite3.Connection, ignore: str, error: str
    ) -> None:
        with pytest.raises(ColumnNotFound, match=error):
            effects.watch_tables("orders", "outbox", connection=sqlite, ignore=[ignore])

    def test_rows_whose_key_is_ignored_are_counted(self, effects: Effects, sqlite: sqlite3.Connection) -> None:
        effects.watch_tables("orders", connection=sqlite, ignore=["orders.id", "orders.updated_at"])
        assert changes(effects, lambda: sqlite.execute("insert into orders values (99, 1, 'z')")) == [
            "orders +1 row {'charged': 1}"
        ]

    def test_a_table_of_which_every_column_is_ignored_is_counted(
        self, effects: Effects, sqlite: sqlite3.Connection
    ) -> None:
        effects.watch_tables("outbox", connection=sqlite, ignore=["msg"])
        assert changes(effects, lambda: sqlite.execute("insert into outbox values ('x')")) == ["outbox +1 row {}"]

    def test_more_rows_than_are_compared_are_refused(self, effects: Effects, sqlite: sqlite3.Connection) -> None:
        effects.watch_tables("orders", connection=sqlite, most_rows=2)
        effects.snapshot()
        sqlite.execute("insert into orders values (9, 0, '')")
        with pytest.raises(TooMuchToWatch, match="orders has more than 2 rows"):
            effects.snapshot()

    def test_a_table_that_has_gone_is_told(self, effects: Effects, sqlite: sqlite3.Connection) -> None:
        effects.watch_tables("outbox", connection=sqlite)
        sqlite.execute("drop table outbox")
        with pytest.raises(TableNotFound, match="there is no table outbox"):
            effects.snapshot()

    def test_a_column_that_came_is_a_change_of_each_row(self, effects: Effects, sqlite: sqlite3.Connection) -> None:
        effects.watch_tables("orders", connection=sqlite)
        assert changes(effects, lambda: sqlite.execute("alter table orders add column vat int")) == [
            "orders[7].vat absent → None",
            "orders[8].vat absent → None",
        ]

    def test_a_connection_that_is_closed_is_told(self, effects: Effects, sqlite: sqlite3.Connection) -> None:
        effects.watch_tables("orders", connection=sqlite)
        sqlite.close()
        with pytest.raises(CannotRead, match="orders could not be read to see what changed: ProgrammingError: Cannot"):
            effects.snapshot()


@pytest.mark.parametrize("tables", [(), ("",), (5,), ("a.b.c",), ('"a',), ("a..b",), ("a.",), ('"a"b',)])
def test_what_is_no_name_of_a_table_is_refused(effects: Effects, sqlite: sqlite3.Connection, tables: Any) -> None:
    with pytest.raises(InvalidOption, match=r"is not the name of a table|was given no table"):
        effects.watch_tables(*tables, connection=sqlite)


@pytest.mark.parametrize("ignore", ["orders.updated_at", [5], ["a..b"]])
def test_what_is_no_list_of_columns_is_refused(effects: Effects, sqlite: sqlite3.Connection, ignore: Any) -> None:
    with pytest.raises(InvalidOption, match="ignore"):
        effects.watch_tables("orders", connection=sqlite, ignore=ignore)


@pytest.mark.parametrize("most_rows", [0, True, "5"])
def test_what_is_no_number_of_rows_is_refused(effects: Effects, sqlite: sqlite3.Connection, most_rows: Any) -> None:
    with pytest.raises(InvalidOption, match="most_rows"):
        effects.watch_tables("orders", connection=sqlite, most_rows=most_rows)


@pytest.mark.parametrize("connection", [None, "postgresql://", object()])
def test_what_is_no_connection_is_refused(effects: Effects, connection: Any) -> None:
    with pytest.raises(CannotWatch, match="is none that tables can be read through: give a connection of psycopg"):
        effects.watch_tables("orders", connection=connection)


def test_a_driver_that_is_not_known_is_read_by_the_rules_of_all(effects: Effects, sqlite: sqlite3.Connection) -> None:
    class Cursor:
        def __init__(self) -> None:
            self.real = sqlite.cursor()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.real, name)

    class Connection:
        def cursor(self) -> Cursor:
            return Cursor()

    effects.watch_tables("orders", connection=Connection(), ignore=["updated_at"])
    assert changes(effects, lambda: sqlite.execute("update orders set charged = 2 where id = 7")) == [
        "orders -1 row {'id': 7, 'charged': 1}",
        "orders +1 row {'id': 7, 'charged': 2}",
    ]


@pytest.mark.postgres
class TestOnPostgres:
    @pytest.mark.parametrize("autocommit", [False, True])
    def test_a_connection_outside_of_a_transaction_stays_outside(
        self, effects: Effects, dsn: str, connection: psycopg.Connection, autocommit: bool
    ) -> None:
        with psycopg.connect(dsn, autocommit=autocommit, row_factory=dict_row) as watching:
            effects.watch_tables("orders", connection=watching)
            assert watching.info.transaction_status == TransactionStatus.IDLE
            assert changes(effects, lambda: connection.execute("update orders set charged = 1")) == []
            assert watching.info.transaction_status == TransactionStatus.IDLE
            assert watching.autocommit is autocommit

    def test_what_others_commit_is_seen(self, effects: Effects, dsn: str) -> None:
        with psycopg.connect(dsn) as watching, psycopg.connect(dsn, autocommit=True) as job:
            watching.execute("select 1")
            effects.watch_tables("outbox", connection=watching)
            told = changes(effects, lambda: job.execute("insert into outbox values ('receipt')"))
            job.execute("delete from outbox where msg = 'receipt'")
            assert told == ["outbox +1 row {'msg': 'receipt'}"]
            assert watching.info.transaction_status == TransactionStatus.INTRANS

    def test_what_the_callers_own_transaction_did_is_seen_and_stays_its_own(
        self, effects: Effects, dsn: str, connection: psycopg.Connection
    ) -> None:
        effects.watch_tables("orders", "lines", connection=connection, ignore=["orders.updated_at"])

        def act() -> None:
            connection.execute("update orders set charged = charged + 1, updated_at = now() where id > 7")
            connection.execute("update lines set n = 2")

        assert changes(effects, act) == [
            "orders[9].charged 0 → 1",
            "orders[10].charged 0 → 1",
            "lines['a', 7].n 1 → 2",
        ]
        assert connection.info.transaction_status == TransactionStatus.INTRANS
        with psycopg.connect(dsn) as other:
            assert other.execute("select sum(charged) from orders").fetchone() == (0,)

    @pytest.mark.parametrize("awaited", [False, True])
    def test_moments_that_python_cannot_tell_are_read_as_postgresql_writes_them(
        self, effects: Effects, dsn: str, awaited: bool
    ) -> None:
        set_up = """
            create temporary table offers (id int primary key, until timestamptz, day date, during tstzrange);
            insert into offers values (1, 'infinity', '0044-03-15 BC', '[2026-01-01 00:00Z,infinity)')
        """
        act = "update offers set until = '2026-01-01 00:00Z', day = 'infinity', during = 'empty'"

        async def told() -> list[str]:
            async with await psycopg.AsyncConnection.connect(dsn) as connection:
                await connection.execute("set time zone 'UTC'")
                await connection.execute(set_up.encode())
                effects.watch_tables("offers", connection=connection)
                before = await effects.snapshot_async()
                await connection.execute(act.encode())
                found = await effects.changes_since_async(before)
                await connection.rollback()
            return [str(change).partition(" ")[0] for change in found]

        if awaited:
            assert asyncio.run(told()) == ["offers[1].until", "offers[1].day", "offers[1].during"]
            return
        with psycopg.connect(dsn, options="-c timezone=UTC") as connection:
            connection.execute(set_up.encode())
            effects.watch_tables("offers", connection=connection)
            found = changes(effects, lambda: connection.execute(act.encode()))
            connection.rollback()
        assert found[1] == "offers[1].day '0044-03-15 BC' → 'infinity'"
        assert found[0].startswith("offers[1].until 'infinity' → datetime.datetime(2026, 1, 1, 0, 0")
        assert found[2].startswith("offers[1].during Range(datetime.datetime(2026, 1, 1, 0, 0")

    def test_names_are_those_of_sql(self, effects: Effects, connection: psycopg.Connection) -> None:
        effects.watch_tables(
            "ORDERS", '"Order Lines"', "shop.orders", 'shop."Odd.Name"', "charged", connection=connection
        )

        def act() -> None:
            connection.execute("update orders set charged = 1, note = '100%' where id = 7")
            connection.execute("""update "Order Lines" set "n%" = 2""")
            connection.execute("""update shop.orders set meta = '{"a": [1, 2]}', tags = '{x,y}', rate = 'nan'""")
            connection.execute("""insert into shop."Odd.Name" values (5), (5)""")

        assert changes(effects, act) == [
            "ORDERS[7].charged 0 → 1",
            "ORDERS[7].note None → '100%'",
            '"Order Lines"[1].n% 1 → 2',
            "shop.orders[00000000-0000-0000-0000-000000000007].meta['a'] +1 2",
            "shop.orders[00000000-0000-0000-0000-000000000007].tags +1 'y'",
            """shop."Odd.Name" +2 rows {'a': 5}""",
            "charged +1 row {'id': 7}",
        ]

    def test_a_table_is_looked_for_where_the_connection_looks(
        self, effects: Effects, connection: psycopg.Connection
    ) -> None:
        connection.execute("set search_path = shop")
        effects.watch_tables("orders", connection=connection)
        assert changes(effects, lambda: connection.execute("delete from shop.orders"))[0].startswith(
            "orders -1 row {'id': UUID('00000000-0000-0000-0000-000000000007'), 'meta': {'a': [1]}"
        )

    def test_a_table_that_is_not_there_is_told_with_those_that_are_and_breaks_nothing(
        self, effects: Effects, connection: psycopg.Connection
    ) -> None:
        connection.execute("update orders set charged = 3 where id = 7")
        with pytest.raises(
            TableNotFound,
            match=r"there is no table order_lines, as this connection sees it; there are: "
            r'"Order Lines", charged, lines, orders, outbox, shop."Odd.Name", shop.orders\.',
        ):
            effects.watch_tables("order_lines", connection=connection)
        assert connection.execute("select charged from orders where id = 7").fetchone() == (3,)

    def test_a_reading_that_fails_breaks_no_transaction(self, effects: Effects, connection: psycopg.Connection) -> None:
        effects.watch_tables("outbox", connection=connection)
        connection.execute("update orders set charged = 3 where id = 7")
        connection.execute("create view broken as select 1 / (charged - 3) from orders")
        effects.watch_tables("broken", connection=connection)
        with pytest.raises(CannotRead, match="broken could not be read to see what changed: DivisionByZero: division"):
            effects.snapshot()
        assert connection.execute("select charged from orders where id = 7").fetchone() == (3,)

    def test_a_locked_table_is_an_error_and_no_hang(
        self, effects: Effects, dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("pq_testing.effects.tables.postgres.LOCK_TIMEOUT", "set local lock_timeout = '20ms'")
        effects.watch_tables("outbox", connection=connection)
        connection.rollback()
        with psycopg.connect(dsn) as altering:
            altering.execute("alter table outbox add column at timestamptz")
            with pytest.raises(CannotRead, match=r"outbox could not be read .* LockNotAvailable"):
                effects.snapshot()
            altering.rollback()
        assert connection.execute("show lock_timeout").fetchone() == ("0",)

    def test_a_transaction_that_has_failed_is_told(self, effects: Effects, connection: psycopg.Connection) -> None:
        effects.watch_tables("orders", connection=connection)
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("select 1 / 0")
        with pytest.raises(CannotRead, match="in a transaction that has failed"):
            effects.snapshot()

    def test_a_closed_connection_is_told(self, effects: Effects, dsn: str) -> None:
        with psycopg.connect(dsn) as connection:
            effects.watch_tables("orders", connection=connection)
        with pytest.raises(CannotRead, match="busy or closed"):
            effects.snapshot()

    def test_a_test_that_never_ends_a_transaction_block_of_psycopg_goes_on(
        self, effects: Effects, connection: psycopg.Connection
    ) -> None:
        effects.watch_tables("orders", connection=connection)
        with connection.transaction():
            with connection.transaction(force_rollback=True):
                told = changes(effects, lambda: connection.execute("update orders set charged = 1 where id = 7"))
            assert told == ["orders[7].charged 0 → 1"]
            assert changes(effects, lambda: None) == []

    def test_an_async_connection_is_read_by_async_snapshots(self, effects: Effects, dsn: str) -> None:
        async def act() -> list[str]:
            async with await psycopg.AsyncConnection.connect(dsn) as connection:
                effects.watch_tables("orders", connection=connection, ignore=["orders.updated_at"])
                before = await effects.snapshot_async()
                assert connection.info.transaction_status == TransactionStatus.IDLE
                await connection.execute("update orders set charged = 1, updated_at = now() where id = 7")
                told = [str(change) for change in await effects.changes_since_async(before)]
                assert connection.info.transaction_status == TransactionStatus.INTRANS
                await connection.rollback()
            return told

        assert asyncio.run(act()) == ["orders[7].charged 0 → 1"]
        with pytest.raises(
            CannotRead, match=r"orders are watched through an async connection.*await snapshot_async\(\)"
        ):
            effects.snapshot()

    def test_ignored_columns_are_checked_by_the_first_async_snapshot(self, effects: Effects, dsn: str) -> None:
        async def act() -> None:
            async with await psycopg.AsyncConnection.connect(dsn) as connection:
                effects.watch_tables("orders", connection=connection, ignore=["orders.nothing"])
                await effects.snapshot_async()

        with pytest.raises(ColumnNotFound, match="there is no such column: orders has id, charged, note, updated_at"):
            asyncio.run(act())


@pytest.mark.postgres
class TestThroughPsycopg2:
    @pytest.mark.parametrize("autocommit", [False, True])
    def test_a_connection_is_left_as_it_was(self, effects: Effects, dsn: str, autocommit: bool) -> None:
        psycopg2 = pytest.importorskip("psycopg2")
        connection = psycopg2.connect(dsn)
        connection.autocommit = autocommit
        effects.watch_tables("orders", connection=connection)
        effects.snapshot()
        assert connection.info.transaction_status == TransactionStatus.IDLE
        cursor = connection.cursor()
        if autocommit:
            cursor.execute("begin")
        told = changes(effects, lambda: cursor.execute("update orders set charged = 1 where id = 7"))
        assert connection.info.transaction_status == TransactionStatus.INTRANS
        cursor.execute("rollback")
        connection.close()
        assert told == ["orders[7].charged 0 → 1"]


@pytest.mark.postgres
class TestThroughSqlalchemy:
    @pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
    @pytest.mark.parametrize("inspected", [False, True])
    def test_an_engine_a_connection_and_a_session_are_read(
        self, dsn: str, driver: str, inspected: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sqlalchemy = pytest.importorskip("sqlalchemy")
        pytest.importorskip(driver)
        from sqlalchemy.orm import Session

        if inspected:  # as through a driver of which pq knows nothing
            monkeypatch.setattr("pq_testing.effects.tables.sqlalchemy_reader.sync_read", lambda connection: None)
        engine = _engine(sqlalchemy, dsn, driver)
        update = sqlalchemy.text("update orders set charged = charged + 1 where id = 7")
        for make in (engine.connect, lambda: Session(engine)):
            effects = Effects()
            with make() as working:
                effects.watch_tables("orders", "lines", "shop.orders", connection=working)
                assert not working.in_transaction()
                before = effects.snapshot()
                assert not working.in_transaction()
                working.execute(update)
                told = [str(change) for change in effects.changes_since(before)]
                assert working.in_transaction()
                working.rollback()
            assert told == ["orders[7].charged 0 → 1"]

        effects = Effects()
        effects.watch_tables("orders", "lines", "shop.orders", connection=engine)
        with engine.connect() as working:
            assert changes(effects, lambda: working.execute(update)) == []
            assert changes(effects, working.commit) == ["orders[7].charged 0 → 1"]
            working.execute(sqlalchemy.text("update orders set charged = 0"))
            working.commit()
        with pytest.raises(TableNotFound, match="there is no table nothing"):
            effects.watch_tables("nothing", connection=engine)
        assert engine.pool.checkedout() == 0
        engine.dispose()

    def test_a_session_writes_nothing_for_being_watched(self, dsn: str, effects: Effects) -> None:
        sqlalchemy = pytest.importorskip("sqlalchemy")
        from sqlalchemy.orm import DeclarativeBase, mapped_column, scoped_session, sessionmaker

        class Base(DeclarativeBase): ...

        class Order(Base):
            __tablename__ = "orders"
            id = mapped_column(sqlalchemy.Integer, primary_key=True)
            charged = mapped_column(sqlalchemy.Integer)

        engine = _engine(sqlalchemy, dsn, "psycopg")
        session = scoped_session(sessionmaker(engine))
        effects.watch_tables("orders", connection=session)
        before = effects.snapshot()
        session.add(Order(id=70, charged=1))
        assert effects.changes_since(before) == []
        assert session.new
        session.flush()
        assert [change.path for change in effects.changes_since(before)] == ["orders"]
        session.remove()
        engine.dispose()

    def test_async_engines_connections_and_sessions_are_read(self, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
        sqlalchemy = pytest.importorskip("sqlalchemy")
        from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

        url = _engine(sqlalchemy, dsn, "psycopg").url
        update = sqlalchemy.text("update orders set charged = charged + 1 where id = 7")

        async def act() -> list[list[str]]:
            engine = create_async_engine(url)
            told = []
            for make in (engine.connect, lambda: AsyncSession(engine)):
                effects = Effects()
                async with make() as working:
                    effects.watch_tables("orders", connection=working)
                    before = await effects.snapshot_async()
                    assert not working.in_transaction()
                    await working.execute(update)
                    told.append([str(change) for change in await effects.changes_since_async(before)])
                    await working.rollback()
            effects = Effects()
            effects.watch_tables("orders", connection=engine)
            before = await effects.snapshot_async()
            told.append([str(change) for change in await effects.changes_since_async(before)])
            await engine.dispose()
            return told

        expected = [["orders[7].charged 0 → 1"], ["orders[7].charged 0 → 1"], []]
        assert asyncio.run(act()) == expected
        monkeypatch.setattr("pq_testing.effects.tables.sqlalchemy_reader.async_read", lambda connection: None)
        assert asyncio.run(act()) == expected


def _engine(sqlalchemy: Any, dsn: str, driver: str) -> Any:
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    query = {"host": parts["host"], "port": str(parts["port"])}
    return sqlalchemy.create_engine(
        sqlalchemy.URL.create(f"postgresql+{driver}", username=parts["user"], database=parts["dbname"], query=query)
    )


@pytest.mark.parametrize("pool", ["StaticPool", "SingletonThreadPool", "NullPool"])
def test_an_engine_of_sqlite_is_read_beside_an_open_transaction(effects: Effects, pool: str, tmp_path: Path) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    place = f"/{tmp_path}/test.db" if pool == "NullPool" else ""
    engine = sqlalchemy.create_engine(f"sqlite://{place}", poolclass=getattr(sqlalchemy.pool, pool))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create table orders (id integer primary key, charged int)"))
    effects.watch_tables("orders", connection=engine)
    before = effects.snapshot()
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("insert into orders values (7, 1)"))
        effects.snapshot()
        assert connection.execute(sqlalchemy.text("select * from orders")).all() == [(7, 1)]
        connection.commit()
    assert [str(change) for change in effects.changes_since(before)] == ["orders +1 row {'id': 7, 'charged': 1}"]
    engine.dispose()


def test_an_async_engine_of_sqlite_is_read_beside_an_open_transaction(effects: Effects) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("aiosqlite")
    from sqlalchemy.ext.asyncio import create_async_engine

    async def act() -> list[str]:
        engine = create_async_engine("sqlite+aiosqlite://", poolclass=sqlalchemy.pool.StaticPool)
        async with engine.begin() as connection:
            await connection.execute(sqlalchemy.text("create table orders (id integer primary key, charged int)"))
        effects.watch_tables("orders", connection=engine)
        before = await effects.snapshot_async()
        async with engine.connect() as connection:
            await connection.execute(sqlalchemy.text("insert into orders values (7, 1)"))
            await effects.snapshot_async()
            await connection.commit()
        told = [str(change) for change in await effects.changes_since_async(before)]
        await engine.dispose()
        return told

    assert asyncio.run(act()) == ["orders +1 row {'id': 7, 'charged': 1}"]


DJANGO = """
import ast, asyncio, sys, warnings
import django
from django.conf import settings
warnings.simplefilter("error")
settings.configure(DATABASES={"default": ast.literal_eval(sys.argv[1])}, USE_TZ=True)
django.setup()
from django.db import connection, transaction
from pq_testing.effects import Effects

with connection.cursor() as cursor:
    cursor.execute("create table baskets (id int primary key, total int)")
effects = Effects()
effects.watch_tables("baskets", connection=connection)
async def look():
    return await effects.snapshot_async()
with transaction.atomic():
    before = asyncio.run(look())
    with connection.cursor() as cursor:
        cursor.execute("insert into baskets values (7, 1)")
    with transaction.atomic():
        print(*effects.changes_since(before))
    transaction.set_rollback(True)
print(*effects.changes_since(before), connection.in_atomic_block)
connection.close()
"""


@pytest.mark.postgres
@pytest.mark.parametrize("vendor", ["postgresql", "sqlite3"])
def test_the_connection_of_django_is_read(dsn: str, vendor: str) -> None:
    pytest.importorskip("django")
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    place = {"NAME": parts["dbname"], "USER": parts["user"], "HOST": parts["host"], "PORT": parts["port"]}
    settings = {"ENGINE": f"django.db.backends.{vendor}", **(place if vendor == "postgresql" else {"NAME": ":memory:"})}
    done = subprocess.run([sys.executable, "-c", DJANGO, repr(settings)], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["baskets +1 row {'id': 7, 'total': 1}", "False"], done.stderr
