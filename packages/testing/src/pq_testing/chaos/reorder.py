"""Another legal order: several workers at a time, and it is drawn which of them goes on."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from pq_core.log import call_text
from pq_testing.script import Cue, Point, Scene, Script

WORKERS = 4


class RandomOrder(Script):
    """Draws, between the calls of the store, which worker goes on. Jobs are whole: none is stopped inside.

    Args:
        seed: of what is drawn.

    Attributes:
        lines: the order of the jobs, in words.
    """

    inside_jobs = False

    def __init__(self, seed: int) -> None:
        self.lines: list[str] = []
        self._draw = Random(seed)

    def cue(self, points: Sequence[Point], scene: Scene) -> Cue:  # noqa: ARG002 - as every script
        """Return who goes on."""
        point = self._draw.choice(points)
        if point.place in _WORDS and point.job is not None:
            call = call_text(point.job, arguments=True)
            self.lines.append(f"worker {point.column + 1} {_WORDS[point.place]} {call}")
        return Cue(point)


_WORDS = {"after fetch": "runs", "before finish": "ends"}
