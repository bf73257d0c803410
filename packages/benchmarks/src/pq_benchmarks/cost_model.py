"""What pq costs at a rate of jobs, fitted to a run: ``python -m pq_benchmarks.cost_model RESULTS.json [PAGE]``.

The samples of scenario ``load`` are points of a line in three variables: CPU microseconds in a second are

    idle + per_job * jobs/s + per_call * (fetches/s + finishes/s)

since a fetch and a finish cost something whatever number of jobs they carry. All is by least squares, with no constant
below zero. Jobs that are enqueued one by one cost the server a transaction more each; as each of them also makes the
worker fetch, the cost of a call is then taken from the jobs enqueued by batches.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from pq_benchmarks.scenarios.distance import ROUND_TRIPS
from pq_benchmarks.scenarios.load import BATCHED, RATES
from pq_benchmarks.tables import aligned

FULL_BATCH = 500
"""Jobs of a fetch, and outcomes of a finish, when a worker has enough to do."""
ASKED = (1_000, 10_000, 100_000, 1_000_000)


@attrs.frozen(kw_only=True)
class Line:
    """A cost in a second: microseconds, or bytes.

    Attributes:
        idle: with nothing to do.
        per_job: of each job.
        per_call: of each fetch or finish.
    """

    idle: float
    per_job: float
    per_call: float

    def at(self, jobs: float, batch: float) -> float:
        """Return the cost of a rate, in batches of that many jobs."""
        return self.idle + jobs * (self.per_job + 2 * self.per_call / batch)


@attrs.frozen(kw_only=True)
class Model:
    """What one worker process, and the server behind it, take.

    Attributes:
        worker: CPU microseconds of the worker.
        singly: those of PostgreSQL, for jobs that were enqueued one by one.
        batched: those of PostgreSQL, for jobs that were enqueued by batches.
        wal_singly: bytes of WAL, for jobs that were enqueued one by one.
        wal_batched: bytes of WAL, for jobs that were enqueued by batches.
        client_singly: CPU microseconds of who enqueues, per job.
        client_batched: the same, by batches.
        connections: of one worker process.
    """

    worker: Line
    singly: Line
    batched: Line
    wal_singly: Line
    wal_batched: Line
    client_singly: float
    client_batched: float
    connections: float


def fit(samples: Iterable[Mapping[str, float]]) -> Model:
    """Fit the model to what scenario ``load`` gave, one mapping for each round.

    Raises:
        ValueError: there are no samples.
    """
    values = _medians(list(samples))
    batched = _line(values, "postgres_us_per_s", (0, *BATCHED))
    wal = _line(values, "wal_per_s", (0, *BATCHED))
    return Model(
        worker=_line(values, "worker_us_per_s", (0, *RATES, *BATCHED)),
        singly=_line(values, "postgres_us_per_s", (0, *RATES), per_call=batched.per_call),
        batched=batched,
        wal_singly=_line(values, "wal_per_s", (0, *RATES), per_call=wal.per_call),
        wal_batched=wal,
        client_singly=statistics.median(values[f"client_us_{rate}"] for rate in RATES),
        client_batched=statistics.median(values[f"client_us_{rate}"] for rate in BATCHED),
        connections=values["connections"],
    )


def least_squares(rows: Sequence[Sequence[float]], results: Sequence[float]) -> list[float]:
    """Return the coefficients, none below zero, whose errors relative to the results are least.

    A coefficient that would be negative is left out, the least first, and the others are fitted again.
    """
    columns = list(range(len(rows[0])))
    weights = [1.0 / max(abs(result), 1.0) for result in results]
    found: list[float] = []
    while columns:
        found = _solve(
            [[row[column] * weight for column in columns] for row, weight in zip(rows, weights, strict=True)],
            [result * weight for result, weight in zip(results, weights, strict=True)],
        )
        if min(found) >= 0:
            break
        columns.pop(found.index(min(found)))
    by_column = dict(zip(columns, found, strict=False))
    return [by_column.get(column, 0.0) for column in range(len(rows[0]))]


def _solve(rows: Sequence[Sequence[float]], results: Sequence[float]) -> list[float]:
    """Solve the normal equations by Gauss and Jordan."""
    size = len(rows[0])
    matrix = [
        [sum(row[i] * row[j] for row in rows) for j in range(size)]
        + [sum(row[i] * result for row, result in zip(rows, results, strict=True))]
        for i in range(size)
    ]
    for i in range(size):
        pivot = max(range(i, size), key=lambda k: abs(matrix[k][i]))
        matrix[i], matrix[pivot] = matrix[pivot], matrix[i]
        scale = matrix[i][i] or 1e-12
        matrix[i] = [entry / scale for entry in matrix[i]]
        for k in range(size):
            if k != i:
                matrix[k] = [entry - matrix[k][i] * own for entry, own in zip(matrix[k], matrix[i], strict=True)]
    return [row[-1] for row in matrix]


def _line(values: Mapping[str, float], name: str, rates: Sequence[int], *, per_call: float | None = None) -> Line:
    costs = [values[f"{name}_{rate}"] for rate in rates]
    calls = [_calls(values, rate) for rate in rates]
    rows = [[1.0, values[f"rate_{rate}"]] for rate in rates]
    if per_call is not None:
        rest = [cost - per_call * count for cost, count in zip(costs, calls, strict=True)]
        idle, per_job = least_squares(rows, rest)
        return Line(idle=idle, per_job=per_job, per_call=per_call)
    idle, per_job, per_call = least_squares([[*row, count] for row, count in zip(rows, calls, strict=True)], costs)
    return Line(idle=idle, per_job=per_job, per_call=per_call)


def _calls(values: Mapping[str, float], rate: int) -> float:
    return values[f"fetches_per_s_{rate}"] + values[f"finishes_per_s_{rate}"]


def _medians(samples: Sequence[Mapping[str, float]]) -> dict[str, float]:
    if not samples:
        raise ValueError("there are no samples of scenario load")
    return {name: statistics.median(sample[name] for sample in samples) for name in samples[0]}


def tables(model: Model) -> str:
    """Return the coefficients, and what they say of some rates, as Markdown."""
    lines = {
        "worker, CPU µs": model.worker,
        "PostgreSQL, CPU µs, jobs enqueued one by one": model.singly,
        "PostgreSQL, CPU µs, jobs enqueued by batches": model.batched,
        "WAL, bytes, jobs enqueued one by one": model.wal_singly,
        "WAL, bytes, jobs enqueued by batches": model.wal_batched,
    }
    coefficients = [("cost in a second", "idle", "each job", "each fetch or finish")]
    coefficients += [
        (name, f"{line.idle:,.0f}", f"{line.per_job:,.1f}", f"{line.per_call:,.0f}") for name, line in lines.items()
    ]
    asked: list[tuple[str, ...]] = [("jobs/s", "worker cores", "enqueuing cores", "PostgreSQL cores", "WAL, MB/s")]
    for rate in ASKED:
        cores = [model.worker.at(rate, FULL_BATCH), model.client_batched * rate, model.batched.at(rate, FULL_BATCH)]
        asked.append(
            (
                f"{rate:,}",
                *(f"{microseconds / 1e6:,.2f}" for microseconds in cores),
                f"{model.wal_batched.at(rate, FULL_BATCH) / 1e6:,.1f}",
            )
        )
    return "\n".join([*aligned(coefficients), "", *aligned(asked)])


def distances(samples: Sequence[Mapping[str, float]]) -> str:
    """Return what scenario ``distance`` gave, as Markdown."""
    values = _medians(samples)
    rows: list[tuple[str, ...]] = [
        ("round trip, ms", "jobs/s", "of those at no distance", "worker µs/job", "PostgreSQL µs/job")
    ]
    for milliseconds in ROUND_TRIPS:
        shown = (
            ("round_trip_ms", "{:.1f}"),
            ("jobs_per_s", "{:,.0f}"),
            ("kept", "{:.2f}"),
            ("worker_us", "{:.0f}"),
            ("postgres_us", "{:.0f}"),
        )
        rows.append(tuple(form.format(values[f"{name}_{milliseconds}"]) for name, form in shown))
    return "\n".join(aligned(rows))


def report(results: Mapping[str, Any]) -> str:
    """Return all that scaling.md includes, from the results of a run."""

    def samples(scenario: str) -> list[Mapping[str, float]]:
        found = [one for one in results["samples"] if one["scenario"] == scenario and one["contender"] == "pq"]
        return [one["values"] for one in found]

    model = fit(samples("load"))
    facts = results["surroundings"]
    enqueuing = (
        f"Enqueuing takes its process {model.client_singly:,.0f} µs of CPU for each job one by one, and"
        f" {model.client_batched:,.1f} µs by batches. A worker process at work has {model.connections:.0f} connections."
    )
    where = f"Measured at commit {facts['commit']} on {facts['machine']}; PostgreSQL {facts['PostgreSQL']}."
    parts = [where, tables(model), enqueuing]
    if far := samples("distance"):
        parts += ["The drain at a distance:", distances(far)]
    return "\n\n".join(parts) + "\n"


def main(path: str, target: str = "") -> None:
    """Print what a run says, or write it to a file."""
    text = report(json.loads(Path(path).read_text()))
    if target:
        Path(target).write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
