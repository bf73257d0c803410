"""Takes pictures of objects."""

from __future__ import annotations

import io
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MappingProxyType, MethodType, ModuleType
from typing import Any
from uuid import UUID

import attrs

from pq_testing.effects.errors import TooMuchToWatch
from pq_testing.effects.picture import Heap, Leaf, Parts, Picture, Row, shown

MOST_PARTS = 200_000
"""Values in one picture. Half a second, or an object that holds on to the whole program."""
DEEPEST = 40
"""Levels of a picture; what is below them is compared by its repr."""

PLAIN: tuple[type[Any], ...] = (
    int,
    float,
    complex,
    str,
    bytes,
    Decimal,
    Fraction,
    date,
    time,
    timedelta,
    tzinfo,
    UUID,
    range,
    slice,
)
SCALARS = frozenset({type(None), type(...), type(NotImplemented), bool, *PLAIN})
SEQUENCES: tuple[type[Any], ...] = (list, tuple, deque)
SETS: tuple[type[Any], ...] = (set, frozenset)
DICTS: tuple[type[Any], ...] = (dict, MappingProxyType)
BYTES: tuple[type[Any], ...] = (bytearray, memoryview)
CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)
STRANGERS = frozenset(
    {
        "_thread", "_weakref", "anyio", "asyncio", "concurrent", "contextvars", "django", "logging", "multiprocessing",
        "pq_core", "pq_testing", "psycopg", "psycopg2", "psycopg_pool", "selectors", "socket", "sqlalchemy", "sqlite3",
        "ssl", "subprocess", "threading", "trio", "weakref",
    }
)  # fmt: skip
"""Packages whose objects lead from what a test means to the machinery around it: a row's ORM session, a lock."""

RANGES = frozenset({"Range", "Multirange"})
"""Classes of these packages whose objects are values of a column: their text is all that they are."""


def take(value: object, name: str, *, whole: bool = False) -> Picture:
    """Return a picture of a value, and of all that it holds; `whole`: also if it is a class or a module.

    Raises:
        TooMuchToWatch: it holds more than can be compared; `name` says of what.
    """
    return _Camera(name).take(value, whole=whole)


@attrs.define
class _Camera:
    name: str
    taken: int = 0
    inside: list[int] = attrs.field(factory=list[int])

    def take(self, value: Any, *, whole: bool = False) -> Picture:
        """Return the picture of a value; `whole`: of a class or module what it holds, not just which it is."""
        self._count()
        if type(value) in SCALARS:
            return Leaf(value)
        if isinstance(value, CODE) and not (whole and isinstance(value, (type, ModuleType))):
            return Leaf(value if isinstance(value, (type, ModuleType)) else shown(value), shown(value))
        if isinstance(value, Enum):
            return Leaf(
                str.__str__(f"{type(value).__qualname__}.{value.name}"), f"{type(value).__qualname__}.{value.name}"
            )
        if id(value) in self.inside:
            return Leaf(f"<the same {type(value).__qualname__} again>", f"<the same {type(value).__qualname__} again>")
        if len(self.inside) >= DEEPEST:
            return Leaf(shown(value), shown(value))
        self.inside.append(id(value))
        try:
            return self._open(value)
        finally:
            self.inside.pop()

    def _open(self, value: Any) -> Picture:
        if is_mock(value):
            return Row(("[", "]"), tuple(Leaf(shown(call), shown(call)) for call in value.mock_calls))
        if isinstance(value, DICTS):
            return self._mapping(value if issubclass(type(value), dict) else dict(value))
        if isinstance(value, SEQUENCES):
            if hasattr(value, "_fields"):
                return self._parts(value, dict(zip(value._fields, value, strict=False)))
            return Row(("(", ")") if issubclass(type(value), tuple) else ("[", "]"), tuple(map(self.take, value)))
        if isinstance(value, SETS):
            return Heap(tuple(sorted(map(self.take, value), key=str)))
        if isinstance(value, BYTES):
            return Leaf(bytes(value))
        return self._object(value)

    def _mapping(self, value: dict[Any, Any]) -> Parts:
        steps, parts = dict[str, Any](), dict[str, Picture]()
        pairs: Iterable[tuple[Any, Any]] = dict[Any, Any].items(
            value
        )  # not by the class's own items(), which may be a user's
        for key, part in pairs:
            step = f"[{self.take(key)}]"
            steps[step], parts[step] = key, self.take(part)
        return Parts("dict", "dict", parts, steps)

    def _object(self, value: Any) -> Picture:
        if isinstance(value, (io.StringIO, io.BytesIO)):
            return Leaf(None if value.closed else value.getvalue())
        if isinstance(value, (*PLAIN, PurePath, BaseException)):  # their attributes are caches, or not what they hold
            return Leaf(shown(value), shown(value))
        package = type(value).__module__.partition(".")[0]
        holder = value.__name__ if isinstance(value, (type, ModuleType)) else type(value).__qualname__
        if package in STRANGERS and _is_range(value):
            return Leaf(shown(value), shown(value))
        if package in STRANGERS:
            return Leaf(f"<{holder}>", f"<{holder}>")
        fields = fields_of(value)
        memory = None if fields else _memory(value)
        if fields is None or memory is not None:
            return Leaf((shown(value), memory), shown(value))
        return self._parts(value, fields)

    def _parts(self, value: Any, fields: Mapping[str, Any]) -> Parts:
        name = value.__name__ if isinstance(value, (type, ModuleType)) else type(value).__qualname__
        return Parts("object", name, {f".{field}": self.take(part) for field, part in fields.items()})

    def _count(self) -> None:
        self.taken += 1
        if self.taken > MOST_PARTS:
            raise TooMuchToWatch(
                f"{self.name} leads to more than {MOST_PARTS:,} values, which are too many to compare: watch a part of "
                f"it, or a function that returns what matters, as in watch(lambda: len({self.name}), name='length')."
            )


def _is_range(value: object) -> bool:
    return any(made.__name__ in RANGES for made in type(value).__mro__)


def _memory(value: Any) -> bytes | None:
    """Return the bytes of an array, which shows only some of them; None if it is no such thing."""
    try:
        return memoryview(value).tobytes()
    except Exception:  # noqa: BLE001 - whatever it refuses with
        return None


def is_mock(value: object) -> bool:
    """Return whether a value is one of unittest's mocks; without importing them, if nobody has."""
    mocks = sys.modules.get("unittest.mock")
    return mocks is not None and isinstance(value, mocks.NonCallableMock)


def fields_of(value: Any) -> dict[str, Any] | None:
    """Return what an object, class or module holds by name, in an order that does not change; None if nothing can be.

    Neither properties nor `__getattr__` are asked: they could do anything.
    """
    if isinstance(value, (type, ModuleType)):
        held = {name: part for name, part in vars(value).items() if _is_state(name, part)}
        return dict(sorted(held.items()))
    fields: dict[str, Any] = {}
    for cls in reversed(type(value).__mro__):
        slots: Any = cls.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else tuple(slots):
            if slot.startswith("__") and slot.endswith("__"):  # Python's own, or a library's
                continue
            name = f"_{cls.__name__.lstrip('_')}{slot}" if slot.startswith("__") else slot
            with suppress(AttributeError):  # a slot that was never filled
                fields[name] = object.__getattribute__(value, name)
    try:
        held = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return fields or None
    return fields | dict(held)


def _is_state(name: str, part: object) -> bool:
    if name.startswith("__") and name.endswith("__"):
        return False
    if isinstance(part, (*CODE, classmethod, staticmethod, property, GetSetDescriptorType)):
        return False
    return type(part).__module__ != "functools"
