"""Drains beside many other jobs: what is there but not wanted must not cost anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import psycopg

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.processes import ProcessFailed
from pq_benchmarks.scenarios.draining import drain
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import Stage

QUEUE = "default"
_LONGEST_MARKING = 300.0
_IN_ORDER = 500

_marking: dict[int, Mapping[str, float]] = {}
"""What it took to mark so many jobs as blocked. It is done once for each size."""


def behind_other_queue(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Drain a queue that a worker serves alone, while another one is full."""
    sizes = stage.sizes

    def fill(dsn: str) -> None:
        _insert(dsn, sizes.backlog, queue="elsewhere")
        _insert(dsn, sizes.jobs)

    with stage.database(contender, "backlog elsewhere", fill) as dsn:
        return drain(stage, contender, dsn, sizes.jobs, queue=QUEUE)


def behind_own_queue(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Run the first jobs of a long queue, and stop there."""
    sizes = stage.sizes
    with stage.database(contender, "backlog", lambda dsn: _insert(dsn, sizes.backlog + sizes.jobs)) as dsn:
        return drain(stage, contender, dsn, sizes.jobs, to_the_end=False)


def beside_blocked(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Drain a queue in which one lock, whose first job is not due, holds up many more."""
    sizes = stage.sizes

    def fill(dsn: str) -> None:
        _insert(dsn, 1, lock="one", due_in="1 day")
        _insert(dsn, sizes.blocked, lock="one")
        _marking[sizes.blocked] = _mark(stage, contender, dsn)
        _insert(dsn, sizes.jobs)

    with stage.database(contender, "blocked", fill) as dsn:
        figures = drain(stage, contender, dsn, sizes.jobs)
    return {**figures, **_marking[sizes.blocked]}


def one_lock(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Run the first jobs of one lock, one after the other, while all others wait behind it."""
    sizes = stage.sizes

    def fill(dsn: str) -> None:
        _insert(dsn, 1, lock="one", due_in="1 day")
        _insert(dsn, sizes.blocked, lock="one")
        _mark(stage, contender, dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("select pq.reschedule(array_agg(id), delay => 0) from pq.jobs where state = 'scheduled'")

    with stage.database(contender, "one lock", fill) as dsn:
        return drain(stage, contender, dsn, _IN_ORDER, to_the_end=False)


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


def _insert(dsn: str, count: int, *, queue: str = QUEUE, lock: str | None = None, due_in: str = "0") -> None:
    """Store no-op jobs of pq, faster than by deferring them."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "insert into pq.jobs (queue, task, lock, state, scheduled_at)"
            " select %s, 'pq_benchmarks.contestants.pq_itself.noop', %s,"
            " case when %s::interval > '0' then 'scheduled' else 'ready' end, now() + %s::interval"
            " from generate_series(1, %s)",
            [queue, lock, due_in, due_in, count],
        )


def _crowded(name: str, title: str, measure: Callable[[Stage, Contender], Mapping[str, float]]) -> Scenario:
    return Scenario(
        name=name,
        title=title,
        measure=measure,
        targets=(Target(value="jobs_per_s", at_least=0.8, of="drain"),),
    )


CROWDED_DRAINS = (
    _crowded("drain-other-queue", "the same, 500k ready jobs in another queue", behind_other_queue),
    _crowded("drain-own-queue", "the same, the head of 500k ready jobs", behind_own_queue),
    _crowded("drain-blocked", "the same, beside 100k jobs blocked by one lock", beside_blocked),
    Scenario(name="drain-one-lock", title="jobs of one ordered lock, 100k waiting", measure=one_lock),
)
