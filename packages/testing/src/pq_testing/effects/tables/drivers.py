"""Reading through one connection of a driver: who asks, and how the connection is left as it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Protocol

from pq_core.errors import PQError
from pq_testing.effects.errors import CannotRead
from pq_testing.effects.tables import postgres, sqlite
from pq_testing.effects.tables.reading import Conversation, Query, Request, Rows, Table

IDLE, IN_TRANSACTION, IN_ERROR = 0, 2, 3
"""What libpq calls the states of a connection."""

Tables = dict[str, Table]
Read = Callable[[Any, Request], Tables]
ReadAsync = Callable[[Any, Request], Awaitable[Tables]]


class Reader(Protocol):
    """Reads tables through what the user gave as `connection=`."""

    @property
    def is_async(self) -> bool:
        """Whether only :meth:`read_async` can."""
        ...

    def read(self, request: Request) -> Tables:
        """Read, and leave the connection as it was."""
        ...

    async def read_async(self, request: Request) -> Tables:
        """Do what :meth:`read` does."""
        ...


def comes_from(value: object, package: str) -> bool:
    """Return whether an object is of a package's class, or of one made from it; the package is not imported."""
    return any(cls.__module__.partition(".")[0] == package for cls in type(value).__mro__)


def sync_read(connection: object) -> Read | None:
    """Return how to read through a driver's own connection; None if it is of no driver that is known."""
    if comes_from(connection, "psycopg") and not _is_async_psycopg(connection):
        return _psycopg
    if comes_from(connection, "psycopg2"):
        return _psycopg2
    if comes_from(connection, "sqlite3"):
        return _sqlite
    return None


def async_read(connection: object) -> ReadAsync | None:
    """Return how to read through a driver's own async connection; None if it is of no driver that is known."""
    if comes_from(connection, "psycopg") and _is_async_psycopg(connection):
        return _psycopg_async
    if comes_from(connection, "aiosqlite"):
        return _aiosqlite
    return None


def dbapi(connection: Any, request: Request) -> Tables:
    """Read through a connection of which no more is known than that it follows the DB-API: without primary keys."""
    tables: Tables = {}
    for name in request.names:
        cursor = connection.cursor()
        try:
            cursor.execute(f"select * from {name.given}")  # noqa: S608 - a name that the test wrote
            columns = tuple(str(column[0]) for column in cursor.description)
            rows: list[Sequence[Any]] = [tuple(row) for row in cursor.fetchmany(request.most + 1)]
        finally:
            cursor.close()
        read = request.columns_of(name, columns)
        places = [columns.index(column) for column in read]
        kept = [tuple(row[place] for place in places) for row in rows] if request.most else []
        tables[name.given] = Table(columns, (), read, request.check(name, kept))
    return tables


@contextmanager
def faults_told(what: str) -> Generator[None]:
    """Turn what a driver raises into an error that says what was being done.

    Raises:
        CannotRead: the driver raised something.
    """
    try:
        yield
    except PQError:  # is told already
        raise
    except Exception as fault:
        why = " ".join(str(fault).split())
        raise CannotRead(f"{what} could not be read to see what changed: {type(fault).__qualname__}: {why}") from fault


def _psycopg(connection: Any, request: Request) -> Tables:
    psycopg, rows = import_module("psycopg"), import_module("psycopg.rows")
    _check_usable(connection.info.transaction_status)
    with connection.transaction(force_rollback=True), psycopg.Cursor(connection, row_factory=rows.tuple_row) as cursor:
        _load_leniently(cursor)

        def ask(query: Query) -> Rows:
            cursor.execute(query.text, query.parameters, prepare=False, binary=False)
            return cursor.fetchall() if cursor.description else ()

        return _converse(postgres.conversation(request), ask)


async def _psycopg_async(connection: Any, request: Request) -> Tables:
    psycopg, rows = import_module("psycopg"), import_module("psycopg.rows")
    _check_usable(connection.info.transaction_status)
    async with (
        connection.transaction(force_rollback=True),
        psycopg.AsyncCursor(connection, row_factory=rows.tuple_row) as cursor,
    ):
        _load_leniently(cursor)

        async def ask(query: Query) -> Rows:
            await cursor.execute(query.text, query.parameters, prepare=False, binary=False)
            return await cursor.fetchall() if cursor.description else ()

        return await _converse_async(postgres.conversation(request), ask)


MOMENTS = ("date", "timestamp", "timestamptz", "interval")
"""Types of which PostgreSQL has values that Python has not: infinity, years before 1 and after 9999."""


def _load_leniently(cursor: Any) -> None:
    """Let a moment that Python cannot tell be read as its text."""
    psycopg: Any = import_module("psycopg")
    adapt: Any = import_module("psycopg.adapt")

    def lenient(usual: Any) -> Any:
        class Lenient(adapt.Loader):  # type: ignore[misc]  # psycopg is imported only where it is there already
            def __init__(self, oid: int, context: Any) -> None:
                super().__init__(oid, context)  # pyright: ignore[reportUnknownMemberType] - as above
                self._usual = usual(oid, context)

            def load(self, data: Any) -> Any:
                try:
                    return self._usual.load(data)
                except psycopg.DataError:
                    return bytes(data).decode()

        return Lenient

    for name in MOMENTS:
        oid = cursor.adapters.types[name].oid
        cursor.adapters.register_loader(oid, lenient(cursor.adapters.get_loader(oid, 0)))


def _psycopg2(connection: Any, request: Request) -> Tables:
    extensions = import_module("psycopg2.extensions")
    status = connection.info.transaction_status
    _check_usable(status)
    with connection.cursor(cursor_factory=extensions.cursor) as cursor:

        def ask(query: Query) -> Rows:
            cursor.execute(query.text, query.parameters)
            return cursor.fetchall() if cursor.description else ()

        # In autocommit there is no transaction for the savepoint; otherwise the driver begins one by itself.
        begin, end = ("begin", "rollback") if connection.autocommit and status == IDLE else (SAVE, GO_BACK)
        try:
            cursor.execute(begin)
            try:
                return _converse(postgres.conversation(request), ask)
            finally:
                cursor.execute(end)
        finally:
            if status == IDLE:
                connection.rollback()


SAVE = "savepoint pq_effects"
GO_BACK = "rollback to savepoint pq_effects; release savepoint pq_effects"


def _sqlite(connection: Any, request: Request) -> Tables:
    cursor = connection.cursor()
    cursor.row_factory = None
    try:
        return _converse(sqlite.conversation(request), lambda query: cursor.execute(query.text).fetchall())
    finally:
        cursor.close()


async def _aiosqlite(connection: Any, request: Request) -> Tables:
    async def ask(query: Query) -> Rows:
        async with connection.execute(query.text) as cursor:
            return [tuple(row) for row in await cursor.fetchall()]

    return await _converse_async(sqlite.conversation(request), ask)


def _converse(conversation: Conversation, ask: Callable[[Query], Rows]) -> Tables:
    try:
        query = next(conversation)
        while True:
            query = conversation.send(ask(query))
    except StopIteration as end:
        tables: Tables = end.value
        return tables


async def _converse_async(conversation: Conversation, ask: Callable[[Query], Awaitable[Rows]]) -> Tables:
    try:
        query = next(conversation)
        while True:
            answer = await ask(query)
            query = conversation.send(answer)
    except StopIteration as end:
        tables: Tables = end.value
        return tables


def _check_usable(status: int) -> None:
    if status == IN_ERROR:
        raise CannotRead(
            "the watched connection is in a transaction that has failed, in which PostgreSQL answers nothing: roll it "
            "back (or to a savepoint) before the jobs run."
        )
    if status not in (IDLE, IN_TRANSACTION):
        raise CannotRead(
            "the watched connection is busy or closed: give watch_tables() one that is open, and on which nothing else "
            "runs while jobs do."
        )


def _is_async_psycopg(connection: object) -> bool:
    return isinstance(connection, import_module("psycopg").AsyncConnection)
