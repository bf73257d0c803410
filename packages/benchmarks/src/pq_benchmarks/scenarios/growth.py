"""Drains beside what has grown: other jobs, a long history, many locks, many queues, many workers.

Each is one pair of drains, right after each other and in an order left to chance: in an empty database, and in one that
has grown. The large databases are filled once and stay for the whole run; each drain of one adds the jobs that it will
run.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import attrs

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.scenarios import filling
from pq_benchmarks.scenarios.crowd import crowd
from pq_benchmarks.scenarios.draining import drain
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import Sizes, Stage

_KEPT = 0.8
"""Of the jobs per second of the empty database: what must be left."""


@attrs.frozen(kw_only=True)
class Growth:
    """What has grown.

    Attributes:
        name: of the scenario, without what all have in common.
        title: for the report; how much it is depends on the sizes of the run.
        count: reads from the sizes of the run how much it is.
        fill: is called with a DSN and that count, once.
        jobs: is called with a DSN and a number: adds the jobs of one drain to the grown database.
        plain: the same for the empty one.
        queue: the only queue that the worker serves; None: all.
        to_the_end: whether no jobs are left after the drain.
        beside: what goes on during the drain of the grown database.
        targets: what pq should reach.
    """

    name: str
    title: str
    count: Callable[[Sizes], int]
    fill: Callable[[str, int], object]
    jobs: Callable[[str, int], object] = filling.insert
    plain: Callable[[str, int], object] = filling.insert
    queue: str | None = filling.QUEUE
    to_the_end: bool = True
    beside: Callable[[Stage, str, int], AbstractContextManager[object]] = lambda *_: nullcontext()
    targets: tuple[Target, ...]

    def measure(self, stage: Stage, contender: Contender) -> Mapping[str, float]:
        """Drain both, and compare."""
        turns = [self.empty, self.grown]
        if random.random() < 0.5:
            turns.reverse()
        figures = {turn.__name__: turn(stage, contender) for turn in turns}
        empty, grown = figures["empty"], figures["grown"]
        return {
            **grown,
            "empty_jobs_per_s": empty["jobs_per_s"],
            "kept": grown["jobs_per_s"] / empty["jobs_per_s"],
            "cost": _cost(grown) / _cost(empty),
            "postgres_cost": grown["postgres_us"] / empty["postgres_us"],
        }

    def empty(self, stage: Stage, contender: Contender) -> Mapping[str, float]:
        """Drain a database that holds nothing else."""
        dsn = stage.standing(contender, "nothing else", lambda _: None)
        self.plain(dsn, stage.sizes.jobs)
        return drain(stage, contender, dsn, stage.sizes.jobs, queue=self.queue)

    def grown(self, stage: Stage, contender: Contender) -> Mapping[str, float]:
        """Drain as many jobs beside what has grown."""
        count = self.count(stage.sizes)
        dsn = stage.standing(contender, f"{count} {self.name}", lambda dsn: self.fill(dsn, count))
        self.jobs(dsn, stage.sizes.jobs)
        with self.beside(stage, dsn, count):
            return drain(stage, contender, dsn, stage.sizes.jobs, queue=self.queue, to_the_end=self.to_the_end)


def _cost(figures: Mapping[str, float]) -> float:
    return figures["worker_us"] + figures["postgres_us"]


def _blocked(dsn: str, count: int) -> None:
    """Put many jobs behind one lock, whose first job is not due, as if workers had found that out already."""
    filling.insert(dsn, 1, lock="one", due_in="1 day")
    filling.insert(dsn, count, lock="one", state="blocked")


def _locked(dsn: str, count: int) -> None:
    """Store jobs each of which has a lock that no other has ever had."""
    filling.insert(dsn, count, lock=f"{uuid.uuid4()} %")


def _kept(what: str) -> Target:
    return Target(value="kept", at_least=_KEPT, must=f"{what}: jobs/s against the empty case")


GROWTHS = (
    Growth(
        name="backlog",
        title="the head of many ready jobs",
        count=lambda sizes: sizes.backlog,
        fill=filling.insert,
        to_the_end=False,
        targets=(_kept("5M backlog"),),
    ),
    Growth(
        name="history",
        title="beside many ended jobs",
        count=lambda sizes: sizes.history,
        fill=filling.insert_finished,
        targets=(_kept("10M history"),),
    ),
    Growth(
        name="scheduled",
        title="beside many scheduled jobs",
        count=lambda sizes: sizes.scheduled,
        fill=filling.insert_scheduled,
        targets=(_kept("1M scheduled"),),
    ),
    Growth(
        name="blocked",
        title="beside many jobs blocked by one lock",
        count=lambda sizes: sizes.blocked,
        fill=_blocked,
        targets=(_kept("100k blocked by one lock"),),
    ),
    Growth(
        name="locks",
        title="the head of many ready jobs, each with a lock of its own; against as many as are run",
        count=lambda sizes: sizes.locks,
        fill=_locked,
        jobs=_locked,
        plain=_locked,
        to_the_end=False,
        targets=(_kept("100k distinct locks"),),
    ),
    Growth(
        name="queues",
        title="jobs spread over many queues",
        count=lambda sizes: sizes.queues,
        fill=lambda _dsn, _count: None,
        jobs=filling.insert_over_queues,
        queue=None,
        targets=(
            Target(value="cost", at_most=2.0, must="1,000 queues: CPU of worker and PostgreSQL, against one queue"),
            Target(value="kept", at_least=0.5),
        ),
    ),
    Growth(
        name="workers",
        title="beside many idle workers, connected and listening",
        count=lambda sizes: sizes.workers,
        fill=lambda _dsn, _count: None,
        beside=crowd,
        targets=(_kept("200 idle workers"),),
    ),
)


def _scenarios(growth: Growth) -> Scenario:
    return Scenario(
        name=f"growth-{growth.name}",
        title=growth.title,
        measure=growth.measure,
        quick_rounds=1,
        targets=growth.targets,
    )


GROWN_DRAINS = tuple(_scenarios(growth) for growth in GROWTHS)
