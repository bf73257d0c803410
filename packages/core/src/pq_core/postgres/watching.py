"""How waiters hear from PostgreSQL that a job has ended.

Who awaits shares one connection with all others of the event loop that do; it is there as long as anybody waits. Who
waits in a thread has a connection for that alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import attrs
import psycopg

from pq_core.errors import ConnectorError
from pq_core.log import fields
from pq_core.postgres.faults import translate
from pq_core.postgres.link import Link
from pq_core.postgres.listening import receive
from pq_core.postgres.notices import ENDED
from pq_core.postgres.statements import quote
from pq_core.watch import SyncWatch, Watch

logger = logging.getLogger("pq_core.postgres")

LONGEST_START = 5.0
"""Seconds after which those who wait go on without a connection that listens for them: they look now and then."""
BETWEEN_CONNECTIONS = 1.0


class Ear:
    """Listens for all who wait in one event loop.

    Args:
        link: where to.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._watches: defaultdict[int, set[_InLoop]] = defaultdict(set)
        self._listener: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hears = asyncio.Event()

    @asynccontextmanager
    async def watched(self, job_id: int) -> AsyncGenerator[Watch]:
        """Watch a job, of which the store has yet to be told that somebody does."""
        self._begin()
        watch = _InLoop()
        self._watches[job_id].add(watch)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_START):
                    await self._hears.wait()
            yield watch
        finally:
            self._watches[job_id].discard(watch)
            if not self._watches[job_id]:
                del self._watches[job_id]
            if not self._watches:
                await self._end()

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # that of another run of asyncio has ended, and what it waited for with it
            self._loop, self._listener = loop, None
            self._watches.clear()
        if self._listener is None:
            self._hears = asyncio.Event()
            self._listener = loop.create_task(self._listen(self._hears), name="pq listens for those who wait")

    async def _end(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            await asyncio.wait([listener])

    async def _listen(self, hears: asyncio.Event) -> None:
        while True:
            try:
                await receive(self._link, lambda: self._start(hears), self._hear)
            except ConnectorError as error:
                logger.warning(
                    "Nobody hears of jobs that end; who waits for them looks now and then: %s",
                    error,
                    extra=fields("watch_failed", retry_in=BETWEEN_CONNECTIONS),
                )
            hears.set()
            await asyncio.sleep(BETWEEN_CONNECTIONS)

    async def _start(self, hears: asyncio.Event) -> None:
        if hears.is_set():  # what was told while the connection was away, nobody has heard
            for watches in self._watches.values():
                for watch in watches:
                    watch.ring()
        hears.set()

    def _hear(self, payloads: Sequence[str]) -> None:
        for payload in payloads:
            if payload.startswith(ENDED):
                for watch in self._watches.get(int(payload.removeprefix(ENDED)), ()):
                    watch.ring()


@contextmanager
def watched_in_thread(link: Link, job_id: int) -> Generator[SyncWatch]:
    """Watch a job on a connection of its own."""
    link.check_permitted()
    statement = link.statements.await_end(job_id)
    with _translated(link):
        connection = psycopg.connect(link.conninfo, autocommit=True, prepare_threshold=None)
    with connection:
        with _translated(link):
            connection.execute(f"listen {quote(link.schema)}".encode())
            connection.execute(statement.text, statement.parameters)
        yield _InThread(link, connection, f"{ENDED}{job_id}")


@contextmanager
def _translated(link: Link) -> Generator[None]:
    try:
        yield
    except psycopg.Error as fault:
        raise translate(fault, link.schema) from fault


@attrs.define(eq=False)
class _InLoop:
    _ended: asyncio.Event = attrs.field(factory=asyncio.Event)

    def ring(self) -> None:
        self._ended.set()

    async def wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        self._ended.clear()


@attrs.frozen
class _InThread:
    _link: Link
    _connection: psycopg.Connection[Any]
    _payload: str

    def wait(self, seconds: float) -> None:
        with _translated(self._link):
            for notice in self._connection.notifies(timeout=seconds):
                if notice.payload == self._payload:
                    return
