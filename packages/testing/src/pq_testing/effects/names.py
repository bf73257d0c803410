"""What a watched object is called, if the test does not say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import FrameType, ModuleType
from typing import Any

from pq_testing.effects.camera import fields_of

MOST_NAMES = 2_000
"""Names that are looked through."""


def name_of(value: object, frame: FrameType | None) -> str:
    """Return the name by which a frame knows an object: a variable, or an attribute of one; else its type's."""
    if isinstance(value, ModuleType):
        return value.__name__.rpartition(".")[2]
    if frame is not None:
        for name, found in _known(frame):
            if found is value:
                return name
    named: Any = getattr(value, "__name__", None) if callable(value) else None
    return named if isinstance(named, str) and named.isidentifier() else type(value).__qualname__


def _known(frame: FrameType) -> Iterator[tuple[str, object]]:
    """Yield the variables of a frame, then the attributes of those; without running code of theirs."""
    scopes: list[Mapping[str, Any]] = [frame.f_locals, frame.f_globals]
    variables = [
        (name, value) for scope in scopes for name, value in list(scope.items())[:MOST_NAMES] if name[:1] != "_"
    ]
    yield from variables
    for name, holder in variables:
        if isinstance(holder, _PARTLESS):
            continue
        for attribute, value in (fields_of(holder) or {}).items():
            yield f"{name}.{attribute}", value


_PARTLESS = (str, bytes, int, float, list, dict, set, tuple)
