"""Reading through SQLAlchemy: an engine, a connection or a session, of either colour."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import attrs

from pq_testing.effects.errors import CannotRead
from pq_testing.effects.tables.drivers import Tables, async_read, sync_read
from pq_testing.effects.tables.reading import Request, Table, not_found, written


@attrs.frozen
class SqlalchemyReader:
    """What was given, and whether it is one of ``sqlalchemy.ext.asyncio``."""

    target: Any
    is_async: bool

    @classmethod
    def make(cls, target: Any) -> SqlalchemyReader | None:
        """Return a reader; None if this is nothing that statements can be run on."""
        if hasattr(target, "registry") and callable(target):  # a scoped session: the one of this scope
            target = target()
        asynchronous = import_module("sqlalchemy.ext.asyncio")
        if isinstance(target, (asynchronous.AsyncEngine, asynchronous.AsyncConnection, asynchronous.AsyncSession)):
            return cls(target, is_async=True)
        engine, orm = import_module("sqlalchemy.engine"), import_module("sqlalchemy.orm")
        if isinstance(target, (engine.Engine, engine.Connection, orm.Session)):
            return cls(target, is_async=False)
        return None

    def read(self, request: Request) -> Tables:
        """Read through the open transaction if there is one, else through a connection of the engine's."""
        target = self.target
        if isinstance(target, import_module("sqlalchemy.orm").Session):
            # Not by the session itself, which would write first what waits in it.
            target = target.connection() if target.in_transaction() else target.get_bind()
        if not isinstance(target, import_module("sqlalchemy.engine").Engine):
            return _read(target, request)
        shared = _shared(target)
        if shared is not None and (read := sync_read(shared)) is not None:
            return read(shared, request)
        with target.connect() as connection:
            return _read(connection, request)

    async def read_async(self, request: Request) -> Tables:
        """Do what :meth:`read` does."""
        if not self.is_async:
            return self.read(request)
        asynchronous = import_module("sqlalchemy.ext.asyncio")
        target = self.target
        if isinstance(target, asynchronous.AsyncSession):
            target = await target.connection() if target.in_transaction() else _bind(target)
        if not isinstance(target, asynchronous.AsyncEngine):
            return await _read_async(target, request)
        shared = _shared(target.sync_engine)
        if shared is not None and (read := async_read(shared)) is not None:
            return await read(shared, request)
        async with target.connect() as connection:
            return await _read_async(connection, request)


def _shared(engine: Any) -> Any:
    """Return the one connection that all users of the engine share, if they do: to hand it back would roll it back."""
    if not isinstance(engine.pool, import_module("sqlalchemy.pool").StaticPool):
        return None
    return engine.pool.connection.driver_connection


def _bind(session: Any) -> Any:
    if session.bind is None:
        raise CannotRead(
            "the watched AsyncSession has no engine of its own: give watch_tables() the engine, or a connection of it."
        )
    return session.bind


def _read(connection: Any, request: Request) -> Tables:
    driver = connection.connection.driver_connection
    read = sync_read(driver)
    return _inspect(connection, request) if read is None else read(driver, request)


async def _read_async(connection: Any, request: Request) -> Tables:
    driver = (await connection.get_raw_connection()).driver_connection
    read = async_read(driver)
    if read is not None:
        return await read(driver, request)
    tables: Tables = await connection.run_sync(_inspect, request)
    return tables


def _inspect(connection: Any, request: Request) -> Tables:
    """Read by SQLAlchemy's own means, which every database has that it speaks to."""
    transaction = connection.begin_nested() if connection.in_transaction() else connection.begin()
    try:
        return {name.given: _table(connection, request, name) for name in request.names}
    finally:
        transaction.rollback()


def _table(connection: Any, request: Request, name: Any) -> Table:
    sqlalchemy: Any = import_module("sqlalchemy")
    inspector = sqlalchemy.inspect(connection)
    schema = None if name.schema is None else name.schema.text
    there = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
    found = [each for each in there if each == name.table.text] or [each for each in there if name.table.fits(each)]
    if not found:
        raise not_found(name, [written(*filter(None, (schema, each))) for each in sorted(there)])
    columns = tuple(str(column["name"]) for column in inspector.get_columns(found[0], schema))
    key = tuple(inspector.get_pk_constraint(found[0], schema)["constrained_columns"])
    read = request.columns_of(name, columns)
    if not request.most:
        return Table(columns, key, read)
    chosen = [sqlalchemy.column(column) for column in read] or [sqlalchemy.literal(1)]
    query = sqlalchemy.select(*chosen).select_from(sqlalchemy.table(found[0], schema=schema)).limit(request.most + 1)
    return Table(columns, key, read, request.check(name, [tuple(row) for row in connection.execute(query)]))
