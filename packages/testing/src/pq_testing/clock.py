"""The clock of a test: it stands still unless it is moved."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Self, cast

from pq_core.delays import Delay, as_timedelta, length
from pq_core.errors import InvalidJob, InvalidOption, shown
from pq_core.job import check_moment


class Clock:
    """Tells a test's time to pq, to the in-memory engine and to every SQL statement alike.

    It stands still unless moved, so that exact moments can be asserted. Python's own `datetime.now` and `time.time` go
    on telling the real time, unless :meth:`patch_python` is called.

    Args:
        start: the first moment, with a time zone; the real time if not given.

    Attributes:
        on_move: is called with the new moment after each move.
        may_go_back: tells whether :meth:`move_to` may go to a moment before this one; by default it may. A test's
            clock may until a job is deferred.

    Raises:
        InvalidOption: `start` has no time zone, or is no datetime of a year in which jobs can be.

    .. versionadded:: 0.1
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._now = datetime.now(UTC) if start is None else _moment("start", start)
        self._python: PatchedPython | None = None
        self.on_move: list[Callable[[datetime], None]] = []
        self.may_go_back: Callable[[], bool] = lambda: True
        self._follows: Callable[[], datetime] | None = None

    def __repr__(self) -> str:
        return f"<Clock at {self._now.isoformat()}>"

    def now(self) -> datetime:
        """Return the moment at which the clock stands, in UTC."""
        if self._follows is not None and (there := self._follows()) > self._now:
            self._move(there)
        return self._now

    def seconds(self) -> float:
        """Return the moment at which the clock stands, in seconds since 1970."""
        return self.now().timestamp()

    def advance(self, by: timedelta | str | None = None, /, **units: float) -> datetime:
        """Move forward by a length of time; return the new moment.

        Args:
            by: a timedelta, or a text such as ``"90s"``, ``"2h"``, ``"1h30m"``.
            **units: the same as numbers by unit, ``hours=1, minutes=30``: years, months, weeks, days, hours, minutes,
                seconds, milliseconds, microseconds.

        Raises:
            InvalidOption: none or several of these are given, or what is given is no length of time, or negative.
        """
        return self._move(self._later("advance", _step(by, units)))

    def move_to(self, moment: datetime, /) -> datetime:
        """Move to a moment, forward; or anywhere, as long as no job was deferred. Return it, in UTC.

        Raises:
            InvalidOption: it has no time zone, or lies before a moment at which jobs were deferred.
        """
        there = _moment("move_to", moment)
        if there < self.now() and not self.may_go_back():
            raise InvalidOption(
                f"move_to {there.isoformat()} goes back: the clock stands at {self._now.isoformat()}, and jobs were "
                "deferred in this test. Move the clock before the first job is deferred, and only forward after that"
            )
        return self._move(there)

    def until(self, given: str | timedelta | datetime) -> datetime:
        """Return the moment that `until=` of `run_jobs` means; the clock stays where it is.

        Args:
            given: a length of time from now, as a timedelta or a text such as ``"2h"``, or a moment.

        Raises:
            InvalidOption: it is none of these, or lies in the past.
        """
        if isinstance(given, datetime):
            moment = _moment("until", given)
            if moment < self.now():
                raise InvalidOption(
                    f"until {moment.isoformat()} lies in the past: the clock stands at {self._now.isoformat()}. Give a "
                    'later moment, or a length of time from now, such as "2h"'
                )
            return moment
        return self._later("until", _length("until", given))

    def patch_python(self) -> PatchedPython:
        """Let Python's own clocks tell this time, too: `datetime.now`, `time.time` and whatever rests on them.

        Used with ``with``, it ends with the block; called only, it ends with the test. It needs time-machine, as
        ``pq-testing[time-machine]`` installs it, and holds in the whole process, in other threads and libraries too.

        Raises:
            InvalidOption: time-machine is not installed.
        """
        if self._python is None or self._python.over:
            self._python = PatchedPython(self)
        return self._python

    def close(self) -> None:
        """Undo, at the end of a test, what :meth:`patch_python` did."""
        if self._python is not None:
            self._python.stop()

    def follow(self, read: Callable[[], datetime] | None) -> None:
        """Tell from now on the time that `read` tells, where it is later; None: follow nobody any more."""
        self.now()
        self._follows = read

    def _later(self, what: str, step: timedelta) -> datetime:
        try:
            return _moment(what, self.now() + step)
        except OverflowError:
            raise InvalidOption(f"{what} {shown(str(step))} leads to a year after which no jobs can be") from None

    def _move(self, there: datetime) -> datetime:
        self._now = there
        for moved in list(self.on_move):
            moved(there)
        return there


class PatchedPython:
    """Python's own clocks, telling the time of a :class:`Clock` until they are themselves again."""

    def __init__(self, clock: Clock) -> None:
        try:
            import time_machine
        except ModuleNotFoundError:
            raise InvalidOption(
                "patch_python() needs time-machine, which is not installed: pip install 'pq-testing[time-machine]'"
            ) from None
        self.over = False
        self._clock = clock
        self._travel = time_machine.travel(clock.now(), tick=False)
        self._traveller = self._travel.start()
        clock.on_move.append(self._move)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let Python's clocks tell the real time again. A second call does nothing."""
        if not self.over:
            self.over = True
            self._clock.on_move.remove(self._move)
            self._travel.stop()

    def _move(self, there: datetime) -> None:
        self._traveller.move_to(there)


def _moment(what: str, value: object) -> datetime:
    try:
        check_moment(what, value)
    except InvalidJob as refusal:
        raise InvalidOption(str(refusal)) from None
    return cast("datetime", value).astimezone(UTC)


def _step(by: object, units: dict[str, Any]) -> timedelta:
    if (by is None) == (not units):
        raise InvalidOption(
            f"advance takes one length of time, and got {shown(by)} and {shown(units)}: write advance(days=30), "
            'advance("1h30m") or advance(timedelta(...))'
        )
    if by is not None:
        return _length("advance", by)
    for unit, count in units.items():
        if isinstance(count, (int, float)) and count < 0:
            raise InvalidOption(_BACK.format(f"advance {unit}={count!r}"))
    try:
        return as_timedelta(cast("Delay", units), "advance")
    except InvalidJob as refusal:
        raise InvalidOption(str(refusal)) from None


def _length(what: str, value: object) -> timedelta:
    if isinstance(value, str):
        try:
            return length(value)
        except InvalidOption as refusal:
            raise InvalidOption(f"{what} {refusal}") from None
    if not isinstance(value, timedelta):
        raise InvalidOption(
            f'{what} {shown(value)} is no length of time: give a timedelta, a text such as "1h30m", or a '
            + ("datetime with a time zone" if what == "until" else "number with its unit, as in advance(minutes=5)")
        )
    if value < timedelta(0):
        raise InvalidOption(_BACK.format(f"{what} {value.total_seconds():g}s"))
    return value


_BACK = "{} goes back in time: give a positive length; move_to() may go back before a job is deferred"
