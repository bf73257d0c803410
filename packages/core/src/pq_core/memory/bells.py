"""Bells: how a change made in any thread wakes a listener in its event loop.

A bell lives only as long as its listener listens, so none is left behind in a loop that has been closed.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from pq_core.event_loop import call_soon_in_loop

if TYPE_CHECKING:
    import anyio


class Bell:
    """A bell for one listener. Made in its event loop, asyncio's or trio's; rung from any thread.

    Attributes:
        queues: those it rings for; None means every queue.
        deaf: whether its loop has been closed. To keep it is to keep the loop.
    """

    def __init__(self, queues: Collection[str] | None) -> None:
        self.queues = None if queues is None else frozenset(queues)
        self.deaf = False
        self._rings = _event()
        self._rung = False
        self._call_in_loop = call_soon_in_loop()

    def ring(self, queues: Collection[str]) -> None:
        """Ring, if it is for one of `queues`. Many rings before the listener wakes are one."""
        if self._rung or not (self.queues is None or self.queues.intersection(queues)):
            return
        self.ring_for_all()

    def ring_for_all(self) -> None:
        """Ring, whatever it is for."""
        self._rung = True
        try:
            self._call_in_loop(self._set)
        except RuntimeError:  # The loop is closed.
            self.deaf = True

    async def wait(self) -> None:
        """Wait until it has rung since the last wait."""
        await self._rings.wait()
        self._rings = _event()
        # From here on, a ring is a new one; what rang before, the listener has yet to look at.
        self._rung = False

    def _set(self) -> None:
        self._rings.set()


def _event() -> anyio.Event:
    import anyio  # A caller that only defers shall not pay for it.

    return anyio.Event()
