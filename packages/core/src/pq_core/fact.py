"""Frozen values made in a hurry, by the thousand: jobs that were fetched, outcomes, contexts of runs.

What attrs generates sets every field of every value. `fact_of` takes the fields that are not as usual; its class stands
for the others. Their classes are such that an instance has a dict: ``attrs.frozen(slots=False)``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import attrs

T = TypeVar("T")
_new, _set = object.__new__, object.__setattr__


def fact_of(kind: type[T], fields: dict[str, Any]) -> T:
    """Return a frozen value with these fields, in a fraction of the time that its class takes. Nothing is checked.

    What has a default may be left out, if the class was told so by :func:`stand_for_defaults`, and what has a
    :class:`Moment` or an :class:`Empty`.
    """
    made = _new(kind)
    _set(made, "__dict__", fields)
    return made


def stand_for_defaults(kind: type[attrs.AttrsInstance]) -> None:
    """Let the class have its fields' defaults as attributes; a field that a value has hides them."""
    for field in attrs.fields(kind):
        if field.default is not attrs.NOTHING and not isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
            setattr(kind, field.name, field.default)


class Moment:
    """A time, given as a field ``..._text`` in ISO 8601, and read when somebody asks.

    Most tasks never do, and to read it takes as long as a call.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, fact: object | None, owner: type | None = None) -> datetime:
        text = None if fact is None else vars(fact).get(f"{self._name}_text")
        if text is None:
            raise AttributeError(self._name)
        return datetime.fromisoformat(text).astimezone(UTC)


class Empty:
    """A list or dict of a value's own, made when somebody asks: nearly all stay empty, and are much to collect."""

    def __init__(self, name: str, make: Callable[[], Any]) -> None:
        self._name = name
        self._make = make

    def __get__(self, fact: object | None, owner: type | None = None) -> Any:
        if fact is None:
            raise AttributeError(self._name)
        return vars(fact).setdefault(self._name, self._make())
