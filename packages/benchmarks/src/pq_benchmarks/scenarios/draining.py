"""How a drain is measured: jobs that do nothing, a worker in a process of its own, and what both processes use."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from pq_benchmarks.contender import Contender
from pq_benchmarks.processes import ProcessFailed, WorkerProcess
from pq_benchmarks.scenarios.footprint import Footprint
from pq_benchmarks.stage import CONCURRENCY, Stage
from pq_benchmarks.tally import Tally

_LONGEST_START = 120.0
_LONGEST_DRAIN = 600.0
_WARMING = 0.1
"""Share of the jobs that run before anything is measured."""
_SETTLING = 0.5
"""Seconds in which the last outcomes are written, so that their cost counts too."""


def drain(
    stage: Stage, contender: Contender, dsn: str, jobs: int, *, queue: str | None = None, to_the_end: bool = True
) -> Mapping[str, float]:
    """Run a worker until it has started so many jobs.

    Figures begin when a tenth of the jobs has started: connections are open, statements prepared, code is compiled.

    Args:
        stage: see :class:`Stage`.
        contender: whose worker.
        dsn: a database with at least `jobs` jobs that can run.
        jobs: how many to wait for.
        queue: the only one to serve.
        to_the_end: whether these are all jobs. If not, the worker is stopped in full flight.
    """
    with Footprint(contender, dsn) as footprint:
        worker, tally = stage.worker(contender, dsn, CONCURRENCY, *([] if queue is None else [queue]))
        with worker:
            if not worker.wait_until(lambda: tally.read()[0] > jobs * _WARMING, _LONGEST_START):
                raise ProcessFailed(f"{contender.name} started {tally.read()[0]} jobs within {_LONGEST_START:.0f} s")
            warm = tally.read()
            meter = _Meter(stage, contender, worker, tally, footprint)
            complete = worker.wait_until(lambda: tally.read()[0] >= jobs, _LONGEST_DRAIN)
            end = tally.read()
            if to_the_end:
                time.sleep(_SETTLING)
            used = meter.read()
            rss = worker.rss_mb()
        left = footprint.after(tally.read()[0])
    if not complete:
        print(f"{contender.name} started {end[0]} of {jobs} jobs in {_LONGEST_DRAIN:.0f} s", file=sys.stderr)
    return {
        "jobs_per_s": _rate(warm, end),
        **used,
        "rss_mb": rss,
        "started": end[0],
        **left,
    }


def _rate(warm: tuple[int, float, float], end: tuple[int, float, float]) -> float:
    """Return starts per second from `warm` to `end`; from the first start on, if between them there are too few."""
    (before, _, then), (count, first, last) = warm, end
    if count - before < count / 2:
        before, then = 1, first
    return (count - before) / (last - then) if last > then else 0.0


class _Meter:
    """Reads what is used from now on, for each job that starts."""

    def __init__(
        self, stage: Stage, contender: Contender, worker: WorkerProcess, tally: Tally, footprint: Footprint
    ) -> None:
        self._stage, self._contender, self._worker, self._tally = stage, contender, worker, tally
        self._footprint = footprint
        self._logs = contender.store == "postgresql"
        self._before = self._readings()

    def read(self) -> dict[str, float]:
        """Return microseconds of CPU time and bytes of WAL for each job."""
        jobs, worker, store, wal = (after - then for after, then in zip(self._readings(), self._before, strict=True))
        jobs = max(jobs, 1)
        figures = {"worker_us": worker / jobs * 1e6, "postgres_us": store / jobs * 1e6}
        return {**figures, "wal_bytes": wal / jobs} if self._logs else figures

    def _readings(self) -> tuple[float, float, float, float]:
        return (
            self._tally.read()[0],
            self._worker.cpu_seconds(),
            self._stage.store_cpu(self._contender),
            self._footprint.wal_bytes(),
        )
