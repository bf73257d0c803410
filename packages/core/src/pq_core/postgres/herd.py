"""Of many idle workers few come for one job: each waits a moment that chance has chosen, and stays if it was taken."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from pq_core.postgres.notices import Notice, after


class Herd:
    """Passes the notices of one listener on, late enough for others to have come first. For one event loop.

    Args:
        wake: is called when it is time to look.
        queues: for whose notices it wakes; None: for those of every queue.
        spread: tells the seconds within which to wake.
        came_late: is called if somebody else was sooner.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        queues: frozenset[str] | None,
        *,
        spread: Callable[[], float],
        came_late: Callable[[], None],
    ) -> None:
        self.queues = queues
        self._wake = wake
        self._spread = spread
        self._came_late = came_late
        self._waiting: list[Notice] = []
        self._timer: asyncio.TimerHandle | None = None

    def hear(self, notice: Notice) -> None:
        """Wake for a notice of one of its queues, at once or later."""
        if self.queues is not None and notice.queue not in self.queues:
            return
        spread = self._spread()
        if not spread:
            self.close()
            self._wake()
            return
        self._waiting.append(notice)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(random.uniform(0, spread), self._come)

    def watch(self, notices: list[Notice], seconds: float) -> None:
        """Wake after that long, unless somebody is heard to have seen to these notices: it has begun to, it seems."""
        self._waiting = notices + self._waiting  # which have been told since
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._come)

    def taken(self, queue: str, transaction: int) -> None:
        """Stay, unless something was told after that transaction: all before has been looked at."""
        left = after(self._waiting, queue, transaction)
        if len(left) < len(self._waiting):
            self._waiting = left
            if not left:
                self.close()
                self._came_late()

    def close(self) -> None:
        """Wake for nothing that was told so far."""
        self._waiting = []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _come(self) -> None:
        self.close()
        self._wake()
