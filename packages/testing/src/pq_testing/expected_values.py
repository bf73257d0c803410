"""Values that a test expects among a job's arguments, compared as JSON carries them, or by what knows better."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from numbers import Number
from typing import Any, TypeGuard

import attrs

from pq_core.errors import InvalidArguments
from pq_core.payload import dump
from pq_testing.job_lines import brief, cut

_PROBES: tuple[Any, ...] = (None, True, 0, 0.5, "", [], {})
"""One of each kind that JSON has."""


@attrs.frozen
class Difference:
    """Something about a job that is other than expected.

    Attributes:
        what: the argument, with the way to the place inside of it, such as ``order['items'][0]``; or a job's field.
        expected: in a few words.
        found: in a few words.
    """

    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what}: {self.expected} expected, {self.found} found"


@attrs.frozen
class Matcher:
    """Stands for every value that it calls equal: `unittest.mock.ANY`, `pytest.approx(...)`, one of dirty_equals."""

    value: Any

    def fits(self, found: Any) -> bool:
        """Whether it calls `found` equal."""
        return bool(self.value == found)

    def __repr__(self) -> str:
        return brief(self.value)


@attrs.frozen
class Predicate:
    """Stands for every value for which a function of the test says yes."""

    ask: Callable[[Any], Any]

    def fits(self, found: Any) -> bool:
        """Whether the function says yes to `found`."""
        return bool(self.ask(found))

    def __repr__(self) -> str:
        return str(getattr(self.ask, "__qualname__", brief(self.ask))).rpartition("<locals>.")[2]


def expected_value(value: Any, path: str) -> Any:
    """Return a value in the form that :func:`differences` takes: JSON's own, with matchers wherever the test has some.

    Args:
        value: what JSON can carry; or in place of it, or inside, a matcher or a function that is given the value found.
        path: how an error names it.

    Raises:
        InvalidArguments: JSON cannot carry it, so that no job has it.
    """
    if _is_list(value):
        return [expected_value(item, f"{path}[{place}]") for place, item in enumerate(value)]
    if _is_dict(value):
        dump(dict.fromkeys(value), path)
        return {key: expected_value(item, f"{path}[{key!r}]") for key, item in value.items()}
    if value is None or isinstance(value, (str, int, float)):
        dump(value, path)
        return value
    if _is_matcher(value):
        return Matcher(value)
    if isinstance(value, type):
        raise InvalidArguments(
            f"{path} = {brief(value)} is a class, and no value of a job; for any value of it, give "
            f"lambda value: isinstance(value, {value.__name__})",
            field="args",
            value=value,
        )
    if callable(value) and not _is_mock(value):
        return Predicate(value)
    dump(value, path)
    return value


def differences(expected: Any, found: Any, path: str) -> Iterator[Difference]:
    """Yield where a value of a job is not as expected, the innermost places, in the order of what is expected.

    Args:
        expected: as :func:`expected_value` returns it.
        found: as JSON carried it.
        path: what the messages call it.
    """
    if isinstance(expected, Matcher):
        if not expected.fits(found):
            yield Difference(path, repr(expected), brief(found))
    elif isinstance(expected, Predicate):
        if not expected.fits(found):
            yield Difference(path, f"a value that {expected!r} accepts", brief(found))
    elif _is_dict(expected) and _is_dict(found):
        yield from _in_dict(expected, found, path)
    elif _is_list(expected) and _is_list(found):
        yield from _in_list(expected, found, path)
    elif not _same(expected, found):
        yield Difference(path, *_texts(expected, found))


def _in_dict(expected: dict[str, Any], found: dict[str, Any], path: str) -> Iterator[Difference]:
    for key, value in expected.items():
        if key in found:
            yield from differences(value, found[key], f"{path}[{key!r}]")
        else:
            yield Difference(f"{path}[{cut(repr(key), 40)}]", brief(value), "nothing")
    for key, value in found.items():
        if key not in expected:
            yield Difference(f"{path}[{cut(repr(key), 40)}]", "nothing", brief(value))


def _in_list(expected: Sequence[Any], found: Sequence[Any], path: str) -> Iterator[Difference]:
    if len(expected) != len(found):
        yield Difference(path, f"{brief(expected)} ({len(expected)} long)", f"{brief(found)} ({len(found)} long)")
        return
    for place, (one, other) in enumerate(zip(expected, found, strict=True)):
        yield from differences(one, other, f"{path}[{place}]")


def _same(expected: Any, found: Any) -> bool:
    """Compare as JSON does: true is not 1, whatever Python says; 1.0 is 1."""
    return isinstance(expected, bool) is isinstance(found, bool) and bool(expected == found)


def _texts(expected: Any, found: Any) -> tuple[str, str]:
    """Return two values in a few words that differ, though the values may differ at their ends only."""
    one, other = brief(expected), brief(found)
    if one != other or not (isinstance(expected, str) and isinstance(found, str)):
        return one, other
    first = next((place for place, (a, b) in enumerate(zip(expected, found, strict=False)) if a != b), None)
    if first is None:
        return f"{one} ({len(expected)} characters)", f"{other} ({len(found)} characters)"
    start = max(0, first - 20)
    return (
        f"...{brief(expected[start : first + 20])}",
        f"...{brief(found[start : first + 20])} (from character {start})",
    )


def _is_dict(value: Any) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, (list, tuple))


def _is_matcher(value: Any) -> bool:
    """Whether `value` can tell whether it equals a value of JSON; what is merely of another kind cannot."""
    if isinstance(value, Number) or _is_mock(value):
        return False  # Decimal("0.1") is able to say that it is not 0.1
    equals: Callable[..., Any] = type(value).__eq__
    return any(_says(equals, value, probe) is not NotImplemented for probe in _PROBES)


def _says(equals: Callable[..., Any], value: Any, probe: Any) -> Any:
    try:
        return equals(value, probe)
    except Exception:  # noqa: BLE001 - it looked into the value, so it means to compare
        return False


def _is_mock(value: object) -> bool:
    """Whether it is a mock, which would call everything true."""
    mock = sys.modules.get("unittest.mock")
    return mock is not None and isinstance(value, mock.NonCallableMock)
