"""Many idle workers, connected and listening: beside the one that is measured, or measured themselves."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import psycopg

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target, percentile
from pq_benchmarks.processes import ProcessFailed, WorkerProcess
from pq_benchmarks.scenarios import filling
from pq_benchmarks.scenarios.functions import calls, count_functions
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import Stage
from pq_benchmarks.tally import Tally

ELSEWHERE = "elsewhere"
"""A queue in which nothing is: in the one that is measured they would take part in the work."""
_LONGEST_START = 180.0
_KNOWN = "select count(*) from pq.workers"
_QUERIES = "select xact_commit from pg_stat_database where datname = current_database()"
_CALM = 0.1
"""CPU seconds of the server in a second, below which all are taken to have started: on each connection, the first call
of a function costs as much as many later ones."""
_LONGEST_UNREST = 30.0
_WATCHED = 20.0
_FIRST = 5
_LONGEST_PICK_UP = 30.0


@contextmanager
def crowd(stage: Stage, dsn: str, count: int, queue: str = ELSEWHERE) -> Generator[tuple[WorkerProcess, Tally]]:
    """Keep so many workers idle.

    Raises:
        ProcessFailed: they do not all start.
    """
    path = stage.directory / "crowd tally"
    tally = Tally.create(path)
    command = (sys.executable, "-m", "pq_benchmarks.contestants.pq_crowd", str(count), queue)
    environment = {"BENCH_DSN": dsn, "BENCH_TALLY": str(path)}
    workers = WorkerProcess.start(command, environment, stage.directory / "crowd.log")
    with workers, psycopg.connect(dsn, autocommit=True) as connection:

        def all_known() -> bool:
            time.sleep(0.2)
            row = connection.execute(_KNOWN).fetchone()
            return row is not None and int(row[0]) >= count

        def calm() -> bool:
            before = stage.server.cpu_seconds()
            time.sleep(1.0)
            return stage.server.cpu_seconds() - before < _CALM

        if not workers.wait_until(all_known, _LONGEST_START):
            raise ProcessFailed(f"not all of {count} idle workers were known within {_LONGEST_START:.0f} s")
        workers.wait_until(calm, _LONGEST_UNREST)
        yield workers, tally


def measure(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Watch what many idle workers of one queue ask of the server; then enqueue single jobs, each for one of them."""
    probes, count = stage.sizes.probes // 4, stage.sizes.workers
    with stage.database(contender, "nothing", lambda _: None) as dsn:
        count_functions(dsn)
        with crowd(stage, dsn, count, filling.QUEUE) as (workers, tally):
            queries, cpu, fetches = _queries(dsn), stage.server.cpu_seconds(), calls(dsn, "fetch")
            time.sleep(_WATCHED)
            idle_fetches = (calls(dsn, "fetch") - fetches) / _WATCHED
            queries, cpu = _queries(dsn) - queries, stage.server.cpu_seconds() - cpu
            fetches, cpu_then, began = calls(dsn, "fetch"), stage.server.cpu_seconds(), time.monotonic()
            told = stage.client(contender, dsn, "probe", probes)
            workers.wait_until(lambda: tally.read()[0] >= probes, _LONGEST_PICK_UP)
            time.sleep(1.0)
            took = time.monotonic() - began
            fetches = calls(dsn, "fetch") - fetches - idle_fetches * took
            busy_cpu = stage.server.cpu_seconds() - cpu_then - cpu / _WATCHED * took
            starts = tally.probes(probes)
    late = [(start - returned) * 1e3 for start, (_, returned) in zip(starts, told["calls"], strict=True) if start][
        _FIRST:
    ]
    return {
        "queries_per_s": queries / _WATCHED / count,
        "idle_postgres_percent": cpu / _WATCHED * 100,
        "fetches_per_job": fetches / probes,
        "postgres_us": busy_cpu / probes * 1e6,
        "p50_ms": percentile(late, 0.5),
        "p99_ms": percentile(late, 0.99),
        "unstarted": float(sum(not start for start in starts)),
    }


def _queries(dsn: str) -> float:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(_QUERIES).fetchone()
    return float(row[0]) if row else 0.0


CROWD = Scenario(
    name="crowd",
    title="200 idle workers of one queue, and single jobs",
    measure=measure,
    targets=(Target(value="queries_per_s", at_most=0.2), Target(value="unstarted", at_most=0.0)),
    once=True,
    full=True,
)
