"""dramatiq on Redis: one process, a thread for each job that may run at once. Its documents name no more."""
# pyright: basic, reportMissingImports=false
# It is installed in an environment of its own, which type checkers do not see.

from __future__ import annotations

import os
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import dramatiq  # type: ignore[import-not-found]
from dramatiq.brokers.redis import RedisBroker  # type: ignore[import-not-found]

from pq_benchmarks.contestants.contestant import Client, Contestant
from pq_benchmarks.tally import Tally

tally = Tally(Path(os.environ["BENCH_TALLY"])) if "BENCH_TALLY" in os.environ else None
broker = RedisBroker(url=os.environ["BENCH_DSN"])
dramatiq.set_broker(broker)


@dramatiq.actor  # type: ignore[untyped-decorator]
def noop(probe: int | None = None) -> None:
    """Note the start, and nothing else."""
    if tally is not None:
        tally.tick(probe)


class DramatiqClient(Client):
    """Enqueues through the broker."""

    async def defer(self, probe: int | None = None) -> object:
        """Enqueue a job."""
        return noop.send() if probe is None else noop.send(probe)

    async def defer_batch(self, size: int) -> object:
        """Enqueue many, one by one: it has no other way."""
        for _ in range(size):
            noop.send()
        return None


class DramatiqPeer(Contestant):
    """dramatiq."""

    async def install(self) -> None:
        """Empty the database."""
        broker.client.flushall()

    @asynccontextmanager
    async def client(self) -> AsyncGenerator[Client]:
        """Use the broker."""
        yield DramatiqClient()

    @contextmanager
    def sync_client(self) -> Generator[Callable[[], object]]:
        """Use the broker."""
        yield noop.send

    def work(self, concurrency: int, queue: str | None = None) -> None:
        """Run its worker in this process, as its command line does in each process that it starts."""
        stopping = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopping.set())
        worker = dramatiq.Worker(broker, queues=None if queue is None else {queue}, worker_threads=concurrency)
        worker.start()
        stopping.wait()
        worker.stop()


CONTESTANT = DramatiqPeer
