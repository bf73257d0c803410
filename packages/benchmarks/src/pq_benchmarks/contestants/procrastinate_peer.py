"""procrastinate 3 on its psycopg connector; ended jobs stay, as with pq. Its documents name no setting for speed."""
# pyright: basic, reportMissingImports=false
# It is installed in an environment of its own, which type checkers do not see.

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import procrastinate  # type: ignore[import-not-found]

from pq_benchmarks.contestants.contestant import Client, Contestant
from pq_benchmarks.tally import Tally

tally = Tally(Path(os.environ["BENCH_TALLY"])) if "BENCH_TALLY" in os.environ else None
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=os.environ["BENCH_DSN"]))


@app.task(name="noop")  # type: ignore[untyped-decorator]
async def noop(probe: int | None = None) -> None:
    """Note the start, and nothing else."""
    if tally is not None:
        tally.tick(probe)


class ProcrastinateClient(Client):
    """Enqueues through its pool."""

    async def defer(self, probe: int | None = None) -> object:
        """Enqueue a job."""
        return await (noop.defer_async() if probe is None else noop.defer_async(probe=probe))

    async def defer_batch(self, size: int) -> object:
        """Enqueue many."""
        return await noop.batch_defer_async(*[{} for _ in range(size)])

    async def defer_locked(self, locks: Sequence[str]) -> object:
        """Enqueue jobs with locks: a batch for each, since a batch has one."""
        for lock, count in Counter(locks).items():
            await noop.configure(lock=lock).batch_defer_async(*[{} for _ in range(count)])

    async def defer_later(self, size: int, seconds: float) -> object:
        """Enqueue scheduled jobs."""
        return await noop.configure(schedule_in={"seconds": int(seconds)}).batch_defer_async(*[{} for _ in range(size)])


class Procrastinate(Contestant):
    """procrastinate."""

    async def install(self) -> None:
        """Apply its schema."""
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Client]:
        """Open the pool."""
        async with app.open_async():
            yield ProcrastinateClient()

    @contextmanager
    def sync_client(self) -> Generator[Callable[[], object]]:
        """Open its synchronous pool."""
        with app.open():
            yield noop.defer

    def work(self, concurrency: int, queue: str | None = None) -> None:
        """Run its worker."""
        asyncio.run(self._work(concurrency, queue))

    async def _work(self, concurrency: int, queue: str | None) -> None:
        async with app.open_async():
            await app.run_worker_async(concurrency=concurrency, queues=None if queue is None else [queue])


CONTESTANT = Procrastinate
