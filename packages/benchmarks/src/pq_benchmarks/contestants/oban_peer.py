"""oban-py on uvloop. Its documents name nothing else for speed but the queue's limit. Jobs stay for a day."""
# pyright: basic, reportMissingImports=false
# It is installed in an environment of its own, which type checkers do not see.

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop  # type: ignore[import-not-found]
from oban import Oban, worker  # type: ignore[import-not-found]
from oban.schema import install  # type: ignore[import-not-found]
from psycopg_pool import AsyncConnectionPool

from pq_benchmarks.contestants.contestant import Client, Contestant
from pq_benchmarks.tally import Tally

tally = Tally(Path(os.environ["BENCH_TALLY"])) if "BENCH_TALLY" in os.environ else None


@worker(queue="default")  # type: ignore[untyped-decorator]
class Noop:
    """Notes the start, and nothing else."""

    async def process(self, job: Any) -> None:
        """Note it."""
        if tally is not None:
            tally.tick(job.args.get("probe"))


class ObanClient(Client):
    """Enqueues through its pool."""

    def __init__(self, oban: Any) -> None:
        self._oban = oban

    async def defer(self, probe: int | None = None) -> object:
        """Enqueue a job."""
        return await Noop.enqueue({} if probe is None else {"probe": probe})  # type: ignore[attr-defined]

    async def defer_batch(self, size: int) -> object:
        """Enqueue many."""
        return await self._oban.enqueue_many([Noop.new({}) for _ in range(size)])  # type: ignore[attr-defined]


class ObanPeer(Contestant):
    """oban-py."""

    async def install(self) -> None:
        """Make its tables."""
        async with self._pool() as pool:
            await install(pool)

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Client]:
        """Open the pool."""
        async with self._pool() as pool, Oban(pool=pool, leadership=False) as oban:
            yield ObanClient(oban)

    def work(self, concurrency: int, queue: str | None = None) -> None:
        """Run its worker."""
        uvloop.run(self._work(concurrency, queue or "default"))

    async def _work(self, concurrency: int, queue: str) -> None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        async with self._pool() as pool, Oban(pool=pool, queues={queue: concurrency}):
            await stopping.wait()

    def _pool(self) -> AsyncConnectionPool[Any]:
        return AsyncConnectionPool(self.dsn, min_size=2, max_size=10, open=False)


CONTESTANT = ObanPeer
