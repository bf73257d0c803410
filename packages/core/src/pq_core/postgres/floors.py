"""How far the fetches of a worker have read, so that the next begins there.

While a transaction is open anywhere that might look at them, PostgreSQL keeps the index entries of rows that are gone,
and who reads an index from its beginning steps over each of them. So a fetch is told where to begin, in each queue for
each priority: at the *floor*, an id up to which nothing is left.

What is below a floor can come to light in two ways. A row that was there, and changed, carries the number of the
transaction that made it ready (`risen`), and is found by that. A row of a transaction that had begun before the floor
was found and ended after it is found because a floor only counts when none of these is open any more and the place was
read again. If one of them stays open for long, the floor counts without that, and is lowered to where it was when the
transaction has ended; see :meth:`Floors.learn`. docs/explanation/pinned-horizon.md tells it at length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, TypeAlias

import attrs

from pq_core.job import Job
from pq_core.payload import load

Line: TypeAlias = Mapping["int | None", int]
"""The floors of one queue by priority; that of every priority not named stands under None."""

BOTTOM: Line = {None: -1}
HIGHEST, LOWEST = 32767, -32768
SETTLING = 0.05
"""Seconds between two marks, and after which a row that was given an id has long been given a transaction."""
LONG = 2.0
"""Seconds for which a floor waits for transactions to end."""
NET = 30.0
"""Seconds between two fetches that read from the beginning, for what no rule foresees."""
NET_SHARE, LOOK_SHARE = 100, 20
"""How many times as long as it took another such fetch, or one from the floors that are sure, is put off."""
MOST_QUEUES = 200
"""With more, floors would cost more than they spare."""
MOST_PRIORITIES = 32
MOST_MARKS = 32
MANY_READ = 4000
"""Index entries that a fetch may read beside those of its jobs before floors are called for; other jobs have some."""
FEW_READ = 1000
"""So few besides, from the beginning, and they are called for no more."""


@attrs.frozen
class Position:
    """How far was read.

    Attributes:
        lines: the floors of each queue.
        since: number of a transaction; of jobs that one before it made ready, none is left below the floors.
        due: microseconds since 1970; of scheduled jobs that fell due until then, none is left. None: the beginning.
    """

    lines: Mapping[str, Line]
    since: int
    due: int | None


@attrs.define
class Mark:
    """Where a fetch arrived, to be confirmed by one that reads over it again later.

    Attributes:
        position: up to where it read.
        at: when, in seconds.
        ceiling: every transaction that can have been open then has a lower number; None if that is not known yet.
        waits_since: when the ceiling was found, in seconds.
    """

    position: Position
    at: float
    ceiling: int | None = None
    waits_since: float = 0.0


@attrs.frozen
class Question:
    """Where a fetch begins.

    Attributes:
        start: there; None for the beginning.
        sure: whether nothing can be below that.
        parameters: the last ones of the function fetch.
    """

    start: Position | None
    sure: bool
    parameters: Sequence[Any]
    asked_at: float


class Floors:
    """The floors of the fetches that name the same queues; one of these at a time.

    There are none, which is cheaper, until fetches read many index entries in vain.

    Args:
        clock: tells the seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._called_for = False
        self._asked: Question | None = None
        self.forget()

    def forget(self) -> None:
        """Begin at the beginning."""
        self._sure: Position | None = None
        self._usable: Position | None = None
        self._marks: list[Mark] = []
        self._owed = False
        self._top = -1
        self._next_look = self._next_net = self._clock()
        self._asked = None

    def ask(self, queues: Sequence[str] | None) -> Question | None:
        """Say where the next fetch is to begin; None for one without floors."""
        if not self._called_for:
            return None
        now = self._clock()
        known: Sequence[str] = () if self._usable is None else tuple(self._usable.lines)
        names = list(dict.fromkeys(known if queues is None else queues))
        if self._asked is not None or len(names) > MOST_QUEUES:
            return None
        start, sure = self._usable, self._usable is self._sure
        if now >= self._next_net:
            start, sure = None, True
        elif self._owed and now >= self._next_look:
            start, sure = self._sure, True
        lines: Mapping[str, Line] = {} if start is None else start.lines
        parameters = [names, *cells(lines.get(name, BOTTOM) for name in names)]
        parameters += [None, None] if start is None else [start.since, start.due]
        self._asked = Question(start, sure, parameters, now)
        return self._asked

    def judge(self, read: int, jobs: int) -> None:
        """Take note of how many index entries a fetch without floors has read for how many jobs."""
        if read - 3 * jobs > MANY_READ:
            self._called_for = True

    def drop(self, question: Question | None) -> None:
        """Take no answer for what was asked."""
        if question is not None and self._asked is question:
            self._asked = None

    def learn(self, question: Question, text: str, jobs: Sequence[Job]) -> bool:
        """Move the floors by what a fetch has found out.

        A mark is where a fetch arrived. When every transaction that can have been open then has ended, and a later
        fetch has read over that place again from a floor that was sure, the mark is sure. If that takes long, the mark
        is used all the same; once those transactions have ended, a fetch from the floors that are sure is owed.

        Args:
            question: where it began.
            text: the terms of its last row.
            jobs: what it claimed.

        Returns:
            Whether to fetch again at once, as there may be more below the floors than this fetch saw.
        """
        if self._asked is not question:
            return False  # Forgotten meanwhile.
        self._asked = None
        now, told = self._clock(), load(text)
        if told["top"] is not None and told["top"] < self._top:
            self.forget()  # The ids have begun anew.
            return False
        self._top = top = told["top"] if told["top"] is not None else self._top
        stops, reached = self._reached(question, told, top, jobs)
        if told["whole"]:
            self._lower(stops, told, asked=question.start is None)
        if question.start is None:
            self._next_net = now + max(NET, NET_SHARE * (now - question.asked_at))
            if told["read"] - 3 * len(jobs) < FEW_READ:
                self._called_for = False
                self.forget()
                return False
        elif question.sure and self._owed:
            self._next_look = now + LOOK_SHARE * (now - question.asked_at)
        for mark in self._marks:
            mark.position = _cut(mark.position, stops)
        confirmed = self._confirmed(told["oldest"])
        unsure = not question.sure and self._usable is not self._sure
        if confirmed is not None and unsure:
            self._owed = True
        elif not unsure:
            self._settle(confirmed, reached)
        self._hurry(reached, told, now)
        self._mark(reached, told["newest"], now)
        return self._owed and now >= self._next_look

    def _reached(
        self, question: Question, told: Mapping[str, Any], top: int, jobs: Sequence[Job]
    ) -> tuple[dict[str, tuple[int, int]], Position]:
        start = None if told["whole"] else question.start
        seen: dict[str, set[int]] = {}
        for job in jobs:
            seen.setdefault(job.queue, set()).add(job.priority)
        stops: dict[str, tuple[int, int]] = {}
        for stop in told["stops"] or ():
            queue, place = stop["queue"], (stop["priority"], stop["id"])
            if queue not in stops or (-place[0], place[1]) < (-stops[queue][0], stops[queue][1]):
                stops[queue] = place
        before: Mapping[str, Line] = {} if start is None else start.lines
        lines = {
            queue: _read(before.get(queue, BOTTOM), stops.get(queue), top, seen.get(queue, ()))
            for queue in told["served"]
        }
        since = told["oldest"] if told["risen"] is None else min(told["oldest"], told["risen"])
        due = told["due"] if told["due"] is not None else None if question.start is None else question.start.due
        return stops, Position(lines, since, due)

    def _lower(self, stops: Mapping[str, tuple[int, int]], told: Mapping[str, Any], *, asked: bool) -> None:
        """Take into account that a fetch began at the beginning, and left something behind.

        If it did so because too many jobs had risen to look at each, all that it has not come to may be among them.
        """
        if self._usable is None or self._sure is None:
            self._usable = self._sure = Position(dict.fromkeys(told["served"], BOTTOM), told["oldest"], None)
            return
        exact = self._usable is self._sure
        self._sure = _cut(self._sure, stops, below=not asked)
        self._usable = self._sure if exact else _cut(self._usable, stops, below=not asked)
        for mark in self._marks:
            mark.position = _cut(mark.position, stops, below=not asked)

    def _confirmed(self, oldest: int) -> Mark | None:
        return next((m for m in reversed(self._marks) if m.ceiling is not None and m.ceiling <= oldest), None)

    def _settle(self, confirmed: Mark | None, reached: Position) -> None:
        """Take for sure what was confirmed; of what has risen, all that this fetch saw."""
        assert self._sure is not None  # noqa: S101 - after the first answer
        exact = self._usable is self._sure or confirmed is not None
        if confirmed is None:
            self._sure = attrs.evolve(self._sure, since=reached.since)
        else:
            self._sure = _agreed(self._sure, confirmed.position, reached, reached.since)
            self._marks = [mark for mark in self._marks if mark.at > confirmed.at]
            self._owed = False
        if exact:
            self._usable = self._sure

    def _hurry(self, reached: Position, told: Mapping[str, Any], now: float) -> None:
        """Use a mark that has waited for long."""
        late = next((m for m in reversed(self._marks) if m.ceiling is not None and now - m.waits_since >= LONG), None)
        if late is None or self._usable is None:
            return
        assert late.ceiling is not None  # noqa: S101 - see above
        since = late.ceiling if told["risen"] is None else min(late.ceiling, told["risen"])
        self._usable = _agreed(self._usable, late.position, reached, since)

    def _mark(self, reached: Position, newest: int, now: float) -> None:
        assert self._usable is not None  # noqa: S101 - after the first answer
        for mark in self._marks:
            if mark.ceiling is None and now - mark.at >= SETTLING:
                mark.ceiling, mark.waits_since = newest, now
        if not self._marks or now - self._marks[-1].at >= SETTLING:
            lines = {**self._usable.lines, **reached.lines}
            self._marks.append(Mark(Position(lines, reached.since, reached.due), now))
        if len(self._marks) > MOST_MARKS and not self._owed:
            del self._marks[1 : -MOST_MARKS // 4 : 2]


def cells(lines: Iterable[Line]) -> list[list[int]]:
    """Return the cells of queues as the function above() wants them: ends, highs, lows and floors."""
    ends: list[int] = []
    highs: list[int] = []
    lows: list[int] = []
    floors: list[int] = []
    for line in lines:
        high, rest = HIGHEST, line[None]
        for priority in sorted((p for p in line if p is not None), reverse=True):
            if priority < high:
                highs.append(high)
                lows.append(priority + 1)
                floors.append(rest)
            highs.append(priority)
            lows.append(priority)
            floors.append(line[priority])
            high = priority - 1
        if high >= LOWEST:
            highs.append(high)
            lows.append(LOWEST)
            floors.append(rest)
        ends.append(len(floors))
    return [ends, highs, lows, floors]


def _read(before: Line, stop: tuple[int, int] | None, top: int, seen: Iterable[int]) -> Line:
    """Return the floors of a queue that was read from those before up to a stop, or to its end."""
    known = {*before, *seen}
    if stop is None:
        return dict.fromkeys(known, top)
    priority, id_ = stop
    line = {
        p: max(floor, top) if p is not None and p > priority else floor
        for p, floor in ((p, _of(before, p)) for p in known)
    }
    line[priority] = max(_of(before, priority), id_)
    return line if len(line) <= MOST_PRIORITIES else {None: min(line.values())}


def _of(line: Line, priority: int | None) -> int:
    return line.get(priority, line[None])


def _lower_of(one: Line, other: Line) -> Line:
    if one.keys() == other.keys():
        return {p: min(floor, other[p]) for p, floor in one.items()}
    return {p: min(_of(one, p), _of(other, p)) for p in one.keys() | other.keys()}


def _agreed(now: Position, mark: Position, reached: Position, since: int) -> Position:
    """Return where both a mark and the fetch that confirms it have been; what was not read this time stays."""
    lines = dict(now.lines)
    for queue, line in reached.lines.items():
        lines[queue] = _lower_of(mark.lines.get(queue, BOTTOM), line)
    due = None if mark.due is None or reached.due is None else min(mark.due, reached.due)
    return Position(lines, since, due)


def _cut(position: Position, stops: Mapping[str, tuple[int, int]], *, below: bool = False) -> Position:
    """Return the position without what is beyond the stops; with below, without all that comes after one in order."""
    changed: dict[str, Line] = {}
    for queue, (priority, id_) in stops.items():
        line = position.lines.get(queue)
        if line is None:
            continue
        if below:
            kept: dict[int | None, int] = {p: floor for p, floor in line.items() if p is not None and p > priority}
            changed[queue] = {**kept, priority: min(_of(line, priority), id_), None: BOTTOM[None]}
        elif _of(line, priority) > id_:
            changed[queue] = {**line, priority: id_}
    return position if not changed else attrs.evolve(position, lines={**position.lines, **changed})
