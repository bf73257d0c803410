"""Drains beside other jobs: what is there but not wanted must not cost anything. `growth` has the larger ones."""

from __future__ import annotations

import time
from collections.abc import Mapping

import psycopg

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.processes import ProcessFailed
from pq_benchmarks.scenarios.draining import drain
from pq_benchmarks.scenarios.filling import QUEUE, insert
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import Stage

_ELSEWHERE = 500_000
_LONGEST_MARKING = 300.0
_IN_ORDER = 500

_marking: dict[int, Mapping[str, float]] = {}
"""What it took to mark so many jobs as blocked. It is done once for each size."""


def behind_other_queue(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Drain a queue that a worker serves alone, while another one is full."""
    sizes = stage.sizes

    def fill(dsn: str) -> None:
        insert(dsn, _ELSEWHERE, queue="elsewhere")
        insert(dsn, sizes.jobs)

    with stage.database(contender, "backlog elsewhere", fill) as dsn:
        return drain(stage, contender, dsn, sizes.jobs, queue=QUEUE)


def one_lock(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Run the first jobs of one lock, one after the other, while all others wait behind it."""
    sizes = stage.sizes

    def fill(dsn: str) -> None:
        insert(dsn, 1, lock="one", due_in="1 day")
        insert(dsn, sizes.blocked, lock="one")
        _marking[sizes.blocked] = _mark(stage, contender, dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("select pq.reschedule(array_agg(id), delay => 0) from pq.jobs where state = 'scheduled'")

    with stage.database(contender, "one lock", fill) as dsn:
        figures = drain(stage, contender, dsn, _IN_ORDER, to_the_end=False)
    return {**figures, **_marking[sizes.blocked]}


def _mark(stage: Stage, contender: Contender, dsn: str) -> Mapping[str, float]:
    """Let a worker find out that jobs are blocked; return the seconds that it took, and the CPU time of each job."""
    with psycopg.connect(dsn, autocommit=True) as connection:

        def marked() -> bool:
            time.sleep(0.05)
            return connection.execute("select from pq.jobs where state = 'ready' limit 1").fetchone() is None

        worker, _ = stage.worker(contender, dsn)
        began, cpu = time.monotonic(), stage.server.cpu_seconds()
        with worker:
            if not worker.wait_until(marked, _LONGEST_MARKING):
                raise ProcessFailed(f"not all jobs were marked as blocked within {_LONGEST_MARKING:.0f} s")
            return {
                "marking_s": time.monotonic() - began,
                "marking_us": (stage.server.cpu_seconds() - cpu) / stage.sizes.blocked * 1e6,
            }


CROWDED_DRAINS = (
    Scenario(
        name="drain-other-queue",
        title="the same, 500k ready jobs in another queue",
        measure=behind_other_queue,
        full=True,
        targets=(Target(value="jobs_per_s", at_least=0.8, of="drain"),),
    ),
    Scenario(name="drain-one-lock", title="jobs of one ordered lock, 100k waiting", measure=one_lock, full=True),
)
