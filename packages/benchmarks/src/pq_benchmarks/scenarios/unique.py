"""The same with a unique key on every job: what keys cost those that have them."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.scenarios import drain, enqueue
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import Stage

LEAST = 0.6
"""Of the rate without keys."""


def draining(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Drain jobs each of which has a key of its own."""
    return drain.measure(stage, _keyed(contender))


def enqueuing(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Enqueue them, 1,000 at a time."""
    return enqueue.in_batches(stage, _keyed(contender))


def _keyed(contender: Contender) -> Contender:
    return attrs.evolve(
        contender, name=f"{contender.name} with keys", environment={**contender.environment, "BENCH_KEYS": "1"}
    )


UNIQUES = (
    Scenario(
        name="drain-unique",
        title="the drain, each job with a unique key",
        measure=draining,
        full=True,
        targets=(Target(value="jobs_per_s", at_least=LEAST, of="drain"),),
    ),
    Scenario(
        name="enqueue-unique",
        title="enqueue in batches of 1,000, each job with a unique key",
        measure=enqueuing,
        full=True,
        targets=(Target(value="jobs_per_s", at_least=LEAST, of="enqueue-batch"),),
    ),
)
