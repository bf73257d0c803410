"""A connection that listens, and may be used meanwhile: when news arrives, its session is awake already.

It is lent to those who run statements through psycopg. One prepared statement it sends by itself, and reads the answer
where it reads the news: of all that lies between news and answer, what psycopg and the event loop do takes a third.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import psycopg
from psycopg import pq as libpq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

AsyncConnection: TypeAlias = psycopg.AsyncConnection[Any]
Answer: TypeAlias = asyncio.Future[list[tuple[Any, ...]]]


class Line:
    """Calls `hear()` with the texts of notifications, in the event loop that it is made in.

    Args:
        connection: in autocommit, and nobody else's.
        hear: is given the texts of all that have arrived together.
    """

    def __init__(self, connection: AsyncConnection, hear: Callable[[Sequence[str]], None]) -> None:
        self._connection = connection
        self._hear = hear
        self._prepared: str | None = None
        self._answer: Answer | None = None
        self._result: libpq.abc.PGresult | None = None
        self._loop = asyncio.get_running_loop()
        self._socket = connection.fileno()
        self._broken: asyncio.Future[psycopg.OperationalError] = self._loop.create_future()
        self._open = False
        self._lent = False
        self._used = False
        self._reading = False

    @property
    def free(self) -> bool:
        """Whether it may be borrowed, or asked, here."""
        idle = self._open and not self._lent and self._answer is None and not self._broken.done()
        return idle and self._loop is asyncio.get_running_loop()

    @property
    def asks(self) -> bool:
        """Whether it sends a statement by itself, here and now."""
        return self._prepared is not None and self.free

    def open(self, prepared: str | None = None) -> None:
        """Hear from now on, and send the statement of that name when asked."""
        self._prepared = prepared
        self._connection.add_notify_handler(lambda notice: self._hear([notice.payload]))
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

    def ask(self, *parameters: bytes | None) -> Answer:
        """Send the prepared statement, and return the rows to come. Only one that `asks` can.

        Whoever gives up waiting for them breaks the connection: nobody could tell any more whose answer comes next. Not
        so who never began to.

        Raises:
            psycopg.Error: from the answer: what the server says, or that the connection is lost.
        """
        self._used = True
        self._answer = self._loop.create_future()
        self._answer.add_done_callback(self._look_at)
        try:
            self._connection.pgconn.send_query_prepared((self._prepared or "").encode(), [*parameters])
            if self._connection.pgconn.flush():
                self._loop.add_writer(self._socket, self._send_rest)
        except psycopg.OperationalError as fault:
            self._break(fault)
        return self._answer

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
        told: list[str] = []
        try:
            pgconn.consume_input()
            while (notice := pgconn.notifies()) is not None:
                told.append(notice.extra.decode(self._connection.info.encoding))
            self._take_answer()
        except psycopg.OperationalError as fault:
            self._break(fault)
        if told:
            self._used = True
            self._hear(told)

    def _take_answer(self) -> None:
        """Read the answer to what was asked, if all of it is there."""
        pgconn = self._connection.pgconn
        while self._answer is not None and not pgconn.is_busy():
            result = pgconn.get_result()
            if result is None:
                answer, self._answer = self._answer, None
                if self._result is not None and not answer.done():
                    self._give(self._result, answer)
            self._result = result

    def _give(self, result: libpq.abc.PGresult, answer: Answer) -> None:
        if result.status == libpq.ExecStatus.TUPLES_OK:
            rows = Transformer(self._connection)
            rows.set_pgresult(result)
            answer.set_result(rows.load_rows(0, result.ntuples, tuple))
        else:
            self._prepared = None  # it may be that which fails
            answer.set_exception(error_from_result(result, encoding=self._connection.info.encoding))

    def _look_at(self, answer: Answer) -> None:
        """See to an answer that nobody waits for any more."""
        if not answer.cancelled():
            answer.exception()  # which is no news to the event loop, though nobody may ask for it
        elif self._answer is answer:
            self._break(psycopg.OperationalError("nobody waits any more for what the listening connection was asked"))

    def _send_rest(self) -> None:
        try:
            if not self._connection.pgconn.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.OperationalError as fault:
            self._break(fault)

    def _break(self, fault: psycopg.OperationalError) -> None:
        self._stop_reading()
        if not self._broken.done():
            self._broken.set_result(fault)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(fault)

    def _finish(self) -> None:
        self._break(psycopg.OperationalError("the listening connection is closed"))
        self._connection.pgconn.finish()

    def _start_reading(self) -> None:
        self._reading = True
        self._loop.add_reader(self._socket, self._read)

    def _stop_reading(self) -> None:
        if self._reading:  # or the socket may be another connection's by now
            self._reading = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
