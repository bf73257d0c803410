"""How long to leave a broken thing alone before it is tried again."""

from __future__ import annotations

import random

import attrs


@attrs.define
class Backoff:
    """Waits that double from `first` to `longest` seconds, each spread by half: workers must not come back together."""

    first: float = 0.1
    longest: float = 10.0
    _failures: int = attrs.field(default=0, init=False)

    def next(self) -> float:
        """Return the seconds to wait after one more failure."""
        seconds = min(self.first * 2.0**self._failures, self.longest)
        self._failures = min(self._failures + 1, 30)
        return seconds * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Forget the failures: it worked."""
        self._failures = 0
