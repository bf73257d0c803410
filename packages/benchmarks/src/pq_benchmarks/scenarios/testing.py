"""The toolkit for tests: what a test costs, in memory and on PostgreSQL, and how much is explored in a second."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.processes import run_client
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import Stage


def measure(_: Stage, __: Contender) -> Mapping[str, float]:
    """Measure everything once, in a process of its own."""
    return run_client((sys.executable, "-m", "pq_benchmarks.toolkit"), {}, seconds=300.0)


TESTING = Scenario(
    name="testing",
    title="tests: run_jobs, exploration, throw-away PostgreSQL, plugin",
    measure=measure,
    quick_rounds=1,
    targets=(
        Target(value="test_ms", at_most=2.0),
        Target(value="jobs_per_s", at_least=5_000.0),
        Target(value="schedules_per_s", at_least=500.0),
        Target(value="schedules_with_a_crash_per_s", at_least=500.0),
        Target(value="postgres_ready_ms", at_most=400.0),
        Target(value="reset_ms", at_most=5.0),
        Target(value="collect_ms", at_most=20.0),
        Target(value="untouched_test_ms", at_most=1.0),
    ),
)
