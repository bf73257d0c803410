"""The report: what one run gave, to be written as JSON, read again, and shown in tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import attrs

from pq_benchmarks.contender import PQ
from pq_benchmarks.contracts import checked_contract
from pq_benchmarks.figures import Sample, Spread, find, ratios, spread, values
from pq_benchmarks.round_robin import Failure
from pq_benchmarks.scenarios import SCENARIOS, Scenario
from pq_benchmarks.tables import aligned, shown

HEADINGS = ("measured", "queue", "jobs/s", "client or worker µs/job", "PostgreSQL µs/job", "other", "pq is", "target")
_TIMES = ("p50_ms", "import_ms")
_SHOWN = {
    "p50_ms": "p50 {:.2f} ms",
    "p95_ms": "p95 {:.2f} ms",
    "p99_ms": "p99 {:.2f} ms",
    "wal_bytes": "{:,.0f} bytes of WAL",
    "dead_rows": "{:.2f} dead rows",
    "rss_mb": "{:.1f} MB",
    "idle_worker_percent": "worker {:.1f} % CPU",
    "kept": "{:.2f} kept",
    "cost": "{:.2f} times the CPU time",
    "speedup": "{:.2f} times one process",
    "kept_1": "{:.2f} kept at 1 ms",
    "kept_5": "{:.2f} kept at 5 ms",
    "kept_10": "{:.2f} kept at 10 ms",
    "fetch_growth": "at last a fetch takes {:.2f} times as long",
    "fed_per_s": "{:,.0f} fed/s",
    "passed_per_s": "{:,.0f} passed/s",
    "growth_mb": "{:+.1f} MB after the jobs",
    "queries_per_s": "{:.2f} queries/s of each",
    "fetches_per_job": "{:.1f} fetches a job",
    "marking_s": "marked in {:.1f} s",
    "marking_us": "{:.0f} µs of PostgreSQL each",
    "alone_per_s": "{:,.0f} jobs/s by pq's connector",
    "notifying_per_s": "{:,.0f} if each notifies",
    "of_silent": "{:.2f} of rows without a word",
    "import_ms": "{:.0f} ms",
    "import_cpu_ms": "{:.0f} ms of CPU",
    "imports_psycopg": "psycopg imported: {:.0f}",
}


@attrs.frozen(kw_only=True)
class Report:
    """All that one run gave.

    Attributes:
        surroundings: when, where and of which version, by heading.
        contracts: what each contender promises while it is measured, in words; pq first.
        scenarios: those that took place.
        samples: what was measured.
        failures: what could not be measured.
    """

    surroundings: Mapping[str, str]
    contracts: Mapping[str, str]
    scenarios: Sequence[Scenario]
    samples: Sequence[Sample]
    failures: Sequence[Failure] = ()

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the report that `json` wrote; its targets are those of today."""
        told = json.loads(text)
        samples = [Sample(**sample) for sample in told["samples"]]
        present = {sample.scenario for sample in samples}
        return cls(
            surroundings=told["surroundings"],
            contracts=told["contracts"],
            scenarios=[scenario for scenario in SCENARIOS if scenario.name in present],
            samples=samples,
            failures=[Failure(**failure) for failure in told["failures"]],
        )

    def plus(self, result: Sample | Failure) -> Self:
        """Return this report with one result more."""
        if isinstance(result, Failure):
            return attrs.evolve(self, failures=[*self.failures, result])
        return attrs.evolve(self, samples=[*self.samples, result])

    def json(self) -> str:
        """Return everything, the samples included."""
        rounded = [_rounded(sample) for sample in self.samples]
        summary = [
            entry for scenario in self.scenarios for entry in attrs.evolve(self, samples=rounded).summary(scenario)
        ]
        facts = {"surroundings": dict(self.surroundings), "contracts": dict(self.contracts)}
        lists: dict[str, list[Any]] = {
            "samples": [attrs.asdict(sample) for sample in rounded],
            "failures": [attrs.asdict(failure) for failure in self.failures],
            "summary": summary,
        }
        # A line for each entry, so that two runs can be compared.
        parts = [f'"{name}": {json.dumps(value, indent=1)}' for name, value in facts.items()]
        parts += [f'"{name}": [{_lines(entries)}]' for name, entries in lists.items()]
        return "{\n" + ",\n".join(parts) + "\n}"

    def facts(self) -> str:
        """Return the surroundings, the contracts and the failures, as a Markdown list."""
        facts = [f"- {name}: {value}" for name, value in self.surroundings.items()]
        minutes = sum(sample.took for sample in self.samples) / 60
        facts += [f"- measured in: {minutes:.0f} minutes"] if minutes else []
        present = {sample.contender for sample in self.samples}
        facts += [
            f"- {name}: {checked_contract(name, contract, self.samples)}"
            for name, contract in self.contracts.items()
            if name in present
        ]
        lost = dict.fromkeys((failure.contender, failure.scenario) for failure in self.failures)
        facts += [f"- {contender} failed in `{scenario}`" for contender, scenario in lost]
        return "\n".join(facts)

    def table(self) -> str:
        """Return all figures, as Markdown."""
        rows = [row for scenario in self.scenarios for row in self._rows(scenario)]
        return "\n".join(aligned([HEADINGS, *rows]))

    def _rows(self, scenario: Scenario) -> Iterable[tuple[str, ...]]:
        title = scenario.title
        for contender in self.contenders(scenario):
            spreads = self.spreads(scenario, contender)
            yield (
                title,
                contender,
                shown(spreads.get("jobs_per_s")),
                shown(spreads.get("worker_us") or spreads.get("client_us")),
                shown(spreads.get("postgres_us")),
                ", ".join(_SHOWN[name].format(one.median) for name, one in spreads.items() if name in _SHOWN),
                "" if contender == PQ.name else self._advantage(scenario, contender),
                "; ".join(self._verdicts(scenario)) if contender == PQ.name else "",
            )
            title = ""

    def summary(self, scenario: Scenario) -> Iterable[dict[str, Any]]:
        """Yield the median and range of each figure of each contender, as plain values."""
        for contender in self.contenders(scenario):
            spreads = self.spreads(scenario, contender)
            yield {
                "scenario": scenario.name,
                "contender": contender,
                "figures": {name: attrs.asdict(one) for name, one in spreads.items()},
                "targets": self._verdicts(scenario) if contender == PQ.name else [],
            }

    def contenders(self, scenario: Scenario) -> list[str]:
        """Return the names of those that have figures in `scenario`, pq first."""
        present = dict.fromkeys(sample.contender for sample in self.samples if sample.scenario == scenario.name)
        return sorted(present, key=[*self.contracts, *present].index)

    def spreads(self, scenario: Scenario, contender: str) -> dict[str, Spread]:
        """Return median and range of each of its figures, by name."""
        mine = [one for one in self.samples if one.scenario == scenario.name and one.contender == contender]
        names = list(dict.fromkeys(name for sample in mine for name in sample.values))
        return {name: spread([one.values[name] for one in mine if name in one.values]) for name in names}

    def _advantage(self, scenario: Scenario, peer: str) -> str:
        """Say how many times as fast pq is: the median over the rounds."""
        for name in ("jobs_per_s", *_TIMES):
            mine = values(self.samples, scenario.name, PQ.name, name)
            theirs = values(self.samples, scenario.name, peer, name)
            found = ratios(theirs, mine) if name in _TIMES else ratios(mine, theirs)
            if found:
                return f"{spread(found).median:.2f} times as fast"
        return ""

    def _verdicts(self, scenario: Scenario) -> list[str]:
        """Say what became of the targets that have no row of their own in the table of what must be reached."""
        verdicts: list[str] = []
        for target in (target for target in scenario.targets if not target.must):
            finding = find(self.samples, scenario.name, target)
            compared = " of ".join(filter(None, (target.against, target.of)))
            wanted = f"{target.value} {target.bound}" + (f" of {compared}" if compared else "")
            median = f"{spread(finding.figures).median:,.3g} " if finding.figures else ""
            verdicts.append(f"{wanted}: {median}{finding.verdict}")
        return verdicts


def merged(reports: Sequence[Report]) -> Report:
    """Return one report of several runs: each has rounds of its own, and a heading says what differed between them."""
    first, *others = reports
    headings = dict.fromkeys(name for report in reports for name in report.surroundings)
    said = {name: dict.fromkeys(report.surroundings.get(name, "") for report in reports) for name in headings}
    surroundings = {name: "; ".join(filter(None, texts)) for name, texts in said.items()}
    for other in others:
        rounds = max((sample.round for sample in first.samples), default=-1) + 1
        first = Report(
            surroundings=surroundings,
            contracts={**other.contracts, **first.contracts},
            scenarios=[each for each in SCENARIOS if each in first.scenarios or each in other.scenarios],
            samples=[*first.samples, *(attrs.evolve(one, round=one.round + rounds) for one in other.samples)],
            failures=[*first.failures, *(attrs.evolve(one, round=one.round + rounds) for one in other.failures)],
        )
    return first


def _rounded(sample: Sample) -> Sample:
    """Return a sample with as many digits as mean anything."""
    return attrs.evolve(sample, values={name: float(f"{one:.6g}") for name, one in sample.values.items()})


def _lines(entries: Sequence[Any]) -> str:
    return ",".join(f"\n {json.dumps(entry)}" for entry in entries) + ("\n" if entries else "")
