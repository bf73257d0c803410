"""Connections for tests: no threads, no tasks; they outlast tests and event loops, and are closed without awaiting.

An idle connection of psycopg's belongs to no event loop, so those that one test has opened serve the next one in
another loop. Whatever is lent is lent to one thread or task alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Generator
from typing import Any, TypeAlias

import attrs
import psycopg
from psycopg.pq import TransactionStatus

from pq_core.postgres.faults import translate
from pq_core.postgres.link import ISOLATION, Link, settings_to_mend

Connection: TypeAlias = psycopg.Connection[Any]
AsyncConnection: TypeAlias = psycopg.AsyncConnection[Any]

_MOST_IDLE = 8
_foreign: list[object] = []
"""What belongs to the process of which this one is a fork. Freed, it would end sessions that are not ours."""


@attrs.define(eq=False)
class Stock:
    """Idle connections to one database, for all tests of a session."""

    _idle: list[Connection] = attrs.field(init=False, factory=list[Connection])
    _idle_async: list[AsyncConnection] = attrs.field(init=False, factory=list[AsyncConnection])
    _pid: int = attrs.field(init=False, factory=os.getpid)

    def take(self) -> Connection | None:
        """Return an idle connection, if there is one."""
        self._look_for_fork()
        with contextlib.suppress(IndexError):  # another thread may have been quicker
            return self._idle.pop()
        return None

    def take_async(self) -> AsyncConnection | None:
        """Return an idle connection for callers that await, if there is one."""
        self._look_for_fork()
        with contextlib.suppress(IndexError):
            return self._idle_async.pop()
        return None

    def give(self, connection: Connection | AsyncConnection) -> None:
        """Take back a connection; one that is not fit for the next user, or one too many, is closed."""
        idle: list[Any] = self._idle if isinstance(connection, psycopg.Connection) else self._idle_async
        if connection.info.transaction_status == TransactionStatus.IDLE and len(idle) < _MOST_IDLE:
            idle.append(connection)
        else:
            connection.pgconn.finish()

    def close(self) -> None:
        """Close what is idle."""
        self._look_for_fork()
        for connection in (*self._idle, *self._idle_async):
            connection.pgconn.finish()
        self._idle.clear()
        self._idle_async.clear()

    def _look_for_fork(self) -> None:
        if self._pid != os.getpid():
            _foreign.extend((self._idle, self._idle_async))
            self._idle, self._idle_async, self._pid = [], [], os.getpid()


@attrs.define(eq=False)
class Lender:
    """The connections of one connector: taken from the stock when first needed, given back at the end of its test."""

    _link: Link
    _stock: Stock
    _own: Stock = attrs.field(init=False, factory=Stock)
    _lent: dict[AsyncConnection, asyncio.AbstractEventLoop] = attrs.field(
        init=False, factory=dict[AsyncConnection, asyncio.AbstractEventLoop]
    )
    _pids: set[int] = attrs.field(init=False, factory=set[int])
    _ended: bool = attrs.field(init=False, default=False)

    @property
    def pids(self) -> set[int]:
        """Process ids, on the server, of the connections that it holds."""
        return set(self._pids)

    @contextlib.contextmanager
    def connection(self) -> Generator[Connection]:
        """Lend a connection for a block."""
        connection = self.getconn()
        try:
            yield connection
        finally:
            self.putconn(connection)

    def getconn(self) -> Connection:
        """Lend a connection until `putconn`."""
        connection = self._own.take() or self._stock.take() or self._connect()
        self._pids.add(connection.info.backend_pid)
        return connection

    def putconn(self, conn: Connection, /) -> None:
        """Take a connection back."""
        self._take_back(conn)

    @contextlib.asynccontextmanager
    async def async_connection(self) -> AsyncGenerator[AsyncConnection]:
        """Lend a connection for a block."""
        connection = await self.get_async()
        try:
            yield connection
        finally:
            self.put_async(connection)

    async def get_async(self) -> AsyncConnection:
        """Lend a connection until `put_async`."""
        connection = self._own.take_async() or self._stock.take_async() or await self._connect_async()
        self._pids.add(connection.info.backend_pid)
        self._lent[connection] = asyncio.get_running_loop()
        return connection

    def put_async(self, connection: AsyncConnection) -> None:
        """Take a connection back."""
        del self._lent[connection]
        self._take_back(connection)

    def check(self) -> None:
        """Throw away what is idle: a connection was found broken, and so may others be. The next one is a new one."""
        self._own.close()
        self._stock.close()

    def drop(self) -> None:
        """Let go of connections whose sessions the server has ended. Who uses one just now finds out."""
        self._own.close()
        self._pids.clear()

    def end(self) -> None:
        """Give all back to the stock, also what comes back later."""
        self._ended = True
        while (connection := self._own.take() or self._own.take_async()) is not None:
            self._stock.give(connection)
        for connection, loop in self._lent.items():
            if loop.is_closed():  # Nobody will bring it back; in a loop that lives, its socket may be waited for.
                connection.pgconn.finish()
        self._pids.clear()

    def _take_back(self, connection: Connection | AsyncConnection) -> None:
        (self._stock if self._ended else self._own).give(connection)

    def _connect(self) -> Connection:
        try:
            connection = psycopg.connect(self._link.conninfo, **self._link.connection_options)
            for statement in settings_to_mend(connection, connection.execute(ISOLATION).fetchone()):
                connection.execute(statement)
        except psycopg.Error as fault:
            raise translate(fault, self._link.schema) from fault
        return connection

    async def _connect_async(self) -> AsyncConnection:
        try:
            connection = await psycopg.AsyncConnection.connect(self._link.conninfo, **self._link.connection_options)
            for statement in settings_to_mend(connection, await (await connection.execute(ISOLATION)).fetchone()):
                await connection.execute(statement)
        except psycopg.Error as fault:
            raise translate(fault, self._link.schema) from fault
        return connection
