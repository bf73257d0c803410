"""Pictures: what an object is made of at one moment, in values that do not change with it.

A picture is taken without running code of the user's: no `__eq__`, no property, and a `__repr__` only of what does not
show what it is made of, and of what a mock was called with. :mod:`pq_testing.effects.difference` compares two of them.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import attrs

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
MOST_TEXT = 160
"""Characters of a value that are shown."""


@attrs.frozen(eq=False)
class Leaf:
    """A value that has no parts.

    Attributes:
        value: itself if it cannot change, else a text that stands for it.
        shown: how it is shown, if not by its repr.
    """

    value: Any
    shown: str | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Leaf) or type(self.value) is not type(other.value):
            return False
        return self.value is other.value or bool(self.value == other.value) or (self._is_nan and other._is_nan)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return _cut(shown(self.value) if self.shown is None else self.shown)

    @property
    def _is_nan(self) -> bool:
        return bool(self.value != self.value)

    @property
    def plain(self) -> Any:
        """What a `Change` gives to a test."""
        return self.value if self.shown is None else self.shown


@attrs.frozen
class Row:
    """Elements in an order: of a list, tuple, deque.

    Attributes:
        brackets: what surrounds it when it is shown.
    """

    brackets: tuple[str, str]
    items: tuple[Picture, ...]

    def __str__(self) -> str:
        inside = ", ".join(map(str, self.items))
        comma = "," if self.brackets == ("(", ")") and len(self.items) == 1 else ""
        return _cut(f"{self.brackets[0]}{inside}{comma}{self.brackets[1]}")

    @property
    def plain(self) -> Any:
        """What a `Change` gives to a test."""
        plain = [item.plain for item in self.items]
        return tuple(plain) if self.brackets == ("(", ")") else plain


@attrs.frozen
class Heap:
    """Elements without an order, each as often as it is there: of a set. They stand in the order of their texts."""

    items: tuple[Picture, ...]

    def __str__(self) -> str:
        return _cut("{" + ", ".join(map(str, self.items)) + "}") if self.items else "set()"

    @property
    def plain(self) -> Any:
        """What a `Change` gives to a test."""
        return str(self)


@attrs.frozen
class Parts:
    """Parts with names: of a dict or of an object.

    Attributes:
        kind: ``"dict"`` or ``"object"``.
        name: the class of an object.
        items: by step, which is how a path goes on to the part: ``"['total']"``, ``".charged"``.
        keys: of a dict, by step: the keys themselves.
    """

    kind: Literal["dict", "object"]
    name: str
    items: dict[str, Picture]
    keys: dict[str, Any] = attrs.field(factory=dict[str, Any], eq=False)

    def __str__(self) -> str:
        if self.kind == "dict":
            return _cut("{" + ", ".join(f"{step[1:-1]}: {part}" for step, part in self.items.items()) + "}")
        return _cut(f"{self.name}(" + ", ".join(f"{step[1:]}={part}" for step, part in self.items.items()) + ")")

    @property
    def plain(self) -> Any:
        """What a `Change` gives to a test."""
        if self.kind == "dict":
            return {self.keys.get(step, step): part.plain for step, part in self.items.items()}
        return str(self)


Picture = Leaf | Row | Heap | Parts


def shown(value: object) -> str:
    """Return the repr of a value, without addresses in memory; whatever the value is."""
    try:
        text = repr(value)
    except Exception as broken:  # noqa: BLE001 - the user's __repr__ may raise anything
        text = f"<{type(value).__qualname__} whose repr raises {type(broken).__name__}>"
    return ADDRESS.sub("", text)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"
