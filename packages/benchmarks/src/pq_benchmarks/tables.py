"""Tables in Markdown, and figures as they stand in them."""

from __future__ import annotations

from collections.abc import Sequence

from pq_benchmarks.figures import Spread


def shown(one: Spread | None, digits: int = 0) -> str:
    """Return a median with its range; nothing if there is none."""
    if one is None:
        return ""
    least, median, most = (f"{figure:,.{digits}f}" for figure in (one.least, one.median, one.most))
    return median if least == most else f"{median} ({least} to {most})"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table whose first row is its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]
