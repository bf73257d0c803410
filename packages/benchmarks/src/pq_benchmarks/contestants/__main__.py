"""Run one contestant: ``python -m pq_benchmarks.contestants NAME COMMAND [ARGUMENT...]``.

Commands: ``install``, ``bulk N [BATCH]``, ``enqueue N``, ``enqueue-sync N``, ``work CONCURRENCY [QUEUE]``, ``probe N``,
``feed RATE SECONDS KIND``.
The environment gives BENCH_DSN and, for jobs, BENCH_TALLY. What was measured is printed as one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import cast

from pq_benchmarks.contestants.contestant import BATCH, Contestant, Feeder

STEP = 0.1
"""Seconds between two batches of a feed."""
LOCKS = 100
AHEAD = 1.0
"""Seconds from the enqueuing of a job that is scheduled to its time."""
WARM_UP = 20
"""Jobs enqueued before the clock starts: connections are opened, statements prepared."""
GAP = (0.02, 0.06)
"""Seconds between two probes: each finds the worker idle."""


def main(name: str, command: str, *arguments: str) -> None:
    """Do what the command line says."""
    module = import_module(f"pq_benchmarks.contestants.{name}")
    contestant: Contestant = module.CONTESTANT(os.environ["BENCH_DSN"])
    if command == "work":
        threading.Thread(target=_end_with_parent, daemon=True).start()
        contestant.work(int(arguments[0]), *arguments[1:])
    elif command == "install":
        asyncio.run(contestant.install())
    elif command == "feed":
        asyncio.run(_feed(contestant, float(arguments[0]), float(arguments[1]), arguments[2]))
    elif command == "enqueue-sync":
        _enqueue_sync(contestant, int(arguments[0]))
    else:
        commands = {"bulk": _bulk, "enqueue": _enqueue, "probe": _probe}
        asyncio.run(commands[command](contestant, *map(int, arguments)))


async def _bulk(contestant: Contestant, count: int, batch: int = BATCH) -> None:
    async with contestant.client() as client:
        if batch > BATCH:
            await client.defer_batch(WARM_UP)
        elapsed = _stopwatch()
        for left in range(count, 0, -batch):
            await client.defer_batch(min(batch, left))
        _tell(count, *elapsed())


async def _enqueue(contestant: Contestant, count: int) -> None:
    async with contestant.client() as client:
        for _ in range(WARM_UP):
            await client.defer()
        elapsed = _stopwatch()
        for _ in range(count):
            await client.defer()
        _tell(count, *elapsed())


def _enqueue_sync(contestant: Contestant, count: int) -> None:
    with contestant.sync_client() as defer:
        for _ in range(WARM_UP):
            defer()
        elapsed = _stopwatch()
        for _ in range(count):
            defer()
        _tell(count, *elapsed())


async def _probe(contestant: Contestant, count: int) -> None:
    """Enqueue jobs one by one; print when each call began and returned."""
    calls: list[tuple[float, float]] = []
    async with contestant.client() as client:
        for number in range(count):
            began = time.monotonic()
            await client.defer(number)
            calls.append((began, time.monotonic()))
            await asyncio.sleep(random.uniform(*GAP))
    print(json.dumps({"calls": calls}))


async def _feed(contestant: Contestant, rate: float, seconds: float, kind: str) -> None:
    """Enqueue so many jobs a second, one by one or some at a time, or as many as it can if these are fewer."""
    enqueued = 0
    async with contestant.client() as client:
        elapsed = _stopwatch()
        while (now := elapsed()[0]) < seconds:
            due = min(int(now * rate) - enqueued, BATCH)
            if due < (1 if kind == "singles" else rate * STEP):
                await asyncio.sleep(1 / (2 * rate) if kind == "singles" else STEP / 4)
                continue
            feeder = cast("Feeder", client)
            if kind == "locks":
                await feeder.defer_locked([f"lock {(enqueued + n) % LOCKS}" for n in range(due)])
            elif kind == "schedules":
                await feeder.defer_later(due, AHEAD)
            elif kind == "singles":
                due = 1
                await client.defer()
            else:
                await client.defer_batch(due)
            enqueued += due
        _tell(enqueued, *elapsed())


def _stopwatch() -> Callable[[], tuple[float, float]]:
    """Start a clock; what is returned reads the seconds that passed, and those of the CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    return lambda: (time.perf_counter() - wall, time.process_time() - cpu)


def _tell(count: int, seconds: float, cpu: float) -> None:
    print(json.dumps({"jobs": count, "seconds": seconds, "cpu": cpu}))


def _end_with_parent() -> None:
    """Wait for the end of standard input: a benchmark that was killed must not leave its workers behind."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
