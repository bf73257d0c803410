"""The engine: one store under one lock, a clock, and bells for those who listen."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import TypeVar
from weakref import WeakSet

from pq_core.clock import Clock
from pq_core.given import check_now
from pq_core.memory.bells import Bell
from pq_core.memory.store import Operation, Store, apply

Answer = TypeVar("Answer")


class Engine:
    """Carries out operations one at a time, from any thread, and rings the bells when each is done."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.store = Store()
        self._turn = Lock()
        self._bells: list[Bell] = []
        self._watches: dict[int, list[Callable[[], object]]] = {}
        _engines.add(self)

    def do(self, operation: Operation[Answer], now: datetime | None = None) -> Answer:
        """Carry out `operation` at `now`, or at the time of the clock."""
        with self._turn:
            moment = check_now(self.clock() if now is None else now).astimezone(UTC)
            answer = apply(self.store, operation, moment)
            if self.store.rung:
                self._ring()
            if self._watches:
                self._tell_watches()
        return answer

    def reset(self) -> None:
        """Forget everything; ids start at 1 again."""
        with self._turn:
            self.store = Store()
            self._tell_watches()

    @contextmanager
    def watching(self, number: int, ring: Callable[[], object]) -> Generator[None]:
        """Call `ring` when a job is not live any more, in the thread that has ended it."""
        with self._turn:
            self._watches.setdefault(number, []).append(ring)
        try:
            yield
        finally:
            with self._turn, suppress(KeyError, ValueError):  # It was left behind by a fork.
                self._watches[number].remove(ring)
                if not self._watches[number]:
                    del self._watches[number]

    @contextmanager
    def bell(self, queues: Sequence[str] | None) -> Generator[Bell]:
        """Hang up a bell for one listener, in its event loop, and take it down again."""
        bell = Bell(queues)
        with self._turn:
            self._bells.append(bell)
        try:
            yield bell
        finally:
            with self._turn, suppress(ValueError):  # It was deaf, or left behind by a fork.
                self._bells.remove(bell)

    def pause_for_fork(self) -> None:
        """Let no other thread be in the midst of an operation when the process forks."""
        self._turn.acquire()

    def go_on_after_fork(self, *, in_child: bool) -> None:
        """Work again: in a child with a copy of all jobs, and without the listeners, who stay behind."""
        if in_child:
            self._bells.clear()
            self._watches.clear()
        self._turn.release()

    def ring_for_all(self) -> None:
        """Wake every listener."""
        with self._turn:
            for bell in self._bells:
                bell.ring_for_all()
            self._take_deaf_bells_down()

    def _ring(self) -> None:
        queues, self.store.rung = self.store.rung, set()
        for bell in self._bells:
            bell.ring(queues)
        self._take_deaf_bells_down()

    def _tell_watches(self) -> None:
        for number, rings in self._watches.items():
            if number not in self.store.live:
                for ring in rings:
                    ring()

    def _take_deaf_bells_down(self) -> None:
        if any(bell.deaf for bell in self._bells):
            self._bells = [bell for bell in self._bells if not bell.deaf]


_engines: WeakSet[Engine] = WeakSet()
_paused: list[Engine] = []
_forking = Lock()
"""Held from before a fork until after it: several threads may fork at once."""


def _before_fork() -> None:
    _forking.acquire()
    _paused.extend(_engines)
    for engine in _paused:
        engine.pause_for_fork()


def _after_fork(*, in_child: bool) -> None:
    while _paused:
        _paused.pop().go_on_after_fork(in_child=in_child)
    _forking.release()


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=partial(_after_fork, in_child=False),
        after_in_child=partial(_after_fork, in_child=True),
    )
