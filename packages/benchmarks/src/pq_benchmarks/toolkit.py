"""Measure the toolkit for tests, in a process of its own: ``python -m pq_benchmarks.toolkit``. Prints JSON."""

from __future__ import annotations

import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pq_core as pq
from pq_testing import using
from pq_testing.backends.discovery import Databases
from pq_testing.clock import Clock
from pq_testing.explore.exploration import Exploration
from pq_testing.explore.search import run_test

TESTS = 500
JOBS = 10_000
EXPLORED = 40
RESETS = 100
PAIRS = 9

app = pq.App(connector=pq.InMemoryConnector())


@app.task(name="nothing")
async def nothing() -> None:
    """Do nothing."""


def main() -> None:
    """Measure everything, and print it."""
    logging.disable(logging.CRITICAL)
    figures = {
        "test_ms": median_ms(TESTS, one_test),
        "jobs_per_s": JOBS / timed(drain),
        "schedules_per_s": schedules_per_s(crashes=0),
        "schedules_with_a_crash_per_s": schedules_per_s(crashes=1),
        **postgres(),
        **untouched(),
    }
    print(json.dumps(figures))


def one_test() -> None:
    """Do what the fixtures and a test of one job do."""
    with using(app) as run_jobs:
        nothing.defer()
        run_jobs()


def drain() -> None:
    """Run many jobs."""
    with using(app, max_runs=JOBS + 1) as run_jobs:
        nothing.batch_defer([{}] * JOBS)
        run_jobs()


def schedules_per_s(crashes: int) -> float:
    """Explore two jobs that do nothing, with two workers."""
    with using(app) as run_jobs:

        def test() -> None:
            nothing.batch_defer([{}, {}])
            run_jobs()

        began, schedules = time.perf_counter(), 0
        for _ in range(EXPLORED):
            schedules += run_test(test, run_jobs.harness, Exploration(workers=2, crashes=crashes)).schedules
        return schedules / (time.perf_counter() - began)


def postgres() -> dict[str, float]:
    """Start a throw-away server whose binaries and data directory are cached; empty its tables again and again."""
    began = time.perf_counter()
    databases = Databases()
    try:
        backend = databases.backend(databases.dsn())
        backend.reset()
        ready = time.perf_counter() - began
        clock = Clock()

        def one() -> None:
            backend.reset()
            connector = backend.connector(clock)
            with using(app, clock=clock, connector=connector) as run_jobs:
                nothing.defer()
                run_jobs()
            backend.close_test()

        one()
        figures = {"postgres_ready_ms": ready * 1e3, "postgres_test_ms": median_ms(RESETS, one)}
        return {**figures, "reset_ms": median_ms(RESETS, backend.reset)}
    finally:
        databases.close()


def untouched() -> dict[str, float]:
    """Return what the plugin adds to the CPU time of a suite that does not use it: medians of pairs.

    To its collection; and, with an app under test, to each of its tests, the import of pq left out.
    """
    with tempfile.TemporaryDirectory() as directory:
        for number in range(20):
            tests = "".join(f"def test_{name}(): pass\n" for name in range(20))
            Path(directory, f"test_{number}.py").write_text(tests)
        Path(directory, "shop.py").write_text(
            "import pq_core\napp = pq_core.App(connector=pq_core.InMemoryConnector())"
        )
        Path(directory, "conftest.py").write_text("import pq_testing.swap, shop")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        plugin = ["-p", "pq_testing.plugin"]
        collect = added(["--collect-only", "--noconftest"], plugin, command, directory)
        run = added([], [*plugin, "-o", "pq_app=shop:app", "-o", "pythonpath=."], command, directory)
        return {"collect_ms": collect * 1e3, "untouched_test_ms": run * 1e3 / 400}


def added(both: list[str], plugin: list[str], command: list[str], directory: str) -> float:
    """Return the median CPU seconds that a plugin's options add to a command."""
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": directory}
    differences: list[float] = []
    for _ in range(PAIRS):
        without = cpu_seconds([*command, *both], directory, environment)
        differences.append(cpu_seconds([*command, *both, *plugin], directory, environment) - without)
    return statistics.median(differences)


def cpu_seconds(command: list[str], directory: str, environment: dict[str, str]) -> float:
    """Return the CPU time that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=directory, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def median_ms(times: int, act: Callable[[], object]) -> float:
    """Return the median duration of an act."""
    return statistics.median(timed(act) for _ in range(times)) * 1e3


def timed(act: Callable[[], object]) -> float:
    """Return how many seconds an act takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
