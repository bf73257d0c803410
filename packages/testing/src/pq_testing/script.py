"""What happens next on a stage, decided by a script: which hand goes on, or dies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

import attrs

from pq_core.job import Job
from pq_testing.hand import Hand

Action = Literal["go on", "crash", "lapse"]
"""Go on to the next point; die; or lose the lease, as a worker does that stands still for too long, and go on later."""


@attrs.frozen
class Point:
    """Where one hand is stopped.

    Attributes:
        column: the worker's, from 0. A fresh hand has the column of the dead one.
        hand: who is stopped.
        place: such as ``before fetch``, ``after finish`` or ``await 2 of charge``.
    """

    column: int
    hand: Hand
    place: str

    @property
    def job(self) -> Job | None:
        """The job that would be lost if the worker died here."""
        return None if self.place == "after finish" else self.hand.job


@attrs.frozen
class Cue:
    """What happens next, at a point."""

    point: Point
    action: Action = "go on"


@attrs.frozen
class Step:
    """What has happened: a hand went on from a place, or ended there.

    Attributes:
        at: by the test's clock.
        job: which it then held.
    """

    column: int
    hand: int
    place: str
    action: Action
    at: datetime
    job: Job | None


class Scene(Protocol):
    """What a script may look at."""

    @property
    def steps(self) -> Sequence[Step]:
        """What has happened in this drain, in order."""
        ...

    @property
    def mixed(self) -> bool:
        """Whether jobs have started tasks of their own, which go on as they like."""
        ...

    @property
    def may_have_work(self) -> bool:
        """Whether a fetch may give a job now. In memory, it gives none unless a job is ready or due."""
        ...


class Script:
    """Decides what happens next.

    Attributes:
        inside_jobs: whether hands are stopped inside of async jobs, too.
    """

    inside_jobs = True

    def stops(self, hand: Hand, place: str) -> bool:  # noqa: ARG002 - for scripts that pass over some points
        """Return whether a hand is stopped at a point; if not, it goes on at once."""
        return True

    def cue(self, points: Sequence[Point], scene: Scene) -> Cue:
        """Return what happens next, to one of the hands that are stopped; they are sorted by column."""
        raise NotImplementedError


class UsualOrder(Script):
    """The hand that went on last goes on as long as it can; then the one of the lowest column."""

    def cue(self, points: Sequence[Point], scene: Scene) -> Cue:
        """Return that the hand goes on."""
        return Cue(usual(points, scene))


def usual(points: Sequence[Point], scene: Scene) -> Point:
    """Return the point at which the hand is stopped that went on last, or else the first one."""
    last = scene.steps[-1].hand if scene.steps else 0
    return next((point for point in points if point.hand.number == last), points[0])
