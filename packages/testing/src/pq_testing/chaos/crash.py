"""Workers that die: at one numbered point of a test, or at points drawn at random."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from pq_core.log import call_text
from pq_testing.chaos.losses import would_end
from pq_testing.script import Cue, Point, Scene, Script, UsualOrder

CHANCE = 1 / 8
"""That a worker dies at a point: a test of one job, which has about twelve, is disturbed four times out of five."""
MOST = 2
"""Crashes of one job: a third would end it for good, as max_losses is 3 unless it says otherwise."""


class CrashAt(Script):
    """Kills a worker at one point of a test, and counts the points up to there.

    A job that one loss ends for good (``max_losses=1``, ``delivery="at_most_once"``) has no points: the test would be
    of something else.

    Args:
        number: of the point, from 1, over all drains of the test; 0: only count.
        order: says which hand goes on.

    Attributes:
        points: how many there were; none is counted after a crash, since what follows is of another course.
        lines: what was done, in words.
    """

    def __init__(self, number: int, order: Script | None = None) -> None:
        self.points = 0
        self.lines: list[str] = []
        self._number = number
        self._order: Script = UsualOrder() if order is None else order

    def cue(self, points: Sequence[Point], scene: Scene) -> Cue:
        """Return that the hand goes on, or, at that one point, dies."""
        cue = self._order.cue(points, scene)
        if self.lines or spared(cue.point):
            return cue
        self.points += 1
        if self.points != self._number:
            return cue
        self.lines.append(f"a worker died at point {self._number}: {describe(cue.point)}")
        return Cue(cue.point, "crash")


class RandomCrashes(Script):
    """Kills workers at random.

    A job is hit twice at most, and the second time only after it has come farther than the first time; workers without
    a job are hit once until one has ended a job. So every test comes to its end.

    Args:
        seed: of what is drawn.
        order: says which hand goes on.

    Attributes:
        points: how many there were.
        lines: what was done, in words.
    """

    def __init__(self, seed: int, order: Script | None = None) -> None:
        self.points = 0
        self.lines: list[str] = []
        self._draw = Random(seed)
        self._order: Script = UsualOrder() if order is None else order
        self._hits: Counter[int] = Counter()
        self._farthest: dict[int, int] = {}
        self._passed: Counter[tuple[int, int]] = Counter()
        self._idle_hit = False

    def cue(self, points: Sequence[Point], scene: Scene) -> Cue:
        """Return that the hand goes on, or dies."""
        cue = self._order.cue(points, scene)
        point = cue.point
        self.points += 1
        if point.job is not None:
            self._passed[point.job.id, point.job.claim] += 1
        elif point.place == "after finish":
            self._idle_hit = False
        drawn = self._draw.random() < CHANCE  # each time, so that what is allowed does not shift what is drawn later
        if not drawn or not self._may_hit(point):
            return cue
        self._note(point)
        return Cue(point, "crash")

    def _may_hit(self, point: Point) -> bool:
        job = point.job
        if job is None:
            return not self._idle_hit
        farther = self._passed[job.id, job.claim] > self._farthest.get(job.id, 0)
        return farther and self._hits[job.id] < MOST and not spared(point)

    def _note(self, point: Point) -> None:
        self.lines.append(f"a worker died at point {self.points}: {describe(point)}")
        if (job := point.job) is None:
            self._idle_hit = True
        else:
            self._hits[job.id] += 1
            self._farthest[job.id] = self._passed[job.id, job.claim]


def spared(point: Point) -> bool:
    """Return whether a crash here would end the job for good."""
    return point.job is not None and would_end(point.job)


def describe(point: Point) -> str:
    """Return a point in words, such as ``await 2 of charge[1](order=7)``."""
    held = point.hand.job
    if held is None:
        return point.place
    return f"{point.place.partition(' of ')[0]} of {call_text(held, arguments=True)}"
