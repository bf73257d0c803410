"""Many threads at once: nothing is lost, nothing runs twice, no two jobs of a lock run together."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from pq_core.connector import WorkerInfo
from pq_core.job import NewJob
from pq_core.memory import InMemoryConnector
from pq_core.outcome import Outcome
from pq_core.states import State

PRODUCERS, WORKERS, EACH = 4, 4, 150


@pytest.fixture(autouse=True)
def _change_threads_often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_many_threads_defer_while_many_loops_fetch_and_finish() -> None:
    memory = InMemoryConnector()
    ran: Counter[int] = Counter()
    together: Counter[str | None] = Counter()
    overlaps: list[str] = []
    guard = threading.Lock()

    def produce(number: int) -> None:
        for place in range(EACH):
            lock = f"lock {place % 3}" if place % 2 else None
            memory.sync.defer([NewJob(task="t", queue=f"q{number}", lock=lock)])

    async def work(number: int) -> None:
        await memory.heartbeat(WorkerInfo(id=number), timedelta(minutes=1))
        while sum(ran.values()) < PRODUCERS * EACH:
            jobs = (await memory.fetch(number, None, 5)).jobs
            with guard:
                for job in jobs:
                    ran[job.id] += 1
                    together[job.lock] += 1
                    if job.lock and together[job.lock] > 1:
                        overlaps.append(job.lock)
            await asyncio.sleep(0)
            with guard:
                together.subtract(job.lock for job in jobs)
            await memory.finish([Outcome.succeeded(job) for job in jobs])

    with ThreadPoolExecutor(PRODUCERS + WORKERS) as pool:
        tasks = [pool.submit(produce, number) for number in range(PRODUCERS)]
        tasks += [pool.submit(asyncio.run, work(number)) for number in range(1, WORKERS + 1)]
        for task in tasks:
            task.result(timeout=30)
    assert overlaps == []
    assert ran == Counter(range(1, PRODUCERS * EACH + 1))
    assert {job.state for job in memory.jobs.values()} == {State.SUCCEEDED}
