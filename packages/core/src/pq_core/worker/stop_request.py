"""The wish that a worker stop, which may come from any thread, and before the worker runs."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

import anyio

from pq_core.event_loop import call_soon_in_loop


class StopRequest:
    """Made anywhere, heard in one event loop at a time. It counts for one run of the worker."""

    def __init__(self) -> None:
        self._made = False
        self._heard: anyio.Event | None = None
        self._call_in_loop: Callable[[Callable[[], None]], Any] | None = None

    @property
    def made(self) -> bool:
        """Whether it is made, and counts for the run to come, or for this one."""
        return self._made

    def make(self) -> None:
        """Ask the worker to stop, now or, if it does not run, as soon as it does."""
        self._made = True
        heard = self._heard
        if heard is not None:
            self.call(heard.set)

    def call(self, act: Callable[[], None]) -> None:
        """Have `act` called in the event loop in which the worker runs, if it does."""
        call_in_loop = self._call_in_loop
        if call_in_loop is not None:
            with suppress(RuntimeError):  # the loop has just ended
                call_in_loop(act)

    @contextmanager
    def heard_here(self) -> Generator[anyio.Event]:
        """Give the event of this event loop that is set when the request is made."""
        self._call_in_loop = call_soon_in_loop()
        heard = self._heard = anyio.Event()
        if self._made:
            heard.set()
        try:
            yield heard
        finally:
            self._call_in_loop = self._heard = None
            self._made = False
