"""chancy with eager polling, as it looks once in five seconds otherwise, and without its log of each job."""
# pyright: basic, reportMissingImports=false
# It is installed in an environment of its own, which type checkers do not see.

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chancy import Chancy, Queue, Worker, job  # type: ignore[import-not-found]

from pq_benchmarks.contestants.contestant import Client, Contestant
from pq_benchmarks.tally import Tally

tally = Tally(Path(os.environ["BENCH_TALLY"])) if "BENCH_TALLY" in os.environ else None
quiet = logging.getLogger("quiet")
quiet.setLevel(logging.WARNING)


@job()  # type: ignore[untyped-decorator]
async def noop(*, probe: int | None = None) -> None:
    """Note the start, and nothing else."""
    if tally is not None:
        tally.tick(probe)


class ChancyClient(Client):
    """Enqueues through its pool."""

    def __init__(self, chancy: Any) -> None:
        self._chancy = chancy

    async def defer(self, probe: int | None = None) -> object:
        """Enqueue a job."""
        return await self._chancy.push(noop if probe is None else noop.job.with_kwargs(probe=probe))

    async def defer_batch(self, size: int) -> object:
        """Enqueue many."""
        return [references async for references in self._chancy.push_many([noop.job] * size)]


class ChancyPeer(Contestant):
    """chancy."""

    async def install(self) -> None:
        """Make its tables."""
        async with Chancy(self.dsn, log=quiet) as chancy:
            await chancy.migrate()

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Client]:
        """Open the pool."""
        async with Chancy(self.dsn, log=quiet) as chancy:
            yield ChancyClient(chancy)

    def work(self, concurrency: int, queue: str | None = None) -> None:
        """Run its worker."""
        asyncio.run(self._work(concurrency, queue or "default"))

    async def _work(self, concurrency: int, queue: str) -> None:
        async with Chancy(self.dsn, log=quiet) as chancy:
            options = {"concurrency": concurrency, "executor": Chancy.Executor.Async, "eager_polling": True}
            await chancy.declare(Queue(queue, **options), upsert=True)
            async with Worker(chancy) as worker:
                await worker.wait_for_shutdown()


CONTESTANT = ChancyPeer
