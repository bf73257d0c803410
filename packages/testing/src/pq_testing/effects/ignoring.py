"""Which changes of an object do not count."""

from __future__ import annotations

import re
from typing import Any

import attrs

from pq_core.errors import InvalidOption, shown
from pq_testing.effects.change import Change


@attrs.frozen
class Ignored:
    """Patterns for paths below the watched object: ``"updated_at"``, ``"calls[*].at"``, ``"*.seen"``, ``"['total']"``.

    A star stands for anything. What is below an ignored path is ignored, too.
    """

    patterns: tuple[re.Pattern[str], ...]

    @classmethod
    def make(cls, given: object) -> Ignored:
        """Read what the user wrote.

        Raises:
            InvalidOption: it is not a list of texts.
        """
        return cls(tuple(_pattern(text) for text in texts(given)))

    def covers(self, change: Change, root: str) -> bool:
        """Return whether a change of what is watched as `root` does not count."""
        below = change.path.removeprefix(root)
        return any(pattern.match(below) for pattern in self.patterns)


def texts(given: object) -> list[str]:
    """Return the texts of an `ignore=`.

    Raises:
        InvalidOption: it is one text, or not all are texts.
    """
    found: list[Any] | None = list(given) if isinstance(given, (list, tuple, set, frozenset)) else None  # pyright: ignore[reportUnknownArgumentType]
    if found is None or not all(isinstance(each, str) and each for each in found):
        raise InvalidOption(f'ignore {shown(given)} is not a list of texts such as ["orders.updated_at"]')  # pyright: ignore[reportUnknownArgumentType]
    return found


def check_name(given: object) -> str:
    """Return what a watched object is to be called.

    Raises:
        InvalidOption: it is not a text, or an empty one.
    """
    if not isinstance(given, str) or not given:
        raise InvalidOption(f"name {shown(given)} is not a text of at least one character")
    return given


def _pattern(text: str) -> re.Pattern[str]:
    inside = ".*".join(map(re.escape, text.removeprefix(".").split("*")))
    return re.compile(rf"\.?{inside}(?=$|[.\[])")
