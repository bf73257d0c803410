"""Ticks schedules: those that the worker's app declares, and all others of the store."""

from __future__ import annotations

import logging
import random
from time import monotonic

import anyio

from pq_core.errors import Unsupported
from pq_core.log import fields
from pq_core.schedule import BETWEEN_DECLARATIONS
from pq_core.worker.bell import Bell
from pq_core.worker.ticking import Ticker

logger = logging.getLogger("pq_core.worker")

LONGEST_REST = 1.0
SPREAD = 0.05
"""Seconds within which workers come for a tick: the first makes it, and the others find that it was made."""


class Scheduler:
    """One loop, which looks when the next schedule is due, and each `interval` for schedules that are new.

    Args:
        ticker: stores the jobs.
        interval: seconds.
        patience: seconds for the store to answer.
        name: of the worker.
    """

    def __init__(self, ticker: Ticker, *, interval: float, patience: float, name: str) -> None:
        self._ticker = ticker
        self._interval = interval
        self._patience = patience
        self._name = name
        self._bell = Bell()
        self._closed = False
        self._busy = False
        self._answered = Bell()

    async def run(self) -> None:
        """Tick until closed."""
        declared = -float("inf")
        while not self._closed:
            self._busy = True
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
            seconds = self._interval if next_in is None else min(self._interval, next_in)
            await self._bell.wait(seconds + random.uniform(0, SPREAD))

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
