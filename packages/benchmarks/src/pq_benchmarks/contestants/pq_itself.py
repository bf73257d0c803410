"""pq, with the settings that it has without being told: the history is kept, and news is listened for."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pq_core as pq
from pq_benchmarks.contestants.contestant import Client, Contestant
from pq_benchmarks.tally import Tally

tally = Tally(Path(os.environ["BENCH_TALLY"])) if "BENCH_TALLY" in os.environ else None
KEYED = "BENCH_KEYS" in os.environ
SYNC = "BENCH_SYNC" in os.environ
KEEP: dict[str, Any] = {"keep": os.environ["BENCH_KEEP"]} if "BENCH_KEEP" in os.environ else {}
keys = (f"{os.getpid()} {number}" for number in itertools.count())
app = pq.App(connector=pq.PsycopgConnector(os.environ["BENCH_DSN"]))


@app.task
async def noop(probe: int | None = None) -> None:
    """Note the start, and nothing else."""
    if tally is not None:
        tally.tick(probe)


@app.task(unique=True)
async def keyed(key: str) -> None:  # noqa: ARG001 - what makes each job unlike the others
    """Note the start of a job with a unique key."""
    if tally is not None:
        tally.tick(None)


@app.task
def sync_noop() -> None:
    """Note the start of a job that runs in a thread."""
    if tally is not None:
        tally.tick(None)


class PQClient(Client):
    """Enqueues as an application does."""

    async def defer(self, probe: int | None = None) -> object:
        """Enqueue a job."""
        return await (noop.defer_async() if probe is None else noop.defer_async(probe))

    async def defer_batch(self, size: int) -> object:
        """Enqueue many."""
        if KEYED:
            return await keyed.batch_defer_async([{"key": next(keys)} for _ in range(size)])
        nothing: dict[str, int] = {}
        if SYNC:
            return await sync_noop.batch_defer_async([nothing] * size)
        return await noop.batch_defer_async([nothing] * size)

    async def defer_locked(self, locks: Sequence[str]) -> object:
        """Enqueue jobs with locks."""
        return await app.defer_many_async([noop.configure(lock=lock).job() for lock in locks])

    async def defer_later(self, size: int, seconds: float) -> object:
        """Enqueue scheduled jobs."""
        nothing: dict[str, int] = {}
        return await noop.configure(schedule_in={"seconds": seconds}).batch_defer_async([nothing] * size)


class PQ(Contestant):
    """pq on psycopg."""

    async def install(self) -> None:
        """Migrate."""
        await app.migrate_async()

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Client]:
        """Open the pool."""
        async with app:
            yield PQClient()

    @contextmanager
    def sync_client(self) -> Generator[Callable[[], object]]:
        """Open the other pool."""
        with app:
            yield noop.defer

    def work(self, concurrency: int, queue: str | None = None) -> None:
        """Run a worker with no option but these."""
        app.run_worker(concurrency=concurrency, queues=None if queue is None else [queue], **KEEP)


CONTESTANT = PQ
