"""Watching: SQLite tells nobody that a job has ended, so who waits looks, often."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from time import monotonic, sleep

import anyio

from pq_core.watch import SyncWatch, Watch

PAUSE = 0.01
"""Seconds between two looks."""


@asynccontextmanager
async def watched(gone: Callable[[], Awaitable[bool]]) -> AsyncGenerator[Watch]:
    yield Look(gone)


@contextmanager
def watched_in_thread(gone: Callable[[], bool]) -> Generator[SyncWatch]:
    yield LookInThread(gone)


def gone(db: sqlite3.Connection, now: datetime, job_id: int) -> bool:
    return db.execute("select 1 from jobs where id = ? and finished_at is null", [job_id]).fetchone() is None


class Look:
    def __init__(self, gone: Callable[[], Awaitable[bool]]) -> None:
        self._gone = gone

    async def wait(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            while not await self._gone():  # noqa: ASYNC110 - there is no event: that is why it looks
                await anyio.sleep(PAUSE)


class LookInThread:
    def __init__(self, gone: Callable[[], bool]) -> None:
        self._gone = gone

    def wait(self, seconds: float) -> None:
        deadline = monotonic() + seconds
        while not self._gone() and monotonic() < deadline:
            sleep(PAUSE)
