"""The report: a table to read, and JSON to reckon with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from pq_benchmarks.contender import PQ, Contender
from pq_benchmarks.figures import Sample, Spread, Target, ratios, spread, values
from pq_benchmarks.scenarios import Scenario

HEADINGS = ("measured", "queue", "jobs/s", "client or worker µs/job", "PostgreSQL µs/job", "other", "pq is", "target")
_TIMES = ("p50_ms", "import_ms")
_SHOWN = {
    "p50_ms": "p50 {:.2f} ms",
    "p95_ms": "p95 {:.2f} ms",
    "p99_ms": "p99 {:.2f} ms",
    "rss_mb": "{:.1f} MB",
    "idle_worker_percent": "worker {:.1f} % CPU",
    "marking_s": "marked in {:.1f} s",
    "marking_us": "{:.0f} µs of PostgreSQL each",
    "import_ms": "{:.0f} ms",
    "import_cpu_ms": "{:.0f} ms of CPU",
    "imports_psycopg": "psycopg imported: {:.0f}",
}


@attrs.frozen(kw_only=True)
class Report:
    """All that one run gave."""

    surroundings: Mapping[str, str]
    scenarios: Sequence[Scenario]
    contenders: Sequence[Contender]
    samples: Sequence[Sample]

    def table(self) -> str:
        """Return the surroundings, the table and the contracts, as Markdown."""
        facts = [f"- {name}: {value}" for name, value in self.surroundings.items()]
        facts += [f"- {contender.name}: {contender.contract}" for contender in self.contenders]
        rows = [row for scenario in self.scenarios for row in self._rows(scenario)]
        return "\n".join([*facts, "", *_aligned([HEADINGS, *rows])])

    def json(self) -> str:
        """Return everything, the samples included."""
        return json.dumps(
            {
                "surroundings": dict(self.surroundings),
                "contracts": {contender.name: contender.contract for contender in self.contenders},
                "samples": [attrs.asdict(sample) for sample in self.samples],
                "summary": [entry for scenario in self.scenarios for entry in self._summary(scenario)],
            },
            indent=1,
        )

    def _rows(self, scenario: Scenario) -> Iterable[tuple[str, ...]]:
        title = scenario.title
        for contender in self._contenders(scenario):
            spreads = self._spreads(scenario, contender)
            yield (
                title,
                contender.name,
                _figure(spreads.get("jobs_per_s")),
                _figure(spreads.get("worker_us") or spreads.get("client_us")),
                _figure(spreads.get("postgres_us")),
                ", ".join(_SHOWN[name].format(one.median) for name, one in spreads.items() if name in _SHOWN),
                "" if contender.name == PQ.name else self._advantage(scenario, contender),
                "; ".join(self._verdicts(scenario)) if contender.name == PQ.name else "",
            )
            title = ""

    def _summary(self, scenario: Scenario) -> Iterable[dict[str, Any]]:
        for contender in self._contenders(scenario):
            spreads = self._spreads(scenario, contender)
            yield {
                "scenario": scenario.name,
                "contender": contender.name,
                "figures": {name: attrs.asdict(one) for name, one in spreads.items()},
                "targets": self._verdicts(scenario) if contender.name == PQ.name else [],
            }

    def _contenders(self, scenario: Scenario) -> list[Contender]:
        present = {sample.contender for sample in self.samples if sample.scenario == scenario.name}
        return [contender for contender in self.contenders if contender.name in present]

    def _spreads(self, scenario: Scenario, contender: Contender) -> dict[str, Spread]:
        mine = [one for one in self.samples if one.scenario == scenario.name and one.contender == contender.name]
        names = list(dict.fromkeys(name for sample in mine for name in sample.values))
        return {name: spread([one.values[name] for one in mine if name in one.values]) for name in names}

    def _advantage(self, scenario: Scenario, peer: Contender) -> str:
        """Say how many times as fast pq is: the median over the rounds."""
        for name in ("jobs_per_s", *_TIMES):
            mine = values(self.samples, scenario.name, PQ.name, name)
            theirs = values(self.samples, scenario.name, peer.name, name)
            found = ratios(theirs, mine) if name in _TIMES else ratios(mine, theirs)
            if found:
                return f"{spread(found).median:.2f} times as fast"
        return ""

    def _verdicts(self, scenario: Scenario) -> list[str]:
        return [self._verdict(scenario, target) for target in scenario.targets]

    def _verdict(self, scenario: Scenario, target: Target) -> str:
        mine = values(self.samples, scenario.name, PQ.name, target.value)
        bound = f"≥ {target.at_least:g}" if target.at_least is not None else f"≤ {target.at_most:g}"
        wanted = f"{target.value} {bound}" + (f" of {target.of}" if target.of else "")
        figures = list(mine.values())
        if target.of:
            figures = ratios(mine, values(self.samples, target.of, PQ.name, target.value))
        if not figures:
            return f"{wanted}: not measured"
        median = spread(figures).median
        return f"{wanted}: {median:.3g} {target.judge(median)}"


def _figure(one: Spread | None) -> str:
    if one is None:
        return ""
    if one.least == one.most:
        return f"{one.median:,.0f}"
    return f"{one.median:,.0f} ({one.least:,.0f} to {one.most:,.0f})"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]
