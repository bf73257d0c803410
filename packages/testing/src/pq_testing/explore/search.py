"""The search: schedules, the simple ones first, until one fails or none is left."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from datetime import datetime
from heapq import heappop, heappush
from itertools import count
from time import perf_counter
from typing import Any

import attrs
import pytest

from pq_core.errors import InvalidOption, shown
from pq_core.memory import InMemoryConnector
from pq_core.memory.store import Store
from pq_testing import own_loop
from pq_testing.disturbances import Chaos
from pq_testing.errors import WrongBackend
from pq_testing.explore.course import Choice, Course, Decision, NotDeterministic, Redundant, schedule
from pq_testing.explore.exploration import Exploration
from pq_testing.explore.sleep import Asleep, Step
from pq_testing.explore.timeline import timeline
from pq_testing.harness import Harness
from pq_testing.script import Action
from pq_testing.staged import Staged

SIMPLER = 500
"""Schedules that are run, after one has failed, to see whether a simpler one does."""
_ACTIONS: dict[str, Action] = {"": "go on", "x": "crash", "l": "lapse"}


@attrs.frozen
class Explored:
    """What an exploration came to that found nothing.

    Attributes:
        schedules: how many were run.
        known: how many more there are at least.
        seconds: how long it took.
        replayed: whether only one schedule was asked for.
    """

    schedules: int
    known: int
    seconds: float
    replayed: bool = False

    @property
    def exhaustive(self) -> bool:
        """Whether there is no other schedule."""
        return not self.known and not self.replayed

    def __str__(self) -> str:
        if self.replayed:
            return "replayed one schedule"
        if self.exhaustive:
            return f"explored all {self.schedules:,} schedules" if self.schedules > 1 else "there is but one schedule"
        return f"explored {self.schedules:,} of at least {self.schedules + self.known:,} schedules; not exhaustive"


@attrs.frozen
class Branch:
    """A schedule to be run: what another one did up to a decision, and there something else."""

    decisions: Sequence[Decision]
    at: int
    option: int

    def choices(self) -> list[Choice]:
        """Return the choices to be followed."""
        before = [decision.options[decision.taken] for decision in self.decisions[: self.at]]
        return [*before, self.decisions[self.at].options[self.option]]

    def asleep(self) -> Asleep:
        """Return the steps that need not be taken after the last choice, unless that touches what they touch."""
        decision = self.decisions[self.at]
        asleep = dict(decision.asleep)
        for earlier in decision.awake[: decision.awake.index(self.option)]:
            if earlier in decision.touched:
                choice = decision.options[earlier]
                asleep[Step(-1 if choice.place == "before fetch" else choice.column, choice.action)] = decision.touched[
                    earlier
                ]
        return asleep


class Branches:
    """Schedules to be run; of those with the fewest deviations, the one that was found first comes first."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Branch]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def fewest_deviations(self) -> int:
        """How many the first one has."""
        return self._heap[0][0]

    def pop(self) -> Branch:
        """Return the first one."""
        return heappop(self._heap)[2]

    def add_all(self, course: Course, given: int) -> None:
        """Add what else could have been done after the first choices, which were given."""
        deviations = sum(decision.taken != 0 for decision in course.decisions[:given])
        for at in range(given, len(course.decisions)):
            for option in course.decisions[at].awake[1:]:
                branch = Branch(course.decisions, at, option)
                heappush(self._heap, (deviations + 1, next(self._numbers), branch))


def run_test(call: Callable[[], object], harness: Harness, exploration: Exploration) -> Explored:
    """Call a test once for each schedule.

    Args:
        call: the test function, with its arguments.
        harness: what the test has of pq: its jobs are in memory.
        exploration: how far to go.

    Returns:
        What was explored, if nothing was found.

    Raises:
        BaseException: what the test raised on the first schedule that fails, with a timeline as its note.
        NotDeterministic: the test does not do the same each time.
        InvalidOption: `replay` is no schedule.
        WrongBackend: the jobs are not in memory.
    """
    __tracebackhide__ = True
    began = perf_counter()
    with _rewinding(harness) as rewind:
        runner = Runner(call, harness, exploration, rewind)
        if exploration.replay is not None:
            runner.run(_parse(exploration.replay))
            return Explored(1, 0, perf_counter() - began, replayed=True)
        try:
            return _search(runner, exploration, began)
        except BaseException as error:
            if runner.failed is None:
                raise
            found = error
        _look_for_simpler(runner, runner.failed.deviations)
        raise found


def _search(runner: Runner, exploration: Exploration, began: float) -> Explored:
    """Run schedules until none is left."""
    __tracebackhide__ = True
    branches = Branches()
    branches.add_all(runner.run(()), 0)
    while branches:
        late = exploration.seconds is not None and perf_counter() - began > exploration.seconds
        if late or runner.schedules >= exploration.max_schedules:
            break
        branch = branches.pop()
        course = runner.run(branch.choices(), branch.asleep())
        if course.told is not None:
            branch.decisions[branch.at].touched[branch.option] = course.told
        branches.add_all(course, branch.at + 1)
    return Explored(runner.schedules, len(branches), perf_counter() - began)


def _look_for_simpler(runner: Runner, deviations: int) -> None:
    """Raise the failure of a schedule with fewer deviations, if there is one.

    It was left out because another one comes to the same: any that does is as good for the search, but not to read.
    """
    __tracebackhide__ = True
    if not deviations:  # nothing is simpler than the usual order
        return
    branches = Branches()
    branches.add_all(runner.run((), sleeping=False), 0)
    for _ in range(SIMPLER):
        if not branches or branches.fewest_deviations >= deviations:
            return
        branch = branches.pop()
        branches.add_all(runner.run(branch.choices(), sleeping=False), branch.at + 1)


@attrs.define(eq=False)
class Runner:
    """Runs schedules of one test.

    Attributes:
        schedules: how many so far.
        failed: the latest that failed.
    """

    _call: Callable[[], object]
    _harness: Harness
    _exploration: Exploration
    _rewind: Callable[[], Callable[[], object]]
    schedules: int = attrs.field(init=False, default=0)
    failed: Course | None = attrs.field(init=False, default=None)

    def run(self, given: Sequence[Choice], asleep: Asleep | None = None, *, sleeping: bool = True) -> Course:
        """Call the test on one schedule, as far as that shows something new.

        Raises:
            BaseException: what the test raises.
        """
        __tracebackhide__ = True
        mark = self._rewind()
        self.schedules += 1
        start = self._harness.clock.now()
        course = Course(self._exploration, given, asleep=asleep, mark=mark if sleeping else None)
        conductor = self._harness.conductor = Staged(course, workers=self._exploration.workers)
        try:
            self._call()
            course.check_finished()
        except Redundant:
            self.schedules -= 1
        except NotDeterministic:
            raise
        except (Exception, pytest.fail.Exception) as error:
            self.failed = course
            _note(error, self._story(course, conductor, start, found=sleeping))
            raise
        finally:
            conductor.close()
        return course

    def _story(self, course: Course, conductor: Staged, start: datetime, *, found: bool) -> str:
        workers = max([self._exploration.workers, *(stage.workers for stage in conductor.stages)])
        lines = timeline([stage.steps for stage in conductor.stages], workers, start)
        choices = course.choices
        while choices and course.decisions[len(choices) - 1].taken == 0:
            choices.pop()
        options = attrs.asdict(self._exploration, filter=lambda field, value: value != field.default)
        options["replay"] = schedule(choices)
        again = ", ".join(f"{name}={value!r}" for name, value in options.items())
        which = f"schedule {self.schedules} is the {'first' if found else 'simplest'} that fails"
        if self._exploration.replay is not None:
            which = "replayed"
        return "\n".join(
            [f"pq_explore: {which}, with {_counted(course)}:", "", *lines, "", f"Replay it alone: @pq_explore({again})"]
        )


def _counted(course: Course) -> str:
    crashes = sum(choice.action == "crash" for choice in course.choices)
    lapses = sum(choice.action == "lapse" for choice in course.choices)
    switches = course.deviations - crashes - lapses
    counts = [(switches, "switch", "switches"), (crashes, "crash", "crashes"), (lapses, "lapse", "lapses")]
    words = [f"{number} {one if number == 1 else many}" for number, one, many in counts if number]
    return ", ".join(words) or "workers that go on in their usual order"


def _note(error: BaseException, text: str) -> None:
    with suppress(Exception):  # exceptions may refuse notes, as frozen ones do
        error.add_note(text)


def _parse(text: str) -> list[Choice]:
    return [_parse_choice(word, text) for word in text.split(".")] if text else []


def _parse_choice(word: str, text: str) -> Choice:
    column, letter = (word[:-1], word[-1]) if word[-1:] in ("x", "l") else (word, "")
    if not column.isdecimal() or int(column) < 1:
        raise InvalidOption(
            f"replay {shown(text)} is no schedule: {shown(word)} is not the number of a worker, with an x if it dies "
            'or an l if its lease lapses; a schedule is a text such as "1.2.1x"'
        )
    return Choice(int(column) - 1, _ACTIONS[letter], "")


@contextmanager
def _rewinding(harness: Harness) -> Generator[Callable[[], Callable[[], object]]]:
    """Give what puts everything of pq back to how it is now.

    It returns what tells, by returning something else, that the store was used since, or the clock moved.
    """
    connector = harness.connector
    if not isinstance(connector, InMemoryConnector):
        raise WrongBackend(
            "pq_explore runs a test on thousands of schedules, which only jobs in memory allow: mark the test with "
            '@pytest.mark.pq(backend="memory")'
        )
    engine: Any = connector._engine  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - a copy of all it holds
    before: Store | None = deepcopy(engine.store) if engine.store.next_id > 1 else None
    now, chance = harness.clock.now(), random.getstate()
    chaos, conductor, deliverer = harness.chaos, harness.conductor, harness.deliverer
    may_go_back = harness.clock.may_go_back

    calls, do = count(), engine.do
    latest = 0

    def counted(*arguments: Any) -> Any:
        nonlocal latest
        latest = next(calls)
        return do(*arguments)

    def mark() -> object:
        return latest, harness.clock.now()

    def rewind() -> Callable[[], object]:
        engine.store = Store() if before is None else deepcopy(before)
        harness.clock.may_go_back = lambda: True
        harness.clock.move_to(now)
        harness.clock.may_go_back = may_go_back
        harness.ledger.reset()
        random.setstate(chance)
        return mark

    harness.chaos, harness.deliverer = Chaos(), None
    engine.do = counted
    try:
        with _silence():
            yield rewind
    finally:
        del engine.do
        harness.chaos, harness.conductor, harness.deliverer = chaos, conductor, deliverer
        own_loop.settle()


@contextmanager
def _silence() -> Generator[None]:
    """Keep workers from telling of each run: of ten thousand schedules, nobody reads it."""
    journal = logging.getLogger("pq_core.worker")
    silent, journal.disabled = journal.disabled, True
    try:
        yield
    finally:
        journal.disabled = silent
