"""A change: where, from what, to what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import attrs

MOST_LINES = 20
"""Changes that are shown one by one."""


@attrs.frozen(kw_only=True)
class Change:
    """One difference between two looks at what is watched; ``str()`` shows it in a line.

    .. versionadded:: 0.1

    Attributes:
        path: where it is, from the name of what is watched: ``"orders[7].charged"``, ``"outbox"``, ``"cart['total']"``.
        kind: ``"changed"``; or ``"added"`` or ``"removed"``: a row of a table, an element of a list or set, a key, an
            attribute. For a row or an element, `path` is where it was added to or removed from.
        before: the value as it was; None if it was added. What is neither a plain value nor a list, tuple or dict of
            such is given as a text that shows it.
        after: the value as it is; None if it was removed.
        text: the change in a line.
    """

    path: str
    kind: Literal["changed", "added", "removed"]
    before: Any = None
    after: Any = None
    text: str = attrs.field(eq=False)

    def __str__(self) -> str:
        return self.text


def listed(changes: Iterable[object], *, most: int = MOST_LINES, indent: str = "  ") -> str:
    """Return changes as lines, at most `most`, then how many more there are."""
    lines: Sequence[str] = [f"{indent}{change}" for change in changes]
    if len(lines) > most:
        lines = [*lines[:most], f"{indent}… and {len(lines) - most} more"]
    return "\n".join(lines)
