"""What a steady load costs: CPU time, WAL and calls of each job, at several rates. The cost model is fitted to it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import psycopg

from pq_benchmarks.contender import Contender
from pq_benchmarks.processes import ProcessFailed
from pq_benchmarks.scenarios.footprint import Footprint
from pq_benchmarks.scenarios.functions import calls, count_functions
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import CONCURRENCY, Stage

RATES = (50, 200, 800)
"""Jobs enqueued in a second, one by one, each in a transaction of its own."""
BATCHED = (1_000, 4_000, 10_000)
"""The same by batches, ten in a second."""
_SECONDS = 6.0
_REST = 1.0
_LONGEST_START = 60.0
_CONNECTIONS = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


def measure(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Let one worker run what comes, at each rate, and count."""
    figures: dict[str, float] = {}
    with stage.database(contender, "1 job", lambda dsn: stage.client(contender, dsn, "bulk", 1)) as dsn:
        count_functions(dsn)
        worker, tally = stage.worker(contender, dsn, CONCURRENCY)
        with worker, Footprint(contender, dsn) as footprint, ThreadPoolExecutor(1) as feeders:
            if not worker.wait_until(lambda: tally.read()[0] > 0, _LONGEST_START):
                raise ProcessFailed(f"{contender.name} started no job within {_LONGEST_START:.0f} s")

            def read() -> tuple[float, ...]:
                time.sleep(_REST)
                return (
                    tally.read()[0],
                    worker.cpu_seconds() * 1e6,
                    stage.server.cpu_seconds() * 1e6,
                    footprint.wal_bytes(),
                    calls(dsn, "fetch"),
                    calls(dsn, "finish"),
                )

            for rate, kind in ((0, ""), *((rate, "singles") for rate in RATES), *((rate, "plain") for rate in BATCHED)):
                before, began = read(), time.monotonic()
                client_us = 0.0
                if rate:
                    told = feeders.submit(stage.client, contender, dsn, "feed", rate, _SECONDS, kind).result()
                    client_us = told["cpu"] / max(told["jobs"], 1) * 1e6
                else:
                    time.sleep(_SECONDS)
                took = time.monotonic() - began
                jobs, worker_us, postgres_us, wal, fetches, finishes = (
                    (after - then) / took for after, then in zip(read(), before, strict=True)
                )
                figures |= {
                    f"rate_{rate}": jobs,
                    f"worker_us_per_s_{rate}": worker_us,
                    f"postgres_us_per_s_{rate}": postgres_us,
                    f"wal_per_s_{rate}": wal,
                    f"fetches_per_s_{rate}": fetches,
                    f"finishes_per_s_{rate}": finishes,
                    f"client_us_{rate}": client_us,
                }
            figures["connections"] = _connections(dsn) - 1  # The footprint has one.
    return figures


def _connections(dsn: str) -> float:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(_CONNECTIONS).fetchone()
    return float(row[0]) if row else 0.0


LOAD = Scenario(
    name="load", title="a steady load at several rates: what the cost model is fitted to", measure=measure, full=True
)
