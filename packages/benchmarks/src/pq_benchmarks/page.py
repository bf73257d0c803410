"""The documentation's page of figures: made from what was measured, so that nobody types a figure."""

from __future__ import annotations

import json
from pathlib import Path

from pq_benchmarks import cost_model
from pq_benchmarks.elsewhere import elsewhere
from pq_benchmarks.plot import plot
from pq_benchmarks.report import Report
from pq_benchmarks.required import FOOTNOTE, required_table
from pq_benchmarks.scenarios import SCENARIOS
from pq_benchmarks.scenarios.load import LOAD

REFERENCE = Path(__file__).resolve().parents[4] / "docs" / "reference"
FIGURES, PLOT, RESULTS = "benchmarks.inc", "benchmarks.svg", "benchmarks.json"
COST_MODEL = "../explanation/cost-model.inc"


def publish(report: Report, directory: Path = REFERENCE) -> list[Path]:
    """Write figures, plot and samples beside the page, and the cost model if it was measured; return their paths."""
    report = Report.read(report.json())  # With as many digits as are written, so that it gives the same again.
    results = report.json() + "\n"
    contents = {FIGURES: figures(report), PLOT: plot(report), RESULTS: results}
    if any(scenario.name == LOAD.name for scenario in report.scenarios):
        contents[COST_MODEL] = cost_model.report(json.loads(results))
    for name, content in contents.items():
        (directory / name).write_text(content, encoding="utf-8")
    return [directory / name for name in contents]


def figures(report: Report) -> str:
    """Return what stands on the page below its prose."""
    missing = ", ".join(f"`{name}`" for name in _unmeasured(report))
    parts = [
        report.facts(),
        "### What pq must reach",
        required_table(report),
        FOOTNOTE + (f" Not measured in this run: {missing}." if missing else ""),
        "### Beside other queues",
        f"![jobs per second, and latency, of pq and other queues]({PLOT})",
        report.table(),
        "### Where others win",
        elsewhere(report) or "Nowhere in this run.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _unmeasured(report: Report) -> list[str]:
    """Return the names of scenarios that have something to reach, and are not in the report."""
    present = {scenario.name for scenario in report.scenarios}
    return [
        scenario.name
        for scenario in SCENARIOS
        if scenario.name not in present and any(target.must for target in scenario.targets)
    ]
