"""The plot: bars in panels, drawn as SVG by hand, since a library for it would be larger than what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

import attrs

from pq_benchmarks.contender import PQ
from pq_benchmarks.report import Report

WIDTH = 760
LABELS = 170
VALUES = 150
BAR = 16
ROW = 24
HEAD = 44
_FONT = 'font-family="system-ui, sans-serif" font-size="13"'
OWN, OTHER, YARDSTICK = "#2f6f4f", "#8a97a6", "#c9a34e"


@attrs.frozen(kw_only=True)
class Bar:
    """One contender's median, with its range."""

    label: str
    median: float
    least: float
    most: float
    colour: str = OTHER


@attrs.frozen(kw_only=True)
class Panel:
    """Bars that share a scale, which begins at 0; `digits` of each figure stand behind the point."""

    title: str
    bars: Sequence[Bar]
    digits: int = 0

    @property
    def height(self) -> int:
        """Return its height."""
        return HEAD + ROW * len(self.bars)


_PANELS = {
    "drain": ("jobs_per_s", "jobs/s", 0),
    "drain-deleting": ("jobs_per_s", "jobs/s", 0),
    "drain-sync": ("jobs_per_s", "jobs/s", 0),
    "enqueue": ("jobs_per_s", "jobs/s", 0),
    "enqueue-batch": ("jobs_per_s", "jobs/s", 0),
    "horizon": ("kept", "share of the throughput that is kept", 2),
    "idle": ("p50_ms", "p50, ms: less is better", 2),
}


def plot(report: Report) -> str:
    """Return an SVG with a panel for each scenario in which other queues take part."""
    return draw([panel for panel in _panels(report) if panel.bars])


def _panels(report: Report) -> list[Panel]:
    panels: list[Panel] = []
    for scenario in (scenario for scenario in report.scenarios if scenario.name in _PANELS):
        value, unit, digits = _PANELS[scenario.name]
        yardsticks = {yardstick.name for yardstick in scenario.yardsticks}
        bars: list[Bar] = []
        for name in report.contenders(scenario):
            one = report.spreads(scenario, name).get(value)
            if one is not None:
                colour = OWN if name == PQ.name else YARDSTICK if name in yardsticks else OTHER
                bars.append(Bar(label=name, median=one.median, least=one.least, most=one.most, colour=colour))
        panels.append(Panel(title=f"{scenario.title.replace('`', '')} ({unit})", bars=bars, digits=digits))
    return panels


def draw(panels: Sequence[Panel]) -> str:
    """Return the panels below each other, as SVG."""
    height = sum(panel.height for panel in panels) + 12
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {_FONT}>',
        f'<rect width="{WIDTH}" height="{height}" rx="6" fill="#ffffff"/>',
    ]
    top = 0
    for panel in panels:
        lines += _panel(panel, top)
        top += panel.height
    return "\n".join([*lines, "</svg>", ""])


def _panel(panel: Panel, top: int) -> list[str]:
    lines = [f'<text x="12" y="{top + 30}" font-weight="600" fill="#1d242c">{escape(panel.title)}</text>']
    scale = (WIDTH - LABELS - VALUES) / (max(bar.most for bar in panel.bars) or 1.0)
    for number, bar in enumerate(panel.bars):
        y = top + HEAD + number * ROW
        middle = y + BAR / 2
        least, end, most = (LABELS + figure * scale for figure in (bar.least, bar.median, bar.most))
        lines += [
            f'<text x="{LABELS - 8}" y="{y + 13}" text-anchor="end" fill="#1d242c">{escape(bar.label)}</text>',
            f'<rect x="{LABELS}" y="{y}" width="{max(end - LABELS, 1):.1f}" height="{BAR}" fill="{bar.colour}"/>',
            f'<path d="M{least:.1f} {middle} H{most:.1f}" stroke="#1d242c"/>',
            f'<text x="{most + 8:.1f}" y="{y + 13}" fill="#1d242c">{bar.median:,.{panel.digits}f}</text>',
        ]
    return lines
