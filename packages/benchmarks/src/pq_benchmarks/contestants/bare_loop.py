"""The least that a worker on pq's SQL functions has to do: the limit of what pq can reach, and no queue.

It fetches a batch on one connection while another one writes what has ended, and runs each job as an asyncio task,
fifty at a time. It has no lease to renew, no retries, no timeouts, no middleware, no log; a job that raises ends it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg

from pq_benchmarks.contestants.contestant import Client, Contestant
from pq_benchmarks.contestants.pq_itself import PQ, noop
from pq_benchmarks.tally import Tally
from pq_core.worker.options import Settings

BATCH = Settings().batch
"""As many as pq's worker fetches and writes at once, if it is not told otherwise."""
WORKER = 1
LEASE = 3600.0
_PAUSE = 0.01

HEARTBEAT = (
    "select * from pq.heartbeat(worker => %s, name => 'bare loop', queues => null, details => '{}', lease => %s)"
)
FETCH = "select id, claim, task, args::text from pq.fetch(worker => %s, queues => null, max_jobs => %s)"
FINISH = "select * from pq.finish(ids => %s::bigint[], claims => %s::bigint[], kinds => %s::text[])"

tally = Tally(Path(os.environ["BENCH_TALLY"])) if "BENCH_TALLY" in os.environ else None

Job = tuple[int, int, str, str]


async def run_noop(probe: int | None = None) -> None:
    """Note the start, and nothing else."""
    if tally is not None:
        tally.tick(probe)


TASKS: dict[str, Callable[..., Awaitable[None]]] = {noop.name: run_noop}


class BareLoop(Contestant):
    """The loop; its jobs are pq's."""

    async def install(self) -> None:
        """Migrate."""
        await PQ(self.dsn).install()

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Client]:
        """Enqueue as pq does."""
        async with PQ(self.dsn).client() as client:
            yield client

    def work(self, concurrency: int, queue: str | None = None) -> None:
        """Run the loop."""
        del queue
        asyncio.run(self._work(concurrency))

    async def _work(self, concurrency: int) -> None:
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        async with await self._connect() as fetcher, await self._connect() as writer:
            await fetcher.execute(HEARTBEAT, [WORKER, LEASE])
            fetching = asyncio.create_task(fetch(fetcher))
            writing = asyncio.create_task(finish(writer, []))
            while not stopping.is_set():
                jobs = await fetching
                fetching = asyncio.create_task(fetch(fetcher))
                for first in range(0, len(jobs), concurrency):
                    await asyncio.gather(*(asyncio.create_task(run(job)) for job in jobs[first : first + concurrency]))
                await writing
                writing = asyncio.create_task(finish(writer, jobs))
                if not jobs:
                    await asyncio.sleep(_PAUSE)
            await asyncio.gather(fetching, writing)

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(self.dsn, autocommit=True, prepare_threshold=0)


async def fetch(connection: psycopg.AsyncConnection[Any]) -> list[Job]:
    """Claim a batch. What has no id is no job, but tells when to look again."""
    rows = await (await connection.execute(FETCH, [WORKER, BATCH])).fetchall()
    return sorted(row for row in rows if row[0] is not None)


async def run(job: Job) -> None:
    """Run a job."""
    await TASKS[job[2]](**json.loads(job[3]))


async def finish(connection: psycopg.AsyncConnection[Any], jobs: list[Job]) -> None:
    """Write that these jobs have succeeded."""
    if not jobs:
        return
    ids, claims = [job[0] for job in jobs], [job[1] for job in jobs]
    ended = await (await connection.execute(FINISH, [ids, claims, ["succeeded"] * len(jobs)])).fetchall()
    assert len(ended) == len(jobs), f"{len(ended)} of {len(jobs)} outcomes were taken"  # noqa: S101 - or it measures nothing


CONTESTANT = BareLoop
