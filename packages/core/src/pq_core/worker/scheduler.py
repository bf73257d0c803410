"""Ticks schedules: those that the worker's app declares, and all others of the store."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from time import monotonic

import anyio

from pq_core.errors import Unsupported
from pq_core.log import fields
from pq_core.schedule import BETWEEN_DECLARATIONS
from pq_core.worker.bell import Bell
from pq_core.worker.hearing import VERY_SELDOM, between_looks
from pq_core.worker.ticking import Ticker

logger = logging.getLogger("pq_core.worker")

LONGEST_REST = 1.0
SPREAD = 0.05
"""Seconds within which workers come for a tick: the first makes it, and the others find that it was made."""


class Scheduler:
    """One loop, which looks when the next schedule is due, and now and then for schedules that are new.

    Args:
        ticker: stores the jobs.
        interval: seconds between looks, while no news of schedules arrives.
        patience: seconds for the store to answer.
        name: of the worker.
        hears: tells whether the worker hears all news of the store.
    """

    def __init__(
        self,
        ticker: Ticker,
        *,
        interval: float,
        patience: float,
        name: str,
        hears: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ticker = ticker
        self._interval = interval
        self._patience = patience
        self._name = name
        self._hears = hears
        self._changed = False
        self._bell = Bell()
        self._closed = False
        self._busy = False
        self._answered = Bell()

    async def run(self) -> None:
        """Tick until closed."""
        declared = -float("inf")
        while not self._closed:
            self._busy, self._changed = True, False
            try:
                with anyio.fail_after(self._patience):
                    if monotonic() - declared >= BETWEEN_DECLARATIONS.total_seconds():
                        await self._ticker.declare()
                        declared = monotonic()
                    next_in = await self._ticker.tick()
            except Unsupported as error:
                if self._ticker.declared:
                    message = "Worker %s cannot tick its schedules: %s"
                    logger.error(message, self._name, error, extra=fields("schedules_unsupported", worker=self._name))  # noqa: TRY400 - it says it
                return
            finally:
                self._busy = False
                self._answered.ring()
            await self._wait(math.inf if next_in is None else next_in, declared)

    async def _wait(self, next_in: float, declared: float) -> None:
        """Wait until the next schedule is due, or a look at them all, or a declaration."""
        began = monotonic()
        seconds = min(next_in, between_looks(self._interval, VERY_SELDOM, hears=self._hears()))
        if self._ticker.declared:
            seconds = min(seconds, declared + BETWEEN_DECLARATIONS.total_seconds() - began)
        due = began + seconds + random.uniform(0, SPREAD)
        while not self._closed and (left := due - monotonic()) > 0:
            await self._bell.wait(left)
            if self._changed:
                due = min(due, monotonic() + random.uniform(0, SPREAD))

    def look(self) -> None:
        """Tick soon: schedules have changed."""
        self._changed = True
        self._bell.ring()

    def close(self) -> None:
        """Tick no more."""
        self._closed = True
        self._bell.ring()

    async def rest(self) -> None:
        """Ask the store nothing more, and wait a moment for its answer: to cut it off costs a connection."""
        self.close()
        with anyio.move_on_after(LONGEST_REST):
            while self._busy:
                await self._answered.wait()
