"""One worker process against two: what another core is worth."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from pq_benchmarks.contender import Contender, python_contender
from pq_benchmarks.figures import Target
from pq_benchmarks.processes import ProcessFailed, WorkerProcess
from pq_benchmarks.scenarios import filling
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import CONCURRENCY, Stage
from pq_benchmarks.tally import Tally

_FLEET = python_contender("pq_fleet", name="pq", module="pq_core", contract="", ended=None)
_APP = "pq_benchmarks.contestants.pq_fleet:app"
_TASKS = "pq_benchmarks.contestants.pq_fleet."
_LONGEST_START = 60.0
_LONGEST_DRAIN = 300.0


@attrs.frozen(kw_only=True)
class Fleet:
    """Jobs of one kind.

    Attributes:
        task: their name in :mod:`pq_benchmarks.contestants.pq_fleet`.
        share: of the jobs of a drain: how many there are.
    """

    task: str
    share: float

    def measure(self, stage: Stage, contender: Contender) -> Mapping[str, float]:
        """Drain with one process, then with two."""
        jobs = round(stage.sizes.jobs * self.share)
        rates: list[float] = []
        for processes in (1, 2):
            with stage.database(
                contender,
                f"{jobs} {self.task}",
                lambda dsn: filling.insert(dsn, jobs, task=_TASKS + self.task),
            ) as dsn:
                rates.append(_drain(stage, dsn, jobs, processes))
        one, two = rates
        return {"jobs_per_s": two, "one_process_jobs_per_s": one, "speedup": two / one}


def _drain(stage: Stage, dsn: str, jobs: int, processes: int) -> float:
    """Return how many jobs start in a second, from the moment on in which all processes have begun."""
    with _start(stage, dsn, processes) as fleet:

        def all_begun() -> bool:
            return len(_read(stage)) == processes and all(count for count, _, _ in _read(stage))

        def done() -> bool:
            return sum(count for count, _, _ in _read(stage)) >= jobs

        if not fleet.wait_until(all_begun, _LONGEST_START):
            raise ProcessFailed(f"not all of {processes} processes started a job within {_LONGEST_START:.0f} s")
        before, began = sum(count for count, _, _ in _read(stage)), time.monotonic()
        fleet.wait_until(done, _LONGEST_DRAIN)
        tallies = _read(stage)
    for path in _tallies(stage):
        path.unlink()
    return (sum(count for count, _, _ in tallies) - before) / (max(last for _, _, last in tallies) - began)


def _start(stage: Stage, dsn: str, processes: int) -> WorkerProcess:
    """Start what a user starts, with one process too: what the parent takes is on both sides of the ratio."""
    environment = {**_FLEET.environment, "BENCH_DSN": dsn, "BENCH_FLEET": str(stage.directory / "fleet")}
    options = (f"--concurrency={CONCURRENCY}", f"--processes={processes}")
    command = (sys.executable, "-m", "pq_cli", "worker", "--app", _APP, *options)
    return WorkerProcess.start(command, environment, stage.directory / "fleet.log")


def _tallies(stage: Stage) -> Sequence[Path]:
    return list(stage.directory.glob("fleet.[0-9]*"))


def _read(stage: Stage) -> list[tuple[int, float, float]]:
    return [Tally(path).read() for path in _tallies(stage) if path.stat().st_size]


_KINDS = {
    "nothing": (Fleet(task="nothing", share=10.0), 1.3, "no-op jobs"),
    "waits": (Fleet(task="waits", share=3.0), 1.9, "jobs that wait 5 ms"),
    "computes": (Fleet(task="computes", share=0.1), 1.9, "jobs that compute for 5 ms"),
}

FLEETS = tuple(
    Scenario(
        name=f"processes-{name}",
        title=f"two worker processes on this machine: {what}",
        measure=fleet.measure,
        quick_rounds=1,
        targets=(Target(value="speedup", at_least=least, must=f"1 → 2 worker processes, {what}"),),
    )
    for name, (fleet, least, what) in _KINDS.items()
)
