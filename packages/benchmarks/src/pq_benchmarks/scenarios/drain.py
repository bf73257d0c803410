"""The plain drain: how fast one worker empties a queue of jobs that do nothing."""

from __future__ import annotations

from collections.abc import Mapping

from pq_benchmarks.contender import PQ, Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.scenarios.draining import drain
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import Stage
from pq_benchmarks.yardsticks import BARE_LOOP

_AHEAD_OF = {"graphile-worker": 1.2, "pgqueuer": 2.5, "oban-py": 8.0, "procrastinate": 35.0}
_TITLE = "drain of no-op async jobs, one worker process, concurrency 50"


def measure(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Drain a queue that holds nothing else."""
    jobs = stage.sizes.share(contender)
    with stage.database(contender, f"{jobs} jobs", lambda dsn: stage.client(contender, dsn, "bulk", jobs)) as dsn:
        return drain(stage, contender, dsn, jobs)


def measure_deleting(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Drain it with a worker that keeps only what has failed; who deletes anyway does as always."""
    return measure(stage, contender.told(BENCH_KEEP="failed") if contender == PQ else contender)


def measure_sync(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Drain jobs that run in threads."""
    return measure(stage, contender.told(BENCH_SYNC="1"))


DRAINS = (
    Scenario(
        name="drain",
        title=_TITLE,
        measure=measure,
        targets=(
            *(
                Target(
                    value="jobs_per_s",
                    at_least=least,
                    against=peer,
                    must=f"{_TITLE}, full history kept, against {peer}",
                )
                for peer, least in _AHEAD_OF.items()
            ),
            Target(
                value="jobs_per_s",
                at_least=0.7,
                against=BARE_LOOP.name,
                must="the same, against a bare loop over the same SQL functions",
            ),
        ),
        peers=True,
        yardsticks=(BARE_LOOP,),
        takes=lambda contender: contender.async_jobs,
    ),
    Scenario(
        name="drain-deleting",
        title='the same with `keep="failed"`: succeeded jobs are deleted',
        measure=measure_deleting,
        targets=(
            Target(
                value="jobs_per_s",
                at_least=1.5,
                against="graphile-worker",
                must='the same with `keep="failed"`, against graphile-worker',
            ),
        ),
        peers=True,
        takes=lambda contender: contender.name in (PQ.name, "graphile-worker"),
    ),
    Scenario(
        name="drain-sync",
        title="drain of no-op sync jobs, concurrency 50",
        measure=measure_sync,
        targets=tuple(
            Target(value="jobs_per_s", at_least=3.0, against=peer, must=f"sync no-op jobs, against {name}")
            for peer, name in (("pgqueuer", "pgqueuer (`to_thread`)"), ("dramatiq on Redis", "dramatiq on Redis"))
        ),
        peers=True,
        takes=lambda contender: contender.sync_jobs,
    ),
)
