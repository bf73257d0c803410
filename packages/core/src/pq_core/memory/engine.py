"""The engine: one store under one lock, a clock, and bells for those who listen."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import TypeVar

from pq_core.errors import InvalidOption
from pq_core.memory.bells import Bell
from pq_core.memory.store import Operation, Store, apply

Answer = TypeVar("Answer")
Clock = Callable[[], datetime]
"""Tells the time, as an aware datetime."""


def utc_now() -> datetime:
    """Return the real time."""
    return datetime.now(UTC)


class Engine:
    """Carries out operations one at a time, from any thread, and rings the bells when each is done."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.store = Store()
        self._turn = Lock()
        self._bells: list[Bell] = []

    def do(self, operation: Operation[Answer], now: datetime | None = None) -> Answer:
        """Carry out `operation` at `now`, or at the time of the clock."""
        with self._turn:
            moment = _moment(self.clock() if now is None else now)
            answer = apply(self.store, operation, moment)
            if self.store.rung:
                self._ring()
        return answer

    def reset(self) -> None:
        """Forget everything; ids start at 1 again."""
        with self._turn:
            self.store = Store()

    @contextmanager
    def bell(self, queues: Sequence[str] | None) -> Generator[Bell]:
        """Hang up a bell for one listener, in its event loop, and take it down again."""
        bell = Bell(queues)
        with self._turn:
            self._bells.append(bell)
        try:
            yield bell
        finally:
            with self._turn:
                self._bells.remove(bell)

    def ring_for_all(self) -> None:
        """Wake every listener."""
        with self._turn:
            for bell in self._bells:
                bell.ring_for_all()

    def _ring(self) -> None:
        queues, self.store.rung = self.store.rung, set()
        for bell in self._bells:
            bell.ring(queues)


def _moment(now: datetime) -> datetime:
    if now.tzinfo is UTC:
        return now
    if now.utcoffset() is None:
        raise InvalidOption(f"now {now!r} has no time zone; use for example datetime.now(timezone.utc)")
    return now.astimezone(UTC)
