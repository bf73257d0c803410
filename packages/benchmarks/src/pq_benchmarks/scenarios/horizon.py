"""The pinned horizon: jobs pass through while a transaction stays open elsewhere, and nothing dead can be removed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial

import attrs
import psycopg

from pq_benchmarks.contender import PQ, Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.processes import WorkerProcess
from pq_benchmarks.scenarios.functions import calls_and_ms, count_functions
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import CONCURRENCY, Stage
from pq_benchmarks.tally import Tally

_BURSTS = 3
_DRAINS = 5
"""Drains in a burst: so many jobs that it takes seconds: what a worker does once in a second has its usual share."""
_SLICES = 20
_LONGEST_START = 60.0
_LONGEST_BURST = 30.0
_LONGEST_REST = 20.0
_GRACE = 60.0


@attrs.frozen(kw_only=True)
class Pinned:
    """One kind of jobs to pass through.

    Attributes:
        kind: as the contestants' command ``feed`` knows it: ``plain``, ``locks`` or ``schedules``.
        contenders: names of those whose jobs can be of that kind.
        share: of the jobs of the run: how many pass through.
    """

    kind: str
    contenders: frozenset[str]
    share: float = 1.0

    def measure(self, stage: Stage, contender: Contender) -> Mapping[str, float]:
        """Take the rate of bursts before, and after many jobs have passed through.

        What is kept is the ratio of these; or, if it is less, the share of the jobs fed that passed in the same time.
        """
        with stage.database(contender, "nothing", lambda _: None) as dsn:
            count_functions(dsn)
            _enqueue_and_analyze(stage, contender, dsn)
            worker, tally = stage.worker(contender, dsn, CONCURRENCY)
            with worker:
                _rest(worker, tally)
                burst = partial(_burst, stage, contender, dsn, worker, tally)
                free = [burst() for _ in range(_BURSTS)]
                with _transaction_held_open(dsn):
                    passed = self._pass_through(stage, contender, dsn, worker, tally)
                    held = [burst() for _ in range(_BURSTS)]
        rate = statistics.median(held)
        kept = min(rate / statistics.median(free), passed["passed_per_s"] / passed["fed_per_s"])
        return {"jobs_per_s": rate, "free_jobs_per_s": statistics.median(free), "kept": kept, **passed}

    def _pass_through(
        self, stage: Stage, contender: Contender, dsn: str, worker: WorkerProcess, tally: Tally
    ) -> Mapping[str, float]:
        rate, jobs = stage.sizes.horizon_rate, stage.sizes.horizon * self.share
        slices: list[_Slice] = []
        before = _Reading.take(stage, dsn, worker, tally)
        first = before
        with ThreadPoolExecutor(1) as feeders:
            feeding = feeders.submit(
                stage.client, contender, dsn, "feed", rate, jobs / rate, self.kind, seconds=3 * jobs / rate + _GRACE
            )
            while not feeding.done():
                wait([feeding], timeout=jobs / rate / _SLICES)
                now = _Reading.take(stage, dsn, worker, tally)
                if now.at - before.at > jobs / rate / _SLICES / 2:  # what is left after the last is no slice
                    slices.append(now.since(before))
                    before = now
        fed = feeding.result()["jobs"]
        behind = fed - (tally.read()[0] - first.started)
        _rest(worker, tally)
        return {
            "fed_per_s": fed / feeding.result()["seconds"],
            "passed_per_s": statistics.median(one.jobs_per_s for one in slices),
            "behind": float(behind),
            "worker_us": statistics.median(one.worker_us for one in slices),
            "postgres_us": statistics.median(one.postgres_us for one in slices),
            **_fetches(slices),
        }


@attrs.frozen(kw_only=True)
class _Slice:
    """What a part of the time gave."""

    jobs_per_s: float
    worker_us: float
    postgres_us: float
    fetch_ms: float | None


@attrs.frozen(kw_only=True)
class _Reading:
    at: float
    started: int
    worker_cpu: float
    postgres_cpu: float
    fetches: float
    fetch_ms: float

    @classmethod
    def take(cls, stage: Stage, dsn: str, worker: WorkerProcess, tally: Tally) -> _Reading:
        fetches, fetch_ms = calls_and_ms(dsn, "fetch")
        return cls(
            at=time.monotonic(),
            started=tally.read()[0],
            worker_cpu=worker.cpu_seconds(),
            postgres_cpu=stage.server.cpu_seconds(),
            fetches=fetches,
            fetch_ms=fetch_ms,
        )

    def since(self, then: _Reading) -> _Slice:
        jobs = max(self.started - then.started, 1)
        fetches = self.fetches - then.fetches
        return _Slice(
            jobs_per_s=(self.started - then.started) / (self.at - then.at),
            worker_us=(self.worker_cpu - then.worker_cpu) / jobs * 1e6,
            postgres_us=(self.postgres_cpu - then.postgres_cpu) / jobs * 1e6,
            fetch_ms=(self.fetch_ms - then.fetch_ms) / fetches if fetches else None,
        )


def _fetches(slices: Sequence[_Slice]) -> dict[str, float]:
    """Return the time of a fetch in each slice, and how much it grew over the last half: last quarter by the third."""
    times = [one.fetch_ms for one in slices if one.fetch_ms is not None]
    if len(times) < 4:
        return {}
    quarter = len(times) // 4
    third, last = times[-2 * quarter : -quarter], times[-quarter:]
    figures = {f"fetch_ms_{number}": time for number, time in enumerate(times, 1)}
    return {**figures, "fetch_growth": statistics.median(last) / statistics.median(third)}


def _burst(stage: Stage, contender: Contender, dsn: str, worker: WorkerProcess, tally: Tally) -> float:
    """Enqueue many jobs at once; return how many start in a second, from the first that is seen to the last."""
    jobs = _DRAINS * stage.sizes.share(contender)
    before = tally.read()[0]
    stage.client(contender, dsn, "bulk", jobs, jobs)
    worker.wait_until(lambda: tally.read()[0] > before, _LONGEST_START)
    count, _, first = tally.read()
    worker.wait_until(lambda: tally.read()[0] >= before + jobs, _LONGEST_BURST)
    _rest(worker, tally)
    end, _, last = tally.read()
    return (end - count) / (last - first) if last > first else 0.0


def _enqueue_and_analyze(stage: Stage, contender: Contender, dsn: str) -> None:
    """Let the planner know what a full table looks like, as it does anywhere but in a benchmark."""
    jobs = stage.sizes.share(contender)
    stage.client(contender, dsn, "bulk", jobs, jobs)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("vacuum analyze")


def _rest(worker: WorkerProcess, tally: Tally) -> None:
    """Wait until no more jobs start."""
    seen = 0

    def still() -> bool:
        nonlocal seen
        count, seen = seen, tally.read()[0]
        time.sleep(0.3)
        return 0 < count == seen

    worker.wait_until(still, _LONGEST_REST)


@contextmanager
def _transaction_held_open(dsn: str) -> Generator[None]:
    """Hold a snapshot and a transaction's number, as a report or a forgotten session does."""
    with psycopg.connect(dsn) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("select pg_current_xact_id()")
        yield


_BESIDE = frozenset({PQ.name, "graphile-worker", "pgqueuer", "procrastinate"})
_LOCKING = _BESIDE - {"pgqueuer"}
_KINDS: Mapping[str, Pinned] = {
    "horizon": Pinned(kind="plain", contenders=_BESIDE),
    "horizon-locks": Pinned(kind="locks", contenders=_LOCKING, share=1 / 3),
    "horizon-schedules": Pinned(kind="schedules", contenders=_LOCKING, share=1 / 3),
}
_TITLES = {
    "horizon": "bursts while a transaction elsewhere is open, after many jobs have passed through",
    "horizon-locks": "the same, the jobs that passed through had locks, 100 in all",
    "horizon-schedules": "the same, they were scheduled a second ahead",
}
_MUST = "horizon pinned: throughput kept, jobs without lock"


def _takes(pinned: Pinned) -> Callable[[Contender], bool]:
    return lambda contender: contender.name in pinned.contenders


HORIZONS = tuple(
    Scenario(
        name=name,
        title=_TITLES[name],
        measure=pinned.measure,
        targets=(
            Target(value="kept", at_least=0.9, must=_MUST),
            Target(
                value="fetch_growth",
                at_most=1.1,
                must="horizon pinned: time of a fetch, last quarter to the one before",
            ),
        )
        if name == "horizon"
        else tuple(
            Target(
                value="kept",
                at_least=1.0,
                against=peer,
                must=f"horizon pinned, with {pinned.kind}: kept, against {peer}",
            )
            for peer in sorted(pinned.contenders - {PQ.name})
        ),
        peers=True,
        once=True,
        quick_alone=True,
        full=name != "horizon",
        takes=_takes(pinned),
    )
    for name, pinned in _KINDS.items()
)
