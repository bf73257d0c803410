"""From what the user gave as `connection=` to what reads through it."""

from __future__ import annotations

from functools import partial
from typing import Any

import attrs

from pq_core.errors import shown
from pq_testing import no_loop
from pq_testing.effects.errors import CannotWatch
from pq_testing.effects.tables.drivers import Read, ReadAsync, Reader, Tables, async_read, comes_from, dbapi, sync_read
from pq_testing.effects.tables.reading import Request


def reader_for(connection: Any) -> Reader:
    """Return what reads through a connection.

    Raises:
        CannotWatch: it is of no kind that is known.
    """
    if comes_from(connection, "sqlalchemy"):
        from pq_testing.effects.tables.sqlalchemy_reader import SqlalchemyReader

        reader = SqlalchemyReader.make(connection)
        if reader is not None:
            return reader
    elif hasattr(connection, "ensure_connection") and hasattr(connection, "vendor"):
        return _Sync(connection, _django)
    elif (read_async := async_read(connection)) is not None:
        return _Async(connection, read_async)
    elif (read := sync_read(connection)) is not None:
        return _Sync(connection, read)
    elif callable(getattr(connection, "cursor", None)):
        return _Sync(connection, dbapi)
    raise CannotWatch(
        f"connection {shown(connection)} is none that tables can be read through: give a connection of psycopg; an "
        "Engine, Connection or Session of SQLAlchemy; django.db.connection; or one of another DB-API driver, such as "
        "sqlite3."
    )


@attrs.frozen
class _Sync:
    connection: Any
    how: Read
    is_async: bool = False

    def read(self, request: Request) -> Tables:
        return self.how(self.connection, request)

    async def read_async(self, request: Request) -> Tables:
        return no_loop.call(partial(self.read, request))  # Django's database refuses to be used inside a loop


@attrs.frozen
class _Async:
    connection: Any
    how: ReadAsync
    is_async: bool = True

    def read(self, request: Request) -> Tables:
        raise NotImplementedError

    async def read_async(self, request: Request) -> Tables:
        return await self.how(self.connection, request)


def _django(connection: Any, request: Request) -> Tables:
    connection.ensure_connection()
    driver = connection.connection
    return (sync_read(driver) or dbapi)(driver, request)
