"""Sleep sets: of two steps that do not touch the same, only one order needs to be played.

When a step A was explored at some moment, and then another one, B, that touches nothing of what A touches, A need not
be taken right after B: A, B and B, A come to the same, and A, B was explored. A *sleeps* until a step is taken that
touches what it touches. A schedule on which every worker that could go on sleeps is redundant. (P. Godefroid,
Partial-Order Methods for the Verification of Concurrent Systems, 1996.)

What a step touches: a call of the store touches the store, as do a crash and a lapse, which end in one. The code of a
job touches all variables of the program, so that two such steps are never swapped; it touches the store too if it used
it, or moved the clock. As soon as a job has started a task of its own, all steps touch everything.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from pq_testing.script import Action, Cue


@attrs.frozen
class Step:
    """A step of one worker; or the next fetch, of which it does not matter whose it is: its column is -1."""

    column: int
    action: Action


@attrs.frozen
class Touch:
    """What a step touches."""

    code: bool
    store: bool


Asleep = dict[Step, Touch]
EVERYTHING = Touch(code=True, store=True)
_STORE = Touch(code=False, store=True)
_ENDINGS = frozenset({"crash", "lapse"})


class Sleep:
    """The steps that need not be taken now.

    Args:
        mark: returns something else after the store was used, or the clock moved; None: all steps touch everything.

    Attributes:
        asleep: with what each of them touches.
    """

    def __init__(self, mark: Callable[[], object] | None) -> None:
        self.asleep: Asleep = {}
        self._mark = mark
        self._open: tuple[Cue, object] | None = None

    def holds(self, cue: Cue) -> bool:
        """Return whether a step need not be taken."""
        return bool(self.asleep) and step_of(cue) in self.asleep

    def begin(self, cue: Cue) -> None:
        """Take note that a step is taken."""
        self._open = None if self._mark is None else (cue, self._mark())

    def end(self, *, mixed: bool) -> Touch | None:
        """Wake who touches what the step has touched that was begun; return what that is, if one was.

        Args:
            mixed: whether tasks that jobs have started may have gone on meanwhile.
        """
        if self._open is None or self._mark is None:
            self.asleep = {}
            return None
        (cue, before), self._open = self._open, None
        touch = touch_of(cue) or Touch(code=True, store=self._mark() != before)
        if mixed:
            touch = EVERYTHING
        taken = step_of(cue)
        self.asleep = {step: other for step, other in self.asleep.items() if _swap(step, other, taken, touch)}
        return touch


def step_of(cue: Cue) -> Step:
    """Return what is taken for the same step."""
    return Step(-1 if cue.point.place == "before fetch" else cue.point.column, cue.action)


def touch_of(cue: Cue) -> Touch | None:
    """Return what a step touches; None if it runs code, so that it must be seen."""
    return _STORE if cue.action != "go on" or cue.point.place.startswith("before") else None


def _swap(one: Step, its: Touch, other: Step, others: Touch) -> bool:
    """Return whether two steps come to the same in either order."""
    if one.column == other.column or (one.action in _ENDINGS and other.action in _ENDINGS):
        return False
    return not (its.code and others.code) and not (its.store and others.store)
