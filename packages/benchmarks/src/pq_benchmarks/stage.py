"""Where measurements take place: the server, a directory for tallies and logs, and the sizes of this run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import attrs

from pq_benchmarks.contender import Contender
from pq_benchmarks.processes import ProcessFailed, WorkerProcess, run_client
from pq_benchmarks.redis_server import RedisServer
from pq_benchmarks.server import BenchServer
from pq_benchmarks.tally import Tally

CONCURRENCY = 50


@attrs.frozen(kw_only=True)
class Sizes:
    """How much is measured.

    Attributes:
        rounds: how often each scenario takes its turn.
        jobs: drained by pq in one measurement.
        backlog: other ready jobs, where there are some.
        blocked: jobs behind one lock.
        singles: jobs enqueued one by one.
        bulk: jobs enqueued in batches.
        probes: jobs whose latency is measured.
        history: ended jobs, where there are some.
        scheduled: jobs that are not due, where there are some.
        locks: jobs with a lock of their own, where there are some.
        queues: queues over which jobs are spread, where they are.
        workers: idle workers, where there are some.
        horizon: jobs that pass through while a transaction elsewhere stays open.
        horizon_rate: how many of them are enqueued in a second.
        long_run: jobs that one worker process runs before its memory is looked at.
        quick: whether slow contenders drain fewer jobs, and what takes long has fewer rounds.
    """

    rounds: int = 1
    jobs: int = 20_000
    backlog: int = 500_000
    blocked: int = 100_000
    singles: int = 3_000
    bulk: int = 50_000
    probes: int = 100
    history: int = 1_000_000
    scheduled: int = 200_000
    locks: int = 100_000
    queues: int = 1_000
    workers: int = 200
    horizon: int = 150_000
    horizon_rate: int = 6_000
    long_run: int = 200_000
    quick: bool = True

    def share(self, contender: Contender, jobs: int | None = None) -> int:
        """Return how many of `jobs` jobs, by default those of a drain, are enough for a contender."""
        jobs = self.jobs if jobs is None else jobs
        return max(1_000, round(jobs * contender.share)) if self.quick else jobs


QUICK = Sizes()
FULL = Sizes(
    rounds=5,
    jobs=60_000,
    singles=10_000,
    bulk=100_000,
    probes=600,
    backlog=5_000_000,
    history=10_000_000,
    scheduled=1_000_000,
    horizon=600_000,
    horizon_rate=1_000,
    long_run=1_000_000,
    quick=False,
)


@attrs.frozen(kw_only=True)
class Stage:
    """What every scenario is given."""

    server: BenchServer
    directory: Path
    sizes: Sizes
    redis: RedisServer | None = None

    def servers_cpu(self) -> float:
        """Return the CPU seconds that the processes of all servers have taken so far."""
        return self.server.cpu_seconds() + (self.redis.cpu_seconds() if self.redis else 0.0)

    def store_cpu(self, contender: Contender) -> float:
        """Return the CPU seconds that the processes of its server have taken so far."""
        if contender.store == "redis" and self.redis:
            return self.redis.cpu_seconds()
        return self.server.cpu_seconds()

    def database(
        self, contender: Contender, content: str, fill: Callable[[str], object]
    ) -> AbstractContextManager[str]:
        """Give a database with this contender's tables, and what `fill` puts in. See `BenchServer.database`."""

        def prepare(dsn: str) -> None:
            self.client(contender, dsn, "install")
            fill(dsn)

        if contender.store == "redis":
            return self._redis_database(prepare)
        return self.server.database(f"{contender.name}: {content}", prepare)

    @contextmanager
    def _redis_database(self, prepare: Callable[[str], object]) -> Generator[str]:
        """Yield the URL of a Redis that `prepare` has emptied and filled."""
        if self.redis is None:
            raise ProcessFailed("there is no Redis here")
        prepare(self.redis.url)
        yield self.redis.url

    def standing(self, contender: Contender, content: str, fill: Callable[[str], object]) -> str:
        """Return the DSN of a database like those of `database`, but of one that stays, too large to be copied."""

        def prepare(dsn: str) -> None:
            self.client(contender, dsn, "install")
            fill(dsn)

        return self.server.standing(f"{contender.name}: {content}", prepare)

    def client(self, contender: Contender, dsn: str, *arguments: object, seconds: float = 600.0) -> dict[str, Any]:
        """Run one command of a contender's script."""
        command = (*contender.command, *map(str, arguments))
        return run_client(command, {**contender.environment, "BENCH_DSN": dsn}, seconds=seconds)

    def worker(self, contender: Contender, dsn: str, *arguments: object) -> tuple[WorkerProcess, Tally]:
        """Start a contender's worker, to be entered as a context; return it and what its jobs will write."""
        path = self.directory / "tally"
        tally = Tally.create(path)
        environment = {**contender.environment, "BENCH_DSN": dsn, "BENCH_TALLY": str(path)}
        command = (*contender.command, "work", *map(str, arguments or (CONCURRENCY,)))
        return WorkerProcess.start(command, environment, self.directory / f"{contender.name}.log"), tally
