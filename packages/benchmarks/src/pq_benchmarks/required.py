"""What pq must reach: one row for each ratio or bound, with what came of it."""

from __future__ import annotations

from pq_benchmarks.figures import DISTURBED, find, spread
from pq_benchmarks.report import Report
from pq_benchmarks.tables import aligned, shown

HEADINGS = ("what", "must be", "measured", "rounds", "")


def required_table(report: Report) -> str:
    """Return the table, as Markdown: medians over the rounds, with the range; ratios are taken within each round."""
    rows: list[tuple[str, ...]] = []
    for scenario in report.scenarios:
        for target in (target for target in scenario.targets if target.must):
            finding = find(report.samples, scenario.name, target)
            digits = 2 if max(finding.figures, default=0.0) < 100.0 else 0
            rounds = str(len(finding.figures)) + (f", {finding.disturbed} disturbed" if finding.disturbed else "")
            rows.append(
                (
                    target.must,
                    target.bound,
                    shown(spread(finding.figures), digits) if finding.figures else "",
                    rounds,
                    finding.verdict,
                )
            )
    return "\n".join(aligned([HEADINGS, *rows])) if rows else ""


FOOTNOTE = (
    f"A round is disturbed when other programs, or other guests of the host, took more than {DISTURBED:.0%} of the"
    " machine's CPU time in it. Such rounds count like the others."
)
