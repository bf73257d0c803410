"""Wait for notifications on a connection of its own, outside of the pool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import psycopg

from pq_core.errors import ConnectionFailed
from pq_core.postgres.faults import translate
from pq_core.postgres.link import Link
from pq_core.postgres.statements import quote

_PATIENCE = 30.0
"""Seconds of silence after which the connection is asked whether it still lives."""
_ANSWER = 10.0


async def listen(link: Link, queues: Sequence[str] | None, wake: Callable[[], None]) -> None:
    """Run until cancelled; see :meth:`pq_core.connector.Connector.listen`."""
    link.check_permitted()
    wanted = None if queues is None else {f"queue:{queue}" for queue in queues}
    try:
        async with await psycopg.AsyncConnection.connect(
            link.conninfo, autocommit=True, prepare_threshold=None
        ) as connection:
            await connection.execute(f"listen {quote(link.schema)}".encode())
            wake()
            while True:
                async for notice in connection.notifies(timeout=_PATIENCE):
                    if wanted is None or notice.payload in wanted or not notice.payload.startswith("queue:"):
                        wake()
                # A connection that was cut off without a word would stay silent for ever.
                async with asyncio.timeout(_ANSWER):
                    await connection.execute("select 1")
    except psycopg.Error as fault:
        raise translate(fault, link.schema) from fault
    except TimeoutError:
        msg = f"the listening connection gave no answer within {_ANSWER:.0f} s"
        raise ConnectionFailed(msg) from None
