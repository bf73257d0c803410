"""Free slots, fetch, run: claims jobs whenever there is room for them and there may be some."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel

from pq_core.answers import Fetched
from pq_core.connector import Connector
from pq_core.errors import LeaseLost, StoreBusy
from pq_core.log import fields
from pq_core.worker.backoff import Backoff
from pq_core.worker.bell import Bell
from pq_core.worker.hearing import SELDOM, between_looks
from pq_core.worker.inventory import Inventory
from pq_core.worker.slots import Slots, clock
from pq_core.worker.writer import Writer
from pq_core.worker_info import WorkerInfo

logger = logging.getLogger("pq_core.worker")

JITTER = 0.1
"""Fraction by which workers differ in their poll interval."""
LONGEST_HOLD = 10.0
"""Seconds for which a worker stops fetching so that a job in its last life may have it for itself."""
BETWEEN_HOLDS = 60.0
"""Seconds for which it does not do so again, after it has waited in vain."""
EMPTY_HANDS = 3
"""Fetches in a row that give nothing and ask for another at once, before there is a nap between: others hold a lock."""
SHORTEST_NAP = 0.005
"""Seconds to wait at least for a job to fall due: clocks differ."""
LONGEST_NAP = 0.5
"""Seconds up to which naps double while all that is due is in others' hands: a transaction may stay open for hours."""


class Dispatcher:
    """Fills the slots, until it is closed or, with ``wait=False``, until there is nothing left to do.

    Args:
        connector: the store.
        info: who the worker is.
        wait: whether to wait for more when nothing is left.
        poll_interval: seconds between fetches without news.
        batch: jobs to claim by one fetch at most.
        patience: seconds for the store to answer.
        slots: where jobs run.
        writer: where their outcomes go.
        inventory: looks for jobs that a failed fetch may have claimed.
        renew: renews the lease.
        hears: tells whether the worker hears all news of the store.
    """

    def __init__(
        self,
        connector: Connector,
        info: WorkerInfo,
        *,
        wait: bool,
        poll_interval: float,
        batch: int,
        patience: float,
        slots: Slots,
        writer: Writer,
        inventory: Inventory,
        renew: Callable[[], Awaitable[None]],
        hears: Callable[[], bool] = lambda: False,
    ) -> None:
        self._connector = connector
        self._info = info
        self._wait = wait
        self._poll_interval = poll_interval * random.uniform(1 - JITTER, 1 + JITTER)
        self._batch = batch
        self._patience = patience
        self._slots = slots
        self._writer = writer
        self._inventory = inventory
        self._renew = renew
        self._hears = hears
        self._bell = Bell()
        self._backoff = Backoff()
        self._called = True
        self._in_vain = 0
        self._room = 0
        self._promised = 0
        self._due = -math.inf
        self._held_until: float | None = None
        self._next_hold = -math.inf
        self._drained = False
        self._closed = False

    def look(self) -> None:
        """Fetch soon: there may be something."""
        self._called = True
        self._in_vain = 0
        self._bell.ring()

    def offer(self) -> int:
        """Fetch soon, as look() says.

        Returns:
            how many jobs the store may claim at once: then the fetch that takes them follows, whatever happens.
        """
        self.look()
        offered, self._room = self._room, 0
        self._promised = self._promised or offered
        return offered

    def nudge(self) -> None:
        """Look at the slots: there may be room."""
        self._bell.ring()

    def close(self) -> None:
        """Fetch no more; give back what has not started."""
        self._closed = True
        self._room = 0
        self._slots.give_back()
        self._bell.ring()

    async def run(self) -> None:
        """Fetch until closed, or drained; return when all jobs have ended and all outcomes are written."""
        while self._promised or not (self._closed or self._drained):
            self._give_back_overdue()
            wanted = self._promised or self._wanted()
            if self._promised or (wanted and (self._called or clock() >= self._due)):
                if await self._fetch(wanted):
                    await anyio.lowlevel.checkpoint()  # few came: they start before more are looked for
            else:
                self._room = 0 if self._inventory.due else wanted
                await self._bell.wait(self._pause(wanted))
                self._room = 0
        while not self._idle:
            await self._bell.wait()

    @property
    def _idle(self) -> bool:
        return not self._slots.busy and not self._writer.unwritten

    def _wanted(self) -> int:
        """Return how many jobs to fetch, 0 for none now."""
        if self._held_until is not None:
            if not self._idle and clock() < self._held_until:
                return 0
            if not self._idle:
                self._next_hold = clock() + BETWEEN_HOLDS
            self._held_until = None
        if self._writer.unwritten > 2 * self._batch:  # the store takes no outcomes: it must not give us more jobs
            return 0
        return min(self._slots.wanted(), self._batch)

    def _pause(self, wanted: int) -> float | None:
        """Return the seconds after which to look again without a ring."""
        now = clock()
        moments = [self._due - now] if wanted else []
        if self._held_until is not None and self._held_until < math.inf:
            moments.append(self._held_until - now)
        overdue = self._slots.overdue(now)
        if overdue is not None:
            moments.append(overdue)
        return max(0.0, min(moments)) if moments else None

    async def _fetch(self, limit: int) -> bool:
        """Fetch, and hand out what was claimed; return whether that was something, and less than asked for."""
        self._called = False
        promised, self._promised = self._promised, 0
        idle = False
        try:
            if self._inventory.due and not promised:  # what was claimed meanwhile is not lost
                with anyio.fail_after(self._patience):
                    await self._inventory.check()
            idle = self._idle  # as it was before the fetch: what ends meanwhile may leave jobs behind
            with anyio.fail_after(self._patience):
                fetched = await self._connector.fetch(self._info.id, self._info.queues, limit)
        except LeaseLost as error:
            await self._take_up_lease(error)
        except Exception as error:  # noqa: BLE001 - a broken store is waited out
            if not isinstance(error, StoreBusy):  # whatever else it is, the store may have claimed jobs before
                self._inventory.suspect()
            await self._rest(error, "fetch_failed", "A fetch failed")
        else:
            self._backoff.reset()
            self._take(fetched, limit)
            if idle and not self._wait and not fetched.jobs and not fetched.again:
                self._drained = True
            return 0 < len(fetched.jobs) < limit
        return False

    def _take(self, fetched: Fetched, limit: int) -> None:
        now = clock()
        due = fetched.again or (fetched.next_in is not None and fetched.next_in <= 0)
        in_vain = due and not fetched.jobs and not fetched.set_aside
        self._in_vain = self._in_vain + 1 if in_vain else 0
        hopeful = fetched.again and self._in_vain <= EMPTY_HANDS
        self._called = self._called or hopeful or len(fetched.jobs) >= limit
        nap = min(SHORTEST_NAP * 2.0 ** min(max(self._in_vain - EMPTY_HANDS, 0), 10), LONGEST_NAP)
        soon = math.inf if fetched.next_in is None else max(fetched.next_in, nap)
        if fetched.again:
            soon = nap
        self._due = now + min(between_looks(self._poll_interval, SELDOM, hears=self._hears()), soon)
        self._slots.put(fetched.jobs)
        if self._closed:
            self._slots.give_back()
        elif any(job.losses >= job.max_losses - 1 for job in fetched.jobs):
            self._held_until = math.inf
        elif fetched.solo and now >= self._next_hold:
            self._held_until = now + LONGEST_HOLD

    async def _take_up_lease(self, error: LeaseLost) -> None:
        logger.warning(
            "The lease of worker %s was lost, so others may run its jobs; it takes up a new one: %s",
            self._info.name,
            error,
            extra=fields("lease_lost", worker=self._info.name),
        )
        self._called = True
        try:
            await self._renew()
        except Exception as reason:  # noqa: BLE001 - as above
            await self._rest(reason, "heartbeat_failed", "The lease could not be renewed")

    async def _rest(self, error: Exception, action: str, what: str) -> None:
        seconds = self._backoff.next()
        logger.warning(
            "%s; the next try is in %.1f s: %s: %s",
            what,
            seconds,
            type(error).__name__,
            error,
            extra=fields(action, retry_in=seconds, worker=self._info.name),
        )
        self._called = True
        deadline = clock() + seconds
        while not self._closed and (left := deadline - clock()) > 0:
            await self._bell.wait(left)

    def _give_back_overdue(self) -> None:
        count = self._slots.give_back_overdue()
        if count:
            logger.info(
                "%s jobs were claimed ahead and could not start; they go back to their queues",
                count,
                extra=fields("jobs_given_back", count=count, worker=self._info.name),
            )
