"""pgqueuer on asyncpg and uvloop, in large batches: what it is fastest with. Ended jobs stay in its log."""
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

import asyncpg  # type: ignore[import-not-found]
import uvloop  # type: ignore[import-not-found]
from pgqueuer import PgQueuer  # type: ignore[import-not-found]
from pgqueuer.db import AsyncpgDriver  # type: ignore[import-not-found]
from pgqueuer.queries import Queries  # type: ignore[import-not-found]

from pq_benchmarks.contestants.contestant import Client, Contestant
from pq_benchmarks.tally import Tally

BATCH_SIZE = 500
SYNC = "BENCH_SYNC" in os.environ

tally = Tally(Path(os.environ["BENCH_TALLY"])) if "BENCH_TALLY" in os.environ else None


class PgQueuerClient(Client):
    """Enqueues on one connection."""

    def __init__(self, queries: Any) -> None:
        self._queries = queries

    async def defer(self, probe: int | None = None) -> object:
        """Enqueue a job."""
        return await self._queries.enqueue("noop", None if probe is None else str(probe).encode())

    async def defer_batch(self, size: int) -> object:
        """Enqueue many."""
        return await self._queries.enqueue(["noop"] * size, [None] * size, [0] * size)


class PgQueuerPeer(Contestant):
    """pgqueuer."""

    async def install(self) -> None:
        """Make its tables."""
        async with self._connection() as connection:
            await Queries(AsyncpgDriver(connection)).install()

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Client]:
        """Open a connection."""
        async with self._connection() as connection:
            yield PgQueuerClient(Queries(AsyncpgDriver(connection)))

    def work(self, concurrency: int, queue: str | None = None) -> None:
        """Run its worker; how many jobs run at once is not limited unless one says so, so `concurrency` is not used."""
        del concurrency, queue
        uvloop.run(self._work())

    async def _work(self) -> None:
        async with self._connection() as connection:
            queuer = PgQueuer(AsyncpgDriver(connection))

            @queuer.entrypoint("noop")  # type: ignore[untyped-decorator]
            async def noop(job: Any) -> None:
                if tally is not None and SYNC:
                    await asyncio.to_thread(tally.tick, None)  # What it tells those to do who have a plain function.
                elif tally is not None:
                    tally.tick(int(job.payload) if job.payload else None)

            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, queuer.shutdown.set)
            await queuer.run(batch_size=BATCH_SIZE)

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Any]:
        connection = await asyncpg.connect(self.dsn)
        try:
            yield connection
        finally:
            await connection.close()


CONTESTANT = PgQueuerPeer
