"""How fast jobs are enqueued: one by one, each its own durable transaction, and in batches."""

from __future__ import annotations

from collections.abc import Mapping

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.scenarios.footprint import Footprint
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import Stage
from pq_benchmarks.yardsticks import BARE_TABLE

AT_ONCE = 100_000


def one_by_one(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Enqueue for a caller that awaits each."""
    return _measure(stage, contender, "enqueue", stage.sizes.singles)


def one_by_one_sync(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Enqueue for a caller that cannot await."""
    return _measure(stage, contender, "enqueue-sync", stage.sizes.singles)


def in_batches(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Enqueue 1,000 at a time."""
    return _measure(stage, contender, "bulk", stage.sizes.share(contender, stage.sizes.bulk))


def in_one_call(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Enqueue 100,000 by one call."""
    return _measure(stage, contender, "bulk", AT_ONCE, AT_ONCE)


def _measure(stage: Stage, contender: Contender, command: str, *arguments: int) -> Mapping[str, float]:
    with stage.database(contender, "nothing", lambda _: None) as dsn, Footprint(contender, dsn) as footprint:
        before, wal = stage.store_cpu(contender), footprint.wal_bytes()
        told = stage.client(contender, dsn, command, *arguments)
        postgres_cpu, wal = stage.store_cpu(contender) - before, footprint.wal_bytes() - wal
    return {
        "jobs_per_s": told["jobs"] / told["seconds"],
        "client_us": told["cpu"] / told["jobs"] * 1e6,
        "postgres_us": postgres_cpu / told["jobs"] * 1e6,
        "wal_bytes": wal / told["jobs"],
    }


def _enqueues_as_asked(contender: Contender) -> bool:
    """Tell whether it can await, and on PostgreSQL: what is enqueued beside other data must be as safe."""
    return contender.async_jobs and contender.store == "postgresql"


ENQUEUES = (
    Scenario(
        name="enqueue",
        title="enqueue one by one, async",
        measure=one_by_one,
        targets=(
            Target(
                value="jobs_per_s",
                at_least=0.85,
                against=BARE_TABLE.name,
                must="enqueue one by one, async, through the pool, against a bare prepared INSERT",
            ),
        ),
        peers=True,
        yardsticks=(BARE_TABLE,),
        takes=_enqueues_as_asked,
    ),
    Scenario(
        name="enqueue-sync",
        full=True,
        title="enqueue one by one, sync",
        measure=one_by_one_sync,
        peers=True,
        takes=lambda contender: contender.sync,
    ),
    Scenario(
        name="enqueue-batch",
        full=True,
        title="enqueue in batches of 1,000",
        measure=in_batches,
        targets=(Target(value="jobs_per_s", at_least=25_000),),
        peers=True,
        takes=_enqueues_as_asked,
    ),
    Scenario(
        name="enqueue-100k",
        title="enqueue 100,000 by one call",
        measure=in_one_call,
        targets=(
            Target(
                value="jobs_per_s",
                at_least=0.5,
                against=BARE_TABLE.name,
                must="bulk enqueue of 100,000 by one call, against COPY into the bare table",
            ),
        ),
        yardsticks=(BARE_TABLE,),
    ),
)
