"""What is measured: one module for each kind of scenario."""

from pq_benchmarks.scenarios.crowded_drain import CROWDED_DRAINS
from pq_benchmarks.scenarios.drain import DRAINS
from pq_benchmarks.scenarios.enqueue import ENQUEUES
from pq_benchmarks.scenarios.idle import IDLE
from pq_benchmarks.scenarios.importing import IMPORTING
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.scenarios.testing import TESTING
from pq_benchmarks.scenarios.unique import UNIQUES

SCENARIOS: tuple[Scenario, ...] = (*DRAINS, *CROWDED_DRAINS, *ENQUEUES, *UNIQUES, IDLE, IMPORTING, TESTING)

__all__ = ["SCENARIOS", "Scenario"]
