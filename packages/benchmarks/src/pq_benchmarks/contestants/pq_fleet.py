"""pq with tasks for several worker processes: each counts in a file of its own, BENCH_FLEET and its number."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AbstractAsyncContextManager
from functools import cache
from pathlib import Path

import pq_core as pq
from pq_benchmarks.contestants.contestant import Client, Contestant
from pq_benchmarks.tally import Tally

SECONDS = 0.005
"""How long a job waits or computes."""

app = pq.App(connector=pq.PsycopgConnector(os.environ["BENCH_DSN"]))


@cache
def tally() -> Tally:
    """Return what this process counts in, made when its first job starts: one that only starts others has none."""
    return Tally.create(Path(f"{os.environ['BENCH_FLEET']}.{os.getpid()}"))


@app.task
async def nothing() -> None:
    """Note the start, and nothing else."""
    tally().tick()


@app.task
async def waits() -> None:
    """Leave the processor to others."""
    tally().tick()
    await asyncio.sleep(SECONDS)


@app.task
async def computes() -> None:
    """Take the processor for so long."""
    tally().tick()
    end = time.thread_time() + SECONDS
    while time.thread_time() < end:
        pass


class PQFleet(Contestant):
    """One process of a fleet."""

    async def install(self) -> None:
        """Migrate."""
        await app.migrate_async()

    def client(self) -> AbstractAsyncContextManager[Client]:
        """Its jobs are put straight into the tables."""
        raise NotImplementedError

    def work(self, concurrency: int, queue: str | None = None) -> None:
        """Run a worker with no option but these."""
        app.run_worker(concurrency=concurrency, queues=None if queue is None else [queue])


CONTESTANT = PQFleet
