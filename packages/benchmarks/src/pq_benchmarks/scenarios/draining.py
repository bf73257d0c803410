"""How a drain is measured: jobs that do nothing, a worker in a process of its own, and what both processes use."""

from __future__ import annotations

import time
from collections.abc import Mapping

import psycopg

from pq_benchmarks.contender import Contender
from pq_benchmarks.processes import ProcessFailed, WorkerProcess
from pq_benchmarks.stage import CONCURRENCY, Stage
from pq_benchmarks.tally import Tally

_LONGEST_START = 120.0
_LONGEST_DRAIN = 600.0
_SETTLING = 0.5
"""Seconds in which the last outcomes are written, so that their cost counts too."""


def drain(
    stage: Stage, contender: Contender, dsn: str, jobs: int, *, queue: str | None = None, to_the_end: bool = True
) -> Mapping[str, float]:
    """Run a worker until it has started so many jobs.

    The rate is taken between the first start and the last, so that what comes before them is left out.

    Args:
        stage: see :class:`Stage`.
        contender: whose worker.
        dsn: a database with at least `jobs` jobs that can run.
        jobs: how many to wait for.
        queue: the only one to serve.
        to_the_end: whether these are all jobs. If not, the worker is stopped in full flight.
    """
    worker, tally = stage.worker(contender, dsn, CONCURRENCY, *([] if queue is None else [queue]))
    with worker:
        if not worker.wait_until(lambda: tally.read()[0] > 0, _LONGEST_START):
            raise ProcessFailed(f"{contender.name} started no job within {_LONGEST_START:.0f} s")
        before = _meter(stage, worker, tally)
        complete = worker.wait_until(lambda: tally.read()[0] >= jobs, _LONGEST_DRAIN)
        count, first, last = tally.read()
        if to_the_end:
            time.sleep(_SETTLING)
        started, worker_cpu, postgres_cpu = (
            after - then for after, then in zip(_meter(stage, worker, tally), before, strict=True)
        )
        rss = worker.rss_mb()
    if not complete:
        print(f"{contender.name} started {count} of {jobs} jobs in {_LONGEST_DRAIN:.0f} s")
    return {
        "jobs_per_s": (count - 1) / (last - first) if last > first else 0.0,
        "worker_us": worker_cpu / max(started, 1) * 1e6,
        "postgres_us": postgres_cpu / max(started, 1) * 1e6,
        "rss_mb": rss,
        "started": count,
        **_history(contender, dsn),
    }


def _meter(stage: Stage, worker: WorkerProcess, tally: Tally) -> tuple[float, float, float]:
    return tally.read()[0], worker.cpu_seconds(), stage.server.cpu_seconds()


def _history(contender: Contender, dsn: str) -> dict[str, float]:
    """Count what the history holds: the contract is part of the figure."""
    if contender.ended is None:
        return {}
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(contender.ended.encode()).fetchone()
    return {"in_history": float(row[0]) if row else 0.0}
