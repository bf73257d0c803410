"""The plain drain: how fast one worker empties a queue of jobs that do nothing."""

from __future__ import annotations

from collections.abc import Mapping

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.scenarios.draining import drain
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import Stage


def measure(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Drain a queue that holds nothing else."""
    jobs = max(1_000, round(stage.sizes.jobs * contender.drain_share))
    with stage.database(contender, f"{jobs} jobs", lambda dsn: stage.client(contender, dsn, "bulk", jobs)) as dsn:
        return drain(stage, contender, dsn, jobs)


DRAIN = Scenario(
    name="drain",
    title="drain of no-op async jobs, concurrency 50",
    measure=measure,
    targets=(Target(value="jobs_per_s", at_least=6_000),),
    peers=True,
)
