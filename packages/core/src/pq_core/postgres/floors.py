"""How far the fetches of a worker have read, so that the next begins there.

While a transaction is open anywhere that might look at them, PostgreSQL keeps the index entries of rows that are gone,
and who reads an index from its beginning steps over each of them. So a fetch is told where to begin, in each queue for
each priority: at the *floor*, an id up to which nothing is left.

What is below a floor can come to light in two ways. A row that was there, and changed, carries the number of the
transaction that made it ready (`risen`), and is found by that. A row of a transaction that had begun before the floor
was found and ended after it is found because a floor only counts when none of these is open any more and the place was
read again. If one of them stays open for long, the floor counts without that, until it has ended; see
:meth:`Floors.learn`. For this, whoever stores jobs has a transaction number before ids are given out, or the time is
asked for that decides whether a job is due. docs/explanation/pinned-horizon.md tells it at length.
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
    """What was there when a fetch began, whatever of it could be seen.

    Attributes:
        top: the highest id.
        due: microseconds since 1970.
        at: when that was over, in seconds.
        ceiling: every transaction that can have been open then has a lower number; None if that is not known yet.
        waits_since: when the ceiling was found, in seconds.
    """

    top: int
    due: int
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
        self._waits_for: frozenset[int] = frozenset()
        self._owed = False
        self._top = self._oldest = self._newest = -1
        self._next_look = self._next_net = self._next_move = self._clock()
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
        parameters: list[Any] = [names, *cells(lines.get(name, BOTTOM) for name in names)]
        parameters += [None, None] if start is None else [start.since, start.due]
        parameters.append(now >= self._next_move)
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

    def learn(self, question: Question, text: str, jobs: Sequence[Job]) -> float | None:
        """Move the floors by what a fetch has found out.

        A mark is what was there when a fetch began. When every transaction that can have been open then has ended, and
        a later fetch has begun at a floor that is sure, all that it has left behind up to the mark is sure. If that
        takes long, the mark is used all the same; as soon as one of the transactions that it did not wait for has
        ended, a fetch from the floors that are sure is owed.

        Args:
            question: where it began.
            text: the terms of its last row.
            jobs: what it claimed.

        Returns:
            In how many seconds to fetch again, as there may be more below the floors than this fetch saw; None if not.
        """
        if self._asked is not question:
            return None  # Forgotten meanwhile.
        self._asked = None
        now, told = self._clock(), load(text)
        top = self._top if told["top"] is None else told["top"]
        if top < self._top or told["newest"] < self._newest:
            self.forget()  # The ids have begun anew, or this is another server.
            return None
        self._top, self._oldest, self._newest = top, told["oldest"], told["newest"]
        if question.start is None:
            self._next_net = now + max(NET, NET_SHARE * (now - question.asked_at))
            if told["read"] - 3 * len(jobs) < FEW_READ:
                self._called_for = False
                self.forget()
                return None
        begun, reached = self._read(question, told, jobs)
        if reached.lines:
            self._next_move = now + SETTLING
        if question.sure:
            if self._owed:
                self._next_look = now + LOOK_SHARE * (now - question.asked_at)
            self._settle(begun, reached)
        else:
            self._owed = self._owed or not self._waits_for.issubset(told["open"])
            self._usable = begun
        self._hurry(begun, reached, told["risen"], told["open"], now)
        self._mark(question, told, now)
        return max(0.0, self._next_look - now) if self._owed else None

    def _read(self, question: Question, told: Mapping[str, Any], jobs: Sequence[Job]) -> tuple[Position, Position]:
        """Return where a fetch began, as far as that still holds, and where it arrived."""
        start = question.start or self._sure or Position({}, told["oldest"], None)
        stops = {stop["queue"]: (stop["priority"], stop["id"]) for stop in told["stops"] or ()}
        lines, due = start.lines, start.due
        if told["whole"]:  # What other queues have, nobody has looked for.
            lines = {queue: start.lines.get(queue, BOTTOM) for queue in told["served"]}
            if question.start is not None:  # Of all that has risen, more than it looks at, it may have left some.
                lines = {queue: dict.fromkeys(line, BOTTOM[None]) for queue, line in lines.items()}
            else:
                lines = {queue: _cut(line, stops.get(queue)) for queue, line in lines.items()}
                due = None if due is None else min(due, told["due"])
        seen: dict[str, set[int]] = {}
        for job in jobs:
            seen.setdefault(job.queue, set()).add(job.priority)
        arrived = {
            queue: _read(lines.get(queue, BOTTOM), stops.get(queue), self._top, seen.get(queue, ()))
            for queue in told["served"] or ()
        }
        since = told["oldest"] if told["risen"] is None else min(told["oldest"], told["risen"])
        return Position(lines, start.since, due), Position(arrived, since, told["due"])

    def _settle(self, begun: Position, reached: Position) -> None:
        """Take for sure what was confirmed; of what has risen, all that this fetch saw."""
        sure = (m for m in reversed(self._marks) if m.ceiling is not None and m.ceiling <= self._oldest)
        confirmed = next(sure, None)
        if confirmed is None or not reached.lines:
            self._sure = attrs.evolve(begun, since=reached.since)
        else:
            self._sure = _lifted(begun, reached, confirmed, reached.since)
            self._marks = [mark for mark in self._marks if mark.at > confirmed.at]
        self._usable, self._owed = self._sure, False

    def _hurry(self, begun: Position, reached: Position, risen: int | None, open_: Sequence[int], now: float) -> None:
        """Use a mark that has waited for long."""
        late = next((m for m in reversed(self._marks) if m.ceiling is not None and now - m.waits_since >= LONG), None)
        if late is None:
            return
        assert late.ceiling is not None  # noqa: S101 - see above
        since = late.ceiling if risen is None else min(late.ceiling, risen)
        self._usable = _lifted(begun, reached, late, since)
        self._waits_for = frozenset(number for number in open_ if number < late.ceiling)

    def _mark(self, question: Question, told: Mapping[str, Any], now: float) -> None:
        for mark in self._marks:
            if mark.ceiling is None and question.asked_at - mark.at >= SETTLING:
                mark.ceiling, mark.waits_since = told["newest"], now
        if not self._marks or now - self._marks[-1].at >= SETTLING:
            self._marks.append(Mark(self._top, told["due"], now))
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


def _lifted(begun: Position, reached: Position, mark: Mark, since: int) -> Position:
    """Return where a fetch arrived, as far as the mark goes; what was not read this time stays."""
    lines = dict(begun.lines)
    for queue, line in reached.lines.items():
        lines[queue] = {priority: min(floor, mark.top) for priority, floor in line.items()}
    assert reached.due is not None  # noqa: S101 - the server says it
    return Position(lines, since, min(mark.due, reached.due))


def _cut(line: Line, stop: tuple[int, int] | None) -> Line:
    """Return floors of which none is above the stop."""
    return line if stop is None or _of(line, stop[0]) <= stop[1] else {**line, stop[0]: stop[1]}
