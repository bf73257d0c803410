"""The script of one schedule: choices that are given, then the usual ones; and what else could have been chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from pq_testing.chaos.crash import spared
from pq_testing.errors import DrainError
from pq_testing.explore.exploration import Exploration
from pq_testing.explore.sleep import Asleep, Sleep, Step, Touch, touch_of
from pq_testing.hand import Hand
from pq_testing.script import Action, Cue, Point, Scene, Script, usual

SPIN = 200
"""Awaits in a row of one job after which the others come first: it waits, in a loop, for something of theirs."""
MOST = 100_000
"""Decisions after which a schedule counts as endless."""
_LETTERS: dict[Action, str] = {"go on": "", "crash": "x", "lapse": "l"}
_PRIVATE = frozenset(
    {"before heartbeat", "after heartbeat", "after fetch", "after finish", "before leave", "after leave"}
)


@attrs.frozen
class Choice:
    """What can happen next, to the worker of one column."""

    column: int
    action: Action
    place: str = attrs.field(eq=False)

    def __str__(self) -> str:
        return f"{self.column + 1}{_LETTERS[self.action]}"


@attrs.frozen
class Decision:
    """A moment at which more than one thing could happen: the first option is the usual one.

    Attributes:
        awake: numbers of the options that lead to something new, the one taken first.
        asleep: steps that need not be taken here, with what they touch.
        touched: what the options touch, by number, as far as it is known.
    """

    options: tuple[Choice, ...]
    taken: int
    awake: tuple[int, ...] = ()
    asleep: Asleep = attrs.field(factory=dict[Step, Touch])
    touched: dict[int, Touch] = attrs.field(factory=dict[int, Touch])


class NotDeterministic(DrainError):
    """A test that is explored went another way than before, though the workers did the same.

    .. versionadded:: 0.1
    """


class Redundant(BaseException):
    """Ends a schedule that leads to nothing but what another one has shown, or will show."""


class Course(Script):
    """Decides one schedule: by the choices given, and after the last of them as usual.

    Where the choice makes no difference, it is none:

    * What a worker does by itself (it makes itself known, leaves, looks what to do) it does at once: no other worker
      can tell when, as nothing that others see is read or changed.
    * Of several workers that are about to fetch, one is as good as the other, since they have nothing: only one of
      them is an option; and none, as long as no job is ready or due: it would get nothing, and nothing would change.
    * A worker dies only while it has a job. Without one, its death changes nothing but its number.
    * Of two steps that do not touch the same, only one order is played: see :mod:`pq_testing.explore.sleep`.

    What the code of jobs does to the rest of the program is not looked into: each of their steps counts as touching
    what each other one touches. Stores in the same state are not taken for the same: jobs may have left anything in the
    variables of the test.

    Args:
        exploration: says what may happen.
        given: the first choices.
        asleep: steps that need not be taken after the last choice given, if that does not touch what they touch.
        mark: returns something else after the store was used, or the clock moved.
    """

    def __init__(
        self,
        exploration: Exploration,
        given: Sequence[Choice] = (),
        *,
        asleep: Asleep | None = None,
        mark: Callable[[], object] | None = None,
    ) -> None:
        self.decisions: list[Decision] = []
        self.told: Touch | None = None
        """What the last step touched that was given."""
        self._given = given
        self._left: dict[Action, int] = {"crash": exploration.crashes, "lapse": exploration.lapses}
        self._spins = 0
        self._sleep = Sleep(mark)
        self._then_asleep: Asleep = asleep or {}
        self._scene: Scene | None = None
        self._latest: int | None = None

    def stops(self, hand: Hand, place: str) -> bool:
        """Return whether others could tell when the hand goes on from here."""
        return place not in _PRIVATE or (hand.job is not None and place != "after finish")

    @property
    def choices(self) -> list[Choice]:
        """What was chosen."""
        return [decision.options[decision.taken] for decision in self.decisions]

    @property
    def deviations(self) -> int:
        """How often something else was chosen than usual."""
        return sum(decision.taken != 0 for decision in self.decisions)

    def cue(self, points: Sequence[Point], scene: Scene) -> Cue:
        """Return what happens next.

        Raises:
            Redundant: nothing that is new.
        """
        self._note_step(scene)
        cues = self._options(points, scene)
        awake = [number for number, cue in enumerate(cues) if not self._sleep.holds(cue)]
        if not awake:
            raise Redundant
        chosen = cues[self._decide(cues, awake) if len(cues) > 1 else 0]
        if chosen.action != "go on":
            self._left[chosen.action] -= 1
        self._sleep.begin(chosen)
        return chosen

    def _note_step(self, scene: Scene) -> None:
        """Take note of what the last step has touched."""
        touch = self._sleep.end(mixed=scene.mixed)
        if touch is not None and self._latest is not None:
            self.decisions[self._latest].touched[self.decisions[self._latest].taken] = touch
            if self._latest == len(self._given) - 1:
                self.told = touch
        self._latest = None
        if scene is not self._scene:  # another drain: the test itself has gone on meanwhile
            self._scene = scene
            self._sleep.asleep = {}

    def _decide(self, cues: Sequence[Cue], awake: Sequence[int]) -> int:
        number = self._latest = len(self.decisions)
        if number >= MOST:
            raise DrainError(f"no end of this schedule after {MOST} decisions: some job waits in a loop for ever")
        options = tuple(Choice(cue.point.column, cue.action, cue.point.place) for cue in cues)
        taken = self._follow(options, self._given[number]) if number < len(self._given) else awake[0]
        order = (taken, *(each for each in awake if each != taken))
        known = {each: touch for each, cue in enumerate(cues) if (touch := touch_of(cue)) is not None}
        self.decisions.append(Decision(options, taken, order, self._sleep.asleep, known))
        if number == len(self._given) - 1:
            self._sleep.asleep = self._then_asleep
        return taken

    def check_finished(self) -> None:
        """Refuse a schedule of which a part was never played.

        Raises:
            NotDeterministic: there were fewer decisions than choices given.
        """
        if len(self.decisions) < len(self._given):
            raise NotDeterministic(
                f"the test has ended after {len(self.decisions)} of {len(self._given)} choices. {_ADVICE}"
            )

    def _options(self, points: Sequence[Point], scene: Scene) -> list[Cue]:
        last = usual(points, scene)
        fetching = [point for point in points if point.place == "before fetch"]
        busy = [point for point in points if point.place != "before fetch"]
        if fetching and (scene.may_have_work or not busy):
            goes_on = last in fetching and bool(scene.steps) and scene.steps[-1].job is not None
            busy.append(last if goes_on else fetching[0])
        busy.sort(key=lambda point: (point != last, point.column))
        self._spins = self._spins + 1 if busy[0] == last and last.place.startswith("await") else 0
        if self._spins > SPIN:
            busy.append(busy.pop(0))
            self._spins = 0
        cues = [Cue(point) for point in busy]
        mortal = [point for point in busy if point.job is not None and not spared(point)]
        for action, left in self._left.items():
            if left:
                cues += [Cue(point, action) for point in mortal]
        return cues

    def _follow(self, options: tuple[Choice, ...], wanted: Choice) -> int:
        for number, option in enumerate(options):
            if option == wanted and wanted.place in ("", option.place):
                return number
        found = " or ".join(f"{option} ({option.place})" for option in options)
        if not wanted.place:
            raise NotDeterministic(
                f"choice {len(self.decisions) + 1} of replay= is {wanted}, and what can happen there is {found}: the "
                "schedule is one of another version of this test. Explore it anew, without replay="
            )
        raise NotDeterministic(
            f"at choice {len(self.decisions) + 1} of the schedule, {wanted} ({wanted.place}) was to "
            f"happen, and only {found} can. {_ADVICE}"
        )


def schedule(choices: Sequence[Choice]) -> str:
    """Return choices as a text: the numbers of workers, with an x where one dies, an l where a lease lapses."""
    return ".".join(map(str, choices))


_ADVICE = (
    "The test does not do the same each time that it is called: something in it is left over from the call before, or "
    "it depends on chance, on the real time or on the order of a set."
)
