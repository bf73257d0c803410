"""How fast jobs are enqueued: one by one, each its own durable transaction, and in batches."""

from __future__ import annotations

from collections.abc import Mapping

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import Stage


def one_by_one(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Enqueue for a caller that awaits each."""
    return _measure(stage, contender, "enqueue", stage.sizes.singles)


def one_by_one_sync(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Enqueue for a caller that cannot await."""
    return _measure(stage, contender, "enqueue-sync", stage.sizes.singles)


def in_batches(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Enqueue 1,000 at a time."""
    return _measure(stage, contender, "bulk", stage.sizes.bulk)


def _measure(stage: Stage, contender: Contender, command: str, jobs: int) -> Mapping[str, float]:
    with stage.database(contender, "nothing", lambda _: None) as dsn:
        before = stage.server.cpu_seconds()
        told = stage.client(contender, dsn, command, jobs)
        postgres_cpu = stage.server.cpu_seconds() - before
    return {
        "jobs_per_s": told["jobs"] / told["seconds"],
        "client_us": told["cpu"] / told["jobs"] * 1e6,
        "postgres_us": postgres_cpu / told["jobs"] * 1e6,
    }


ENQUEUES = (
    Scenario(name="enqueue", title="enqueue one by one, async", measure=one_by_one, peers=True),
    Scenario(
        name="enqueue-sync",
        title="enqueue one by one, sync",
        measure=one_by_one_sync,
        peers=True,
        takes=lambda contender: contender.sync,
    ),
    Scenario(
        name="enqueue-batch",
        title="enqueue in batches of 1,000",
        measure=in_batches,
        targets=(Target(value="jobs_per_s", at_least=25_000),),
        peers=True,
    ),
)
