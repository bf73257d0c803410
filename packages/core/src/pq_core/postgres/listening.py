"""Wait for notifications on a connection of its own, outside of the pool."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import anyio
import psycopg

from pq_core.errors import ConnectionFailed
from pq_core.hearing import Hearer
from pq_core.log import fields
from pq_core.postgres.faults import translate
from pq_core.postgres.herd import Herd
from pq_core.postgres.line import Line
from pq_core.postgres.link import Link, mend
from pq_core.postgres.news import News, PlainHearer, tell
from pq_core.postgres.notices import PROOF, TAKEN, Notice
from pq_core.postgres.statements import Statement, quote

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
    wake: Callable[[], None],
    news: News,
    notify: Callable[[str], Awaitable[None]],
) -> None:
    """Run until cancelled; see :meth:`pq_core.connector.Connector.listen`.

    Args:
        link: where to listen.
        queues: whose news wakes.
        wake: is called when there may be something.
        news: hears of all queues.
        notify: sends a notification, on another connection.
    """
    wanted = None if queues is None else frozenset(queues)
    hearer = wake if isinstance(wake, Hearer) else PlainHearer(wake)

    proof, proven = f"{PROOF}{secrets.token_hex(8)}", asyncio.Event()
    herd = Herd(hearer.jobs, wanted, spread=lambda: news.spread, came_late=news.came_late)

    def hear(payload: str) -> None:
        notice = Notice.read(payload)
        if notice is not None:
            news.hear(notice)
            if wanted is None or notice.queue in wanted:
                herd.hear(notice)
        elif payload.startswith(TAKEN):
            transaction, _, queue = payload.removeprefix(TAKEN).partition(":")
            if transaction.isdecimal():
                news.taken(queue, int(transaction))
                herd.taken(queue, int(transaction))
        elif payload == proof:
            proven.set()
        else:
            tell(payload, hearer)

    with ExitStack() as while_heard:
        while_heard.callback(herd.close)
        news.herds.append(herd)
        while_heard.callback(news.herds.remove, herd)

        async def start() -> None:
            with unhurried():
                await notify(proof)
            try:
                async with asyncio.timeout(LONGEST_PROOF):
                    await proven.wait()
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

        claim = link.statements.claim(1, None, [])
        await receive(link, start, hear, news.lines, claim)


async def receive(
    link: Link,
    started: Callable[[], Awaitable[None]],
    hear: Callable[[str], None],
    lines: list[Line] | None = None,
    rehearsed: Statement[Any] | None = None,
) -> None:
    """Call `hear()` with the text of each notification, until cancelled.

    Args:
        link: where to listen.
        started: is called once, when notifications should be received.
        hear: is given the payloads.
        lines: holds the connection from then on.
        rehearsed: is run once before: what is run for the first time takes the server ten times as long.

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
                if rehearsed is not None:
                    connection.prepare_threshold = 0 if link.preparing else None
                    with suppress(psycopg.Error):
                        await connection.execute(rehearsed.text, rehearsed.parameters)
                await connection.execute(f"listen {quote(link.schema)}".encode())
            line.open()
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


@contextmanager
def unhurried() -> Generator[None]:
    """Let statements end that take a moment, though the worker leaves: cut off, they would cost a connection."""
    with anyio.fail_after(_ANSWER, shield=True):
        yield
