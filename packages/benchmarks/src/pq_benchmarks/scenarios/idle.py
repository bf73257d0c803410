"""An idle worker: how soon it starts a job that comes, what it takes while none comes, and how much memory it holds."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target, percentile
from pq_benchmarks.processes import ProcessFailed
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import Stage

CONCURRENCY = 10
_LONGEST_START = 60.0
_REST = 3.0
"""Seconds between the worker's first job and the first reading: what happens once after a start is over."""
_WATCHED = 5.0
_FIRST = 10
"""Probes that do not count: statements are prepared, plans cached."""


def measure(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Let a worker run one job, rest, and then catch probes one by one."""
    probes = stage.sizes.probes + _FIRST
    with stage.database(contender, "1 job", lambda dsn: stage.client(contender, dsn, "bulk", 1)) as dsn:
        worker, tally = stage.worker(contender, dsn, CONCURRENCY)
        with worker:
            if not worker.wait_until(lambda: tally.read()[0] > 0, _LONGEST_START):
                raise ProcessFailed(f"{contender.name} started no job within {_LONGEST_START:.0f} s")
            time.sleep(_REST)
            rss = worker.rss_mb()
            worker_cpu, postgres_cpu = worker.cpu_seconds(), stage.store_cpu(contender)
            time.sleep(_WATCHED)
            worker_cpu, postgres_cpu = worker.cpu_seconds() - worker_cpu, stage.store_cpu(contender) - postgres_cpu
            told = stage.client(contender, dsn, "probe", probes)
            worker.wait_until(lambda: tally.read()[0] > probes, _LONGEST_START)
            starts = tally.probes(probes)
    counted = list(zip(starts, told["calls"], strict=True))[_FIRST:]
    after_return = [(start - returned) * 1e3 for start, (_, returned) in counted if start]
    after_call = [(start - began) * 1e3 for start, (began, _) in counted if start]
    return {
        "p50_ms": percentile(after_return, 0.5),
        "p95_ms": percentile(after_return, 0.95),
        "p99_ms": percentile(after_return, 0.99),
        "call_p50_ms": percentile(after_call, 0.5),
        "call_p99_ms": percentile(after_call, 0.99),
        "unstarted": float(len(counted) - len(after_return)),
        "rss_mb": rss,
        "idle_worker_percent": worker_cpu / _WATCHED * 100,
        "idle_postgres_percent": postgres_cpu / _WATCHED * 100,
    }


_SOONER_THAN = ("graphile-worker", "procrastinate")

IDLE = Scenario(
    name="idle",
    title="idle worker: pick-up latency and memory, concurrency 10",
    measure=measure,
    targets=(
        *(
            Target(
                value=f"{percent}_ms",
                at_most=1.0,
                against=peer,
                must=f"pick-up latency when idle, {percent}, of that of {peer}",
            )
            for percent in ("p50", "p99")
            for peer in _SOONER_THAN
        ),
        Target(value="p50_ms", at_most=5.0),
    ),
    peers=True,
    quick_rounds=1,
    takes=lambda contender: contender.async_jobs,
)
