"""A connection that listens, and may be used meanwhile: when news arrives, its session is awake already."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import psycopg

AsyncConnection: TypeAlias = psycopg.AsyncConnection[Any]


class Line:
    """Calls `hear()` with the text of each notification, in the event loop that it is made in.

    Args:
        connection: in autocommit, and nobody else's.
        hear: is given the texts.
    """

    def __init__(self, connection: AsyncConnection, hear: Callable[[str], None]) -> None:
        self._connection = connection
        self._hear = hear
        self._loop = asyncio.get_running_loop()
        self._socket = connection.fileno()
        self._broken: asyncio.Future[psycopg.OperationalError] = self._loop.create_future()
        self._open = False
        self._lent = False
        self._used = False
        self._reading = False

    @property
    def free(self) -> bool:
        """Whether it may be borrowed, here."""
        idle = self._open and not self._lent and not self._broken.done()
        return idle and self._loop is asyncio.get_running_loop()

    def open(self) -> None:
        """Hear from now on."""
        self._connection.add_notify_handler(lambda notice: self._hear(notice.payload))
        self._open = True
        self._start_reading()

    def close(self) -> None:
        """Hear no more, and close the connection; if it is lent, when it is back: who waits on it would crash."""
        self._open = False
        if not self._lent:
            self._finish()

    def lend(self) -> AsyncConnection:
        """Give the connection away, to be given back; it must be free. What is told meanwhile is heard with answers."""
        self._lent = self._used = True
        return self._connection

    def take_back(self) -> None:
        """Hear by oneself again, if it has not broken: who has used the connection has let go of its socket."""
        self._lent = False
        if not self._open:
            self._finish()
        elif self._connection.closed:
            self._break(psycopg.OperationalError("the listening connection is lost"))
        else:
            self._start_reading()
            self._read()

    async def silence(self, seconds: float) -> None:
        """Return when nothing has come for that long.

        Raises:
            psycopg.OperationalError: the connection has broken.
        """
        self._used = True
        while self._used:
            self._used = False
            await asyncio.wait([self._broken], timeout=seconds)
            if self._broken.done():
                raise self._broken.result()

    def _read(self) -> None:
        """Take what has arrived, unless who has the connection does."""
        if self._lent:
            return
        pgconn = self._connection.pgconn
        try:
            pgconn.consume_input()
            while (notice := pgconn.notifies()) is not None:
                self._used = True
                self._hear(notice.extra.decode(self._connection.info.encoding))
        except psycopg.OperationalError as fault:
            self._break(fault)

    def _break(self, fault: psycopg.OperationalError) -> None:
        self._stop_reading()
        if not self._broken.done():
            self._broken.set_result(fault)

    def _finish(self) -> None:
        self._stop_reading()
        self._connection.pgconn.finish()

    def _start_reading(self) -> None:
        self._reading = True
        self._loop.add_reader(self._socket, self._read)

    def _stop_reading(self) -> None:
        if self._reading:  # or the socket may be another connection's by now
            self._reading = False
            self._loop.remove_reader(self._socket)
