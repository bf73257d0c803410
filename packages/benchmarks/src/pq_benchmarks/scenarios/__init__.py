"""What is measured: one module for each kind of scenario."""

from pq_benchmarks.scenarios.crowd import CROWD
from pq_benchmarks.scenarios.crowded_drain import CROWDED_DRAINS
from pq_benchmarks.scenarios.distance import DISTANCE
from pq_benchmarks.scenarios.drain import DRAINS
from pq_benchmarks.scenarios.enqueue import ENQUEUES
from pq_benchmarks.scenarios.fleet import FLEETS
from pq_benchmarks.scenarios.growth import GROWN_DRAINS
from pq_benchmarks.scenarios.horizon import HORIZONS
from pq_benchmarks.scenarios.idle import IDLE
from pq_benchmarks.scenarios.importing import IMPORTING
from pq_benchmarks.scenarios.load import LOAD
from pq_benchmarks.scenarios.memory import MEMORY
from pq_benchmarks.scenarios.notify import NOTIFY
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.scenarios.testing import TESTING
from pq_benchmarks.scenarios.unique import UNIQUES

SCENARIOS: tuple[Scenario, ...] = (
    *DRAINS,
    *CROWDED_DRAINS,
    *GROWN_DRAINS,
    *HORIZONS,
    *FLEETS,
    DISTANCE,
    *ENQUEUES,
    *UNIQUES,
    NOTIFY,
    IDLE,
    CROWD,
    MEMORY,
    LOAD,
    IMPORTING,
    TESTING,
)

__all__ = ["SCENARIOS", "Scenario"]
