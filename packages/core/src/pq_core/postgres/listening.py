"""Wait for notifications on a connection of its own, outside of the pool."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager

import anyio
import psycopg

from pq_core.errors import ConnectionFailed
from pq_core.hearing import Hearer, Room
from pq_core.log import fields
from pq_core.postgres import claims
from pq_core.postgres.faults import translate
from pq_core.postgres.herd import Herd
from pq_core.postgres.line import AsyncConnection, Line
from pq_core.postgres.link import Link, mend
from pq_core.postgres.news import News, tell
from pq_core.postgres.notices import PROOF, Notice, Taken
from pq_core.postgres.statements import quote

logger = logging.getLogger("pq_core.postgres")

LONGEST_PROOF = 2.0
"""Seconds for that to come."""
PATIENCE = 60.0
"""Seconds of silence after which the connection is asked whether it still lives."""
AFTERTHOUGHT = 1.0
"""Seconds after which who has begun to hear looks once more: some may have relied on what was told just before."""
_ANSWER = 10.0


async def listen(
    link: Link,
    queues: Sequence[str] | None,
    hearer: Hearer,
    news: News,
    *,
    hurry: Callable[[Room], None],
    notify: Callable[[str], Awaitable[None]],
) -> None:
    """Run until cancelled; see :meth:`pq_core.connector.Connector.listen`.

    Args:
        link: where to listen.
        queues: whose news wakes.
        hearer: is told when there may be something.
        news: hears of all queues.
        hurry: claims for a worker that is about to fetch what it was told of.
        notify: sends a notification, on another connection.
    """
    with ExitStack() as while_heard:
        listener = _Listener(None if queues is None else frozenset(queues), hearer, news, hurry)
        while_heard.callback(listener.herd.close)
        news.herds.append(listener.herd)
        while_heard.callback(news.herds.remove, listener.herd)

        async def start() -> None:
            with unhurried():
                await notify(listener.proof)
            try:
                async with asyncio.timeout(LONGEST_PROOF):
                    await listener.proven.wait()
            except TimeoutError:
                message = (
                    "The connection that listens hears nothing, as behind a pooler that lends connections for a "
                    "transaction at a time; workers look for jobs as often as without it. Switch it off: listen=False"
                )
                logger.warning(message, extra=fields("listener_deaf"))
                hearer()
                return
            while_heard.enter_context(news.heard())
            hearer.started()
            while_heard.callback(asyncio.get_running_loop().call_later(AFTERTHOUGHT, hearer.jobs).cancel)

        await receive(link, start, listener.hear, news.lines)


class _Listener:
    """Passes on what notifications say.

    Args:
        wanted: queues of which the hearer is told; None: of all.
        hearer: is told what it is to know.
        news: hears of all queues.
        hurry: as for :func:`listen`.
    """

    def __init__(
        self, wanted: frozenset[str] | None, hearer: Hearer, news: News, hurry: Callable[[Room], None]
    ) -> None:
        self.herd = Herd(self._come, wanted, spread=lambda: news.spread, came_late=news.came_late)
        self.proof = f"{PROOF}{secrets.token_hex(8)}"
        self.proven = asyncio.Event()
        self._hearer = hearer
        self._news = news
        self._hurry = hurry

    def hear(self, payloads: Sequence[str]) -> None:
        """Pass on what has arrived together: first all that may be claimed, then that there is something."""
        words = [Notice.read(payload) or Taken.read(payload) or payload for payload in payloads]
        for word in words:
            if isinstance(word, Notice):
                self._news.hear(word)
            elif isinstance(word, Taken):
                self._news.taken(word.queue, word.transaction)
        for word in words:
            if isinstance(word, Notice):
                self.herd.hear(word)
            elif isinstance(word, Taken):
                self.herd.taken(word.queue, word.transaction)
            elif word == self.proof:
                self.proven.set()
            else:
                tell(word, self._hearer)

    def _come(self) -> None:
        room = self._hearer.jobs()
        if room is not None:
            self._hurry(room)


async def receive(
    link: Link,
    started: Callable[[], Awaitable[None]],
    hear: Callable[[Sequence[str]], None],
    lines: list[Line] | None = None,
) -> None:
    """Call `hear()` with the texts of notifications, until cancelled.

    Args:
        link: where to listen.
        started: is called once, when notifications should be received.
        hear: is given the payloads.
        lines: holds the connection from then on, ready to claim.

    Raises:
        ConnectionFailed: the connection breaks.
    """
    link.check_permitted()
    try:
        connection = await psycopg.AsyncConnection.connect(link.conninfo, autocommit=True)
        line = Line(connection, hear)
        with ExitStack() as stack:
            # As a block of its own it would roll back first, which a cancellation keeps it from, and then not close.
            stack.callback(line.close)
            with unhurried():
                await mend(connection)
                prepared = lines is not None and link.preparing and await _prepared(connection, link.schema)
                await connection.execute(f"listen {quote(link.schema)}".encode())
            line.open(claims.NAME if prepared else None)
            if lines is not None:
                lines.append(line)
                stack.callback(lines.remove, line)
            await started()
            while True:
                await line.silence(PATIENCE)
                if line.free:  # A connection that was cut off without a word would stay silent for ever.
                    line.lend()
                    try:
                        async with asyncio.timeout(_ANSWER):
                            await connection.execute("select 1")
                    finally:
                        line.take_back()
    except psycopg.Error as fault:
        raise translate(fault, link.schema) from fault
    except TimeoutError:
        msg = f"the listening connection gave no answer within {_ANSWER:.0f} s"
        raise ConnectionFailed(msg) from None


async def _prepared(connection: AsyncConnection, schema: str) -> bool:
    """Prepare to claim; return whether that works."""
    try:
        for statement in (claims.prepare(schema), claims.REHEARSE):
            await connection.execute(statement.encode(), prepare=False)
    except psycopg.DatabaseError:  # as long as pq is not installed
        return False
    return True


@contextmanager
def unhurried() -> Generator[None]:
    """Let statements end that take a moment, though the worker leaves: cut off, they would cost a connection."""
    with anyio.fail_after(_ANSWER, shield=True):
        yield
