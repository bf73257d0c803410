"""What a worker process holds in memory: at first, and when it has run many jobs."""

from __future__ import annotations

import time
from collections.abc import Mapping

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.processes import ProcessFailed
from pq_benchmarks.scenarios import filling
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import CONCURRENCY, Stage

_REST = 3.0
_LONGEST_START = 60.0
_LONGEST_RUN = 1800.0


def measure(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Let a worker run one job and rest, then very many, and rest again."""
    jobs = stage.sizes.long_run
    with stage.database(contender, "1 job", lambda dsn: filling.insert(dsn, 1)) as dsn:
        worker, tally = stage.worker(contender, dsn, CONCURRENCY)
        with worker:
            if not worker.wait_until(lambda: tally.read()[0] > 0, _LONGEST_START):
                raise ProcessFailed(f"{contender.name} started no job within {_LONGEST_START:.0f} s")
            time.sleep(_REST)
            idle = worker.rss_mb()
            # Nobody is told of jobs that are inserted: the worker finds them when it next looks.
            filling.insert(dsn, jobs)
            most = idle

            def done() -> bool:
                nonlocal most
                most = max(most, worker.rss_mb())
                time.sleep(0.1)
                return tally.read()[0] > jobs

            if not worker.wait_until(done, _LONGEST_RUN):
                raise ProcessFailed(f"{contender.name} did not run {jobs} jobs within {_LONGEST_RUN:.0f} s")
            time.sleep(_REST)
            after = worker.rss_mb()
    return {"rss_mb": idle, "most_rss_mb": most, "after_rss_mb": after, "growth_mb": after - idle}


MEMORY = Scenario(
    name="memory",
    title="memory of a worker, idle, and after many jobs",
    measure=measure,
    targets=(
        Target(value="rss_mb", at_most=50.0, must="RSS of an idle worker, MB"),
        Target(value="growth_mb", at_most=5.0, must="RSS after 1M jobs, MB more"),
    ),
    once=True,
)
