"""How to be told of the end of a job: what a connector gives for that, and what one gives that cannot tell."""
# ruff: noqa: D102 - what both methods do, their classes say

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from time import sleep
from typing import Protocol


class Watch(Protocol):
    """Waits until the job has ended since the watch began, at most so many seconds. It may be woken for nothing."""

    async def wait(self, seconds: float) -> None: ...


class SyncWatch(Protocol):
    """Does what :class:`Watch` does, for callers that cannot await."""

    def wait(self, seconds: float) -> None: ...


@asynccontextmanager
async def deaf_watch() -> AsyncGenerator[Watch]:
    """Give a watch that is told nothing: for a connector whose store does not tell."""
    yield _Deaf()


@contextmanager
def deaf_sync_watch() -> Generator[SyncWatch]:
    """Give one for callers that cannot await."""
    yield _DeafInThread()


class _Deaf:
    async def wait(self, seconds: float) -> None:
        import anyio  # who only imports pq shall not pay for it

        await anyio.sleep(seconds)


class _DeafInThread:
    def wait(self, seconds: float) -> None:
        sleep(seconds)
