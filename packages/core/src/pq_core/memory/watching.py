"""How waiters in memory are told that a job has ended: by a bell in their event loop, or an event in their thread."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import attrs

from pq_core.memory.bells import Bell
from pq_core.memory.engine import Engine
from pq_core.watch import SyncWatch, Watch


@asynccontextmanager
async def watched(engine: Engine, job_id: int) -> AsyncGenerator[Watch]:
    """Watch a job from an event loop, asyncio's or trio's."""
    bell = Bell(None)
    with engine.watching(job_id, bell.ring_for_all):
        yield _InLoop(bell)


@contextmanager
def watched_in_thread(engine: Engine, job_id: int) -> Generator[SyncWatch]:
    """Watch a job from a thread."""
    ended = threading.Event()
    with engine.watching(job_id, ended.set):
        yield _InThread(ended)


@attrs.frozen
class _InLoop:
    _bell: Bell

    async def wait(self, seconds: float) -> None:
        import anyio  # who only defers shall not pay for it

        with anyio.move_on_after(seconds):
            await self._bell.wait()


@attrs.frozen
class _InThread:
    _ended: threading.Event

    def wait(self, seconds: float) -> None:
        self._ended.wait(seconds)
        self._ended.clear()
