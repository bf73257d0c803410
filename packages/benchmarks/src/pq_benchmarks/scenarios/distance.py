"""A drain over a distance: milliseconds between worker and database, which batches must hide."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target, percentile
from pq_benchmarks.scenarios import filling
from pq_benchmarks.scenarios.draining import drain
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import Stage

ROUND_TRIPS = (0, 1, 5, 10)
"""Milliseconds. With none the proxy is there too, so that what it costs is on both sides of the ratio."""
_PINGS = 50


def measure(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Drain at each distance, one after the other."""
    figures: dict[str, float] = {}
    jobs = stage.sizes.jobs
    for milliseconds in ROUND_TRIPS:
        with (
            stage.database(contender, f"{jobs} jobs", lambda dsn: filling.insert(dsn, jobs)) as dsn,
            proxy(dsn, milliseconds) as far,
        ):
            figures[f"round_trip_ms_{milliseconds}"] = _round_trip(far)
            drained = drain(stage, contender, far, jobs)
        figures |= {f"{name}_{milliseconds}": drained[name] for name in ("jobs_per_s", "worker_us", "postgres_us")}
        figures[f"kept_{milliseconds}"] = drained["jobs_per_s"] / figures["jobs_per_s_0"]
    return figures


@contextmanager
def proxy(dsn: str, milliseconds: float) -> Generator[str]:
    """Put a distance of that round trip before a server; yield the DSN that leads over it."""
    parts = conninfo_to_dict(dsn)
    path = Path(str(parts["host"])) / f".s.PGSQL.{parts['port']}"
    command = (sys.executable, "-m", "pq_benchmarks.proxy", str(path), str(milliseconds))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            yield make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")
        finally:
            process.kill()


def _round_trip(dsn: str) -> float:
    """Return the median milliseconds of a statement that does nothing."""
    times: list[float] = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        for _ in range(_PINGS):
            began = time.perf_counter()
            connection.execute("")
            times.append((time.perf_counter() - began) * 1e3)
    return percentile(times, 0.5)


DISTANCE = Scenario(
    name="distance",
    title="the drain, 1, 5 and 10 ms away from the database",
    measure=measure,
    quick_rounds=1,
    targets=(Target(value="kept_5", at_least=0.6, must="database round trip of 5 ms: drain against 0 ms"),),
)
