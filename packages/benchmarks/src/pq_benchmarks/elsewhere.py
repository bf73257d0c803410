"""Where others win: every figure in which another queue was better than pq, found by the program that measured it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from pq_benchmarks.contender import PQ
from pq_benchmarks.figures import Spread
from pq_benchmarks.report import Report
from pq_benchmarks.scenarios import Scenario

CLEARLY = 1.02
"""How many times as good the other's median must be."""


@attrs.frozen
class Measure:
    """A figure by which queues are compared: how it is written, and whether more of it is better."""

    shown: str
    more: bool = False


MEASURES: Mapping[str, Measure] = {
    "jobs_per_s": Measure("{:,.0f} jobs/s", more=True),
    "kept": Measure("{:.2f} kept", more=True),
    "client_us": Measure("{:,.0f} µs of the client's CPU a job"),
    "worker_us": Measure("{:,.0f} µs of the worker's CPU a job"),
    "postgres_us": Measure("{:,.0f} µs of PostgreSQL's CPU a job"),
    "wal_bytes": Measure("{:,.0f} bytes of WAL a job"),
    "dead_rows": Measure("{:.2f} dead rows a job"),
    "p50_ms": Measure("p50 {:.2f} ms"),
    "p99_ms": Measure("p99 {:.2f} ms"),
    "rss_mb": Measure("{:.1f} MB"),
    "import_ms": Measure("{:.0f} ms"),
}


def elsewhere(report: Report) -> str:
    """Return a Markdown list: for each queue, where it was better than pq, by the medians of both."""
    lines: list[str] = []
    for name in report.contracts:
        found = [
            f"  - {scenario.title}: {', '.join(wins)}"
            for scenario in report.scenarios
            if name not in {PQ.name, *(yardstick.name for yardstick in scenario.yardsticks)}
            and (wins := list(_wins(report, scenario, name)))
        ]
        if found:
            lines += [f"- {name}", *found]
    return "\n".join(lines)


def _wins(report: Report, scenario: Scenario, peer: str) -> Iterator[str]:
    mine, theirs = report.spreads(scenario, PQ.name), report.spreads(scenario, peer)
    for name, measure in MEASURES.items():
        if name in mine and name in theirs and _is_better(theirs[name], mine[name], more=measure.more):
            figure, other = mine[name].median, theirs[name].median
            yield f"{measure.shown.format(other)} (pq {measure.shown.format(figure).split(' of ')[0]})"


def _is_better(one: Spread, other: Spread, *, more: bool) -> bool:
    better, worse = (one, other) if more else (other, one)
    return better.median > CLEARLY * worse.median
