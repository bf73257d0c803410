"""Cron texts: which moments they mean in a time zone, with its hours that come twice and those that never come.

Five fields, ``minute hour day-of-month month day-of-week``, or six with ``second`` before them; or a nickname such as
``@daily``. What a field may hold is cronsim's: numbers, names, ``*``, ranges, steps and lists, ``L``, ``LW`` and ``#``.
If both days are restricted, one of them is enough.

**The two rules for clocks that are moved.** A text that names hours means times of day, each once: a time that comes
twice ticks when it comes first, and one that is left out ticks when the clock jumps over it. A text whose hour is every
hour means what the clock shows: it ticks in both of two equal hours, and not in one that never comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING

import attrs

from pq_core.errors import InvalidOption, shown

if TYPE_CHECKING:  # A program without schedules does not need it.
    from cronsim import CronSim

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
MAX_CRON = 500
"""Characters of a cron text."""

_FIELDS = (
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31, L or LW"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day of week", "0 to 7 or SUN to SAT, also as MON#1 or MONL"),
)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_EVERY_HOUR = frozenset(range(24))
_SOME_DAY = datetime(2024, 1, 1)  # noqa: DTZ001 - a wall clock has no zone


@attrs.frozen
class Cron:
    """A cron text in a time zone.

    Raises:
        InvalidOption: the text means nothing, or never comes; the message names the place. Or there is no such zone.

    .. versionadded:: 0.1

    Attributes:
        text: as it was given.
        timezone: name of the zone, as ``Europe/Paris``.
    """

    text: str
    timezone: str = "UTC"

    def __attrs_post_init__(self) -> None:
        check_cron(self.text)
        check_zone(self.timezone)

    def after(self, moment: datetime) -> datetime:
        """Return the first tick later than `moment`, which is aware, in UTC.

        Raises:
            InvalidOption: there is none within fifty years.
        """
        place = zone(self.timezone)
        start = moment.astimezone(UTC)
        found = _shown_after(self.text, place, start) if _is_hourly(self.text) else _once_after(self.text, place, start)
        if found is None:
            raise InvalidOption(f"cron {shown(self.text)} means no moment within fifty years after {start}")
        return found

    def from_on(self, moment: datetime) -> Iterator[datetime]:
        """Yield the ticks later than `moment`, without an end."""
        while True:
            moment = self.after(moment)
            yield moment

    def last(self, first: datetime, latest: datetime) -> datetime:
        """Return the last tick until `latest`, which may be one; `first` is a tick not later than that.

        By halving: there may be millions of ticks between them.
        """
        low, high = first, latest
        while (tick := self.after(low)) <= latest:
            middle = tick + (high - tick) / 2
            later = self.after(middle)
            if later <= latest:
                low = later
            else:
                low, high = tick, middle
        return low


def check_cron(text: object) -> str:
    """Return a cron text, as it was given.

    Raises:
        InvalidOption: it means nothing, or never comes; the message says where it is wrong.
    """
    if not isinstance(text, str) or not text.strip():
        raise InvalidOption(f"cron {shown(text)} is not a text such as '*/5 * * * *'")
    if len(text) > MAX_CRON:
        raise InvalidOption(f"cron {shown(text)} has {len(text)} characters; at most {MAX_CRON} are allowed")
    if text.strip().startswith("@") and text.strip().lower() not in NICKNAMES:
        raise InvalidOption(f"cron {shown(text)} is no nickname; there are {', '.join(NICKNAMES)}")
    fields = _fields(text)
    if len(fields) not in (5, 6):
        raise InvalidOption(
            f"cron {shown(text)} has {len(fields)} fields; write 5 (minute hour day month weekday), "
            "or 6 with the second before them"
        )
    from cronsim import CronSim, CronSimError

    for index, field in enumerate(fields, start=6 - len(fields)):
        _check_field(text, index, field)
    try:
        found = next(CronSim(_plain(text), _SOME_DAY), None)
    except CronSimError:
        found = None
    if found is None:
        raise InvalidOption(f"cron {shown(text)} never comes: none of its months has such a day")
    return text


def check_zone(name: object) -> str:
    """Return the name of a time zone.

    Raises:
        InvalidOption: there is none of that name.
    """
    if not isinstance(name, str) or not name:
        raise InvalidOption(f"timezone {shown(name)} is not the name of a time zone such as 'Europe/Paris'")
    zone(name)
    return name


@lru_cache(maxsize=128)
def zone(name: str) -> tzinfo:
    """Return the time zone of that name.

    Raises:
        InvalidOption: there is none.
    """
    if name == "UTC":
        return UTC  # also where no database of time zones is installed
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as reason:
        raise InvalidOption(
            f"timezone {shown(name)} is not known here: write a name such as 'Europe/Paris'; if it is one, "
            "install the package tzdata"
        ) from reason


def _shown_after(text: str, place: tzinfo, after: datetime) -> datetime | None:
    """Return the first moment after `after` at which the clock shows a time that `text` means."""
    offset = _offset(place, after)
    wall = (after + offset).replace(tzinfo=None)
    while True:
        found = _next_wall(text, wall)
        if found is None:
            return None
        tick = found.replace(tzinfo=UTC) - offset
        moved = _first_move(place, after, tick)
        if moved is None:
            return tick
        after, offset = moved, _offset(place, moved)
        wall = (after + offset).replace(tzinfo=None) - _SECOND  # what it shows from here on, this second included


def _once_after(text: str, place: tzinfo, after: datetime) -> datetime | None:
    """Return the first moment after `after` that stands for a time of day that `text` means."""
    wall = after.astimezone(place).replace(tzinfo=None)
    while True:
        found = _next_wall(text, wall)
        if found is None:
            return None
        tick = _moment(place, found)
        if tick > after:
            return tick
        wall = found


def _moment(place: tzinfo, wall: datetime) -> datetime:
    """Return when the clock first shows `wall`, or jumps over it."""
    first = wall.replace(tzinfo=place, fold=0).astimezone(UTC)
    if first.astimezone(place).replace(tzinfo=None) == wall.replace(fold=0):
        return first
    before = wall.replace(tzinfo=place, fold=1).astimezone(UTC)
    return _first_move(place, before, first) or first


def _first_move(place: tzinfo, after: datetime, until: datetime) -> datetime | None:
    """Return when the clock is first moved later than `after` and not later than `until`, if it is.

    Looked for in steps of a day: no zone moves its clock there and back within one.
    """
    offset, low = _offset(place, after), after
    while low < until:
        high = min(low + _DAY, until)
        if _offset(place, high) != offset:
            return _halved(place, low, high)
        low = high
    return None


def _halved(place: tzinfo, low: datetime, high: datetime) -> datetime:
    offset = _offset(place, low)
    low, high = low.replace(microsecond=0), high.replace(microsecond=0)  # clocks are moved at whole seconds
    while high - low > _SECOND:
        middle = (low + (high - low) / 2).replace(microsecond=0)
        low, high = (middle, high) if _offset(place, middle) == offset else (low, middle)
    return high


def _offset(place: tzinfo, moment: datetime) -> timedelta:
    return moment.astimezone(place).utcoffset() or timedelta(0)


def _next_wall(text: str, wall: datetime) -> datetime | None:
    """Return the first time later than `wall` that `text` means on a clock that nobody moves; naive, as that is."""
    simulation = copy(_compiled(text))  # which other threads use as well
    simulation.dt = wall.replace(microsecond=0, fold=0)
    return next(simulation, None)


@lru_cache(maxsize=1024)
def _compiled(text: str) -> CronSim:
    from cronsim import CronSim

    return CronSim(_plain(text), _SOME_DAY)


@lru_cache(maxsize=1024)
def _is_hourly(text: str) -> bool:
    return _EVERY_HOUR.issubset(_compiled(text).hours)


def _plain(text: str) -> str:
    return NICKNAMES.get(text.strip().lower(), text)


def _fields(text: str) -> list[str]:
    return _plain(text).split()


def _check_field(text: str, index: int, field: str) -> None:
    from cronsim import CronSim, CronSimError

    start = 0
    for term in field.split(","):
        alone = ["*"] * 6
        alone[index] = term
        try:
            CronSim(" ".join(alone) if term else "", _SOME_DAY)
        except (CronSimError, AssertionError, ValueError, TypeError):
            name, allowed = _FIELDS[index]
            place = _place(text, index) + start
            raise InvalidOption(
                f"cron {shown(text)}, character {place + 1}: {term!r} is no {name}; "
                f"it takes {allowed}, *, ranges as 1-5, steps as */2 and lists as 1,2"
            ) from None
        start += len(term) + 1


def _place(text: str, index: int) -> int:
    """Return where in the text the field begins."""
    fields = text.split()
    place = 0
    for number, field in enumerate(fields, start=6 - len(fields)):
        place = text.index(field, place)
        if number == index:
            return place
        place += len(field)
    return place
