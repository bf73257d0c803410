"""How long to wait, in the forms that users write it, as a timedelta."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypedDict, cast

from pq_core.errors import InvalidJob, InvalidOption, shown
from pq_core.job import check_delay

DAYS_IN_YEAR = 365.25
_YEAR = timedelta(days=DAYS_IN_YEAR)
_UNITS = {
    "years": _YEAR,
    "months": _YEAR / 12,
    "weeks": timedelta(weeks=1),
    "days": timedelta(days=1),
    "hours": timedelta(hours=1),
    "minutes": timedelta(minutes=1),
    "seconds": timedelta(seconds=1),
    "milliseconds": timedelta(milliseconds=1),
    "microseconds": timedelta(microseconds=1),
}
_SHORT_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|[smhdw])\s*")


class Delay(TypedDict, total=False):
    """A length of time, the sum of its parts: ``{"hours": 1, "minutes": 30}``.

    It is a length and knows no calendar: a year has 365.25 days, a month is a twelfth of that, a day has 24 hours. For
    a date of the calendar use `schedule_at`.

    .. versionadded:: 0.1
    """

    years: float
    months: float
    weeks: float
    days: float
    hours: float
    minutes: float
    seconds: float
    milliseconds: float
    microseconds: float


def as_timedelta(value: Delay | timedelta, field: str = "schedule_in") -> timedelta:
    """Return `value` as a timedelta.

    Args:
        value: a timedelta, or a dict of numbers by unit.
        field: how an error names it.

    Raises:
        InvalidJob: a unit is unknown, a part is not a finite number, or the sum is negative or over a thousand years.
    """
    total = value if isinstance(value, timedelta) else _sum(value, field)
    check_delay(field, total)
    return total


def as_wait(value: float | timedelta | Delay, field: str) -> timedelta:
    """Return what :func:`as_timedelta` does; a number means seconds.

    Raises:
        InvalidJob: as there.
    """
    return as_timedelta(_with_unit(value), field)


def as_limit(value: float | timedelta | Delay, field: str) -> timedelta:
    """Return how long something may take; a number means seconds.

    Raises:
        InvalidJob: as for :func:`as_timedelta`; or it is no time at all.
    """
    given = _with_unit(value)
    total = given if isinstance(given, timedelta) else _sum(given, field)
    if total <= timedelta(0):
        raise _invalid(field, value, "leaves no time to run; give more, or None for as long as it likes")
    check_delay(field, total)
    return total


def length(text: str) -> timedelta:
    """Return what a length of time means as it is typed: ``90`` (seconds), ``1h30m``, ``2d`` (ms, s, m, h, d, w).

    Raises:
        InvalidOption: it means nothing, or more than a timedelta can hold.
    """
    try:
        if _SECONDS.fullmatch(text.strip()):
            return timedelta(seconds=float(text))
        parts = _PART.findall(text)
        if parts and not _PART.sub("", text).strip():
            return sum((float(count) * _SHORT_UNITS[unit] for count, unit in parts), timedelta(0))
    except OverflowError:
        raise InvalidOption(f"{shown(text)} is longer than a million years") from None
    raise InvalidOption(
        f"{shown(text)} is not a length of time: give seconds, as 90, or with units, as 1h30m (ms, s, m, h, d, w)"
    )


def _with_unit(value: float | timedelta | Delay) -> timedelta | Delay:
    return {"seconds": value} if isinstance(value, (int, float)) else value


def _sum(parts: object, field: str) -> timedelta:
    if not isinstance(parts, Mapping):
        raise _invalid(field, parts, 'is neither a timedelta nor a dict such as {"minutes": 5}')
    total = timedelta(0)
    for unit, count in cast("Mapping[object, object]", parts).items():
        if not isinstance(unit, str) or unit not in _UNITS:
            raise _invalid(field, parts, f"has the unknown unit {unit!r}; there are {', '.join(_UNITS)}")
        if isinstance(count, bool) or not isinstance(count, (int, float)):
            raise _invalid(field, parts, f"has a count of {unit} that is not a number")
        try:
            total += _UNITS[unit] * count
        except (OverflowError, ValueError):
            raise _invalid(field, parts, "is longer than a thousand years, or no finite number") from None
    return total


def _invalid(field: str, value: Any, why: str) -> InvalidJob:
    return InvalidJob(f"{field} {shown(value)} {why}", field=field, value=value)
