"""Many idle workers of pq in one process: ``python -m pq_benchmarks.contestants.pq_crowd COUNT QUEUE``.

Each has an app, a pool and a connection that listens, as a process of its own would have. The process ends with its
standard input. The environment gives BENCH_DSN and BENCH_TALLY.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from pathlib import Path

import pq_core as pq
from pq_benchmarks.tally import Tally

_NOOP = "pq_benchmarks.contestants.pq_itself.noop"
_AT_ONCE = 10
"""Workers that start in one step, so that their first heartbeats do not all come at one moment."""
_PAUSE = 0.1

tally = Tally(Path(os.environ["BENCH_TALLY"]))


async def main(count: int, queue: str) -> None:
    """Run so many workers."""
    async with asyncio.TaskGroup() as workers:
        for number in range(count):
            app = pq.App(connector=pq.PsycopgConnector(os.environ["BENCH_DSN"]))
            app.task(name=_NOOP)(noop)
            workers.create_task(
                app.run_worker_async(queues=[queue], install_signal_handlers=False, name=f"idle {number}")
            )
            if number % _AT_ONCE == 0:
                await asyncio.sleep(_PAUSE)


async def noop(probe: int | None = None) -> None:
    """Note the start, and nothing else."""
    tally.tick(probe)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
