"""Keeps the worker's lease, tells of progress, stops jobs that were cancelled, gives back the jobs of the dead.

And it forgets old history.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from time import monotonic

import anyio

from pq_core.answers import ToStop
from pq_core.connector import Connector
from pq_core.events import Hooks
from pq_core.log import fields
from pq_core.worker.backoff import Backoff
from pq_core.worker.bell import Bell
from pq_core.worker.losses import tell_of_losses
from pq_core.worker.retention import Forgetting, Retention, forget, plan
from pq_core.worker.slots import Slots
from pq_core.worker.words import Words, as_progress
from pq_core.worker_info import WorkerInfo

logger = logging.getLogger("pq_core.worker")

BEATS_PER_LEASE = 3
LONGEST_BETWEEN_RESCUES = 5.0
LEASES_BETWEEN_RESCUES = 2
"""So long it may be while the worker is idle, hears all news, and its heartbeats tell whose lease runs out."""
LATE = 1.2
"""So many times the usual pause a heartbeat may come after another; what runs out before is planned for."""
LONGEST_SPREAD = 2.0
"""Seconds within which workers come for the jobs of a dead one: the first gets them."""
BETWEEN_PRUNES = 3600.0
LONGEST_PRUNE = 900.0
LONGEST_REST = 1.0
BETWEEN_WORDS = 1.0
"""Seconds between heartbeats that tell of progress, at least."""
SHORTEST_BETWEEN_LOOKS = 1.0
"""Seconds between heartbeats that were asked for by news of the queues: news may come a thousand times a second."""


class Keeper:
    """Three loops, which go on until the worker has nothing left to write.

    Args:
        connector: the store.
        info: who the worker is.
        lease: seconds.
        patience: seconds for the store to answer, the lease apart.
        retention: how long ended jobs are kept, by how they ended if that is not the same; None: for ever.
        slots: where the jobs run that may be asked to stop.
        woken: is called when jobs of the dead were given back.
        hooks: are told of those that have failed for it.
        hears: tells whether the worker hears all news of the store.
    """

    def __init__(
        self,
        connector: Connector,
        info: WorkerInfo,
        *,
        lease: float,
        patience: float,
        retention: Retention,
        slots: Slots,
        woken: Callable[[], None],
        hooks: Hooks,
        hears: Callable[[], bool] = lambda: False,
    ) -> None:
        self._connector = connector
        self._info = info
        self._lease = lease
        self._patience = patience
        self._forgettings = plan(retention)
        self._slots = slots
        self._woken = woken
        self._hooks = hooks
        self._hears = hears
        self._lapse: float | None = None
        self._told = Bell()
        self._words = Words(slots)
        self._bell = Bell()
        self._under_way = 0
        self._answered = Bell()
        self._resting = False

    async def rest(self) -> None:
        """Ask the store nothing more, and wait a moment for its answers: to cut one off costs a connection."""
        self._resting = True
        with anyio.move_on_after(LONGEST_REST):
            while self._under_way:
                await self._answered.wait()

    async def beat(self) -> None:
        """Prolong the lease, tell what runs say of their progress, and ask jobs to stop that were cancelled.

        Raises:
            Exception: whatever the store raises; `TimeoutError` if it takes longer than the lease.
        """
        said = self._words.new()
        lease = timedelta(seconds=self._lease)
        with anyio.fail_after(self._lease):
            asked_to_stop = await self._connector.heartbeat(self._info, lease, progress=as_progress(said))
        self._words.tell(said)
        self._plan_rescue(asked_to_stop)
        if asked_to_stop:
            self._slots.stop(asked_to_stop, "cancel")

    def look(self) -> None:
        """Ask soon which jobs were cancelled, if any run."""
        if self._slots.busy:
            self._bell.ring()

    async def keep_beating(self) -> None:
        """Send heartbeats until cancelled; the first one was sent on arrival."""
        interval = self._lease / BEATS_PER_LEASE
        backoff = Backoff(longest=interval)
        while True:
            await self._until_beat(interval)
            await self._try("heartbeat", self.beat, backoff)

    async def keep_rescuing(self) -> None:
        """Give back the jobs of dead workers until cancelled."""
        backoff = Backoff()
        while True:
            await self._until_rescue()
            await self._try("rescue", self._rescue, backoff)

    async def keep_pruning(self) -> None:
        """Forget jobs that ended long ago, until cancelled."""
        backoff = Backoff(first=1.0, longest=60.0)
        while True:
            for step in self._forgettings:
                await self._try("prune", partial(self._forget, step), backoff)
            await anyio.sleep(BETWEEN_PRUNES * random.uniform(0.9, 1.0))

    async def _until_beat(self, interval: float) -> None:
        """Wait until a heartbeat is due, or asked for, or a run has said something of its progress."""
        began = monotonic()
        while (left := began + interval - monotonic()) > 0:
            if await self._bell.wait(min(left, BETWEEN_WORDS)):
                await anyio.sleep(max(0.0, began + min(SHORTEST_BETWEEN_LOOKS, interval) - monotonic()))
                return
            if self._words.new():
                return

    async def _until_rescue(self) -> None:
        """Wait until a look for dead workers is due, or for one that is known."""
        began = monotonic()
        often = min(LONGEST_BETWEEN_RESCUES, self._lease / BEATS_PER_LEASE) * random.uniform(0.5, 1.0)
        seldom = max(often, LEASES_BETWEEN_RESCUES * self._lease * random.uniform(0.9, 1.0))
        while True:
            if self._lapse is None or self._slots.busy or not self._hears():
                due = began + often
            else:
                due = min(began + seldom, self._lapse)
            left = due - monotonic()
            if left <= 0:
                return
            await self._told.wait(left)

    def _plan_rescue(self, told: list[int]) -> None:
        """Take note of when the next lease runs out, if that is told, and no heartbeat tells of it again before."""
        self._lapse = None
        if isinstance(told, ToStop):
            soon = told.lapses_in < LATE * self._lease / BEATS_PER_LEASE
            spread = random.uniform(0, min(LONGEST_SPREAD, self._lease / BEATS_PER_LEASE))
            self._lapse = monotonic() + told.lapses_in + spread if soon else math.inf
        self._told.ring()

    async def _rescue(self) -> None:
        with anyio.fail_after(self._patience):
            given_back = await self._connector.rescue()
        # Until the next heartbeat tells: and jobs that could not be given back wait for the next look.
        self._lapse = None if given_back or self._lapse is None else math.inf
        if given_back:
            logger.warning(
                "%s jobs lost their worker, and were given back or ended: %s",
                len(given_back),
                ", ".join(str(job.id) for job in given_back[:20]),
                extra=fields("jobs_rescued", jobs=[job.id for job in given_back], worker=self._info.name),
            )
            self._woken()
            with anyio.fail_after(self._patience):
                await tell_of_losses(self._connector, given_back, hooks=self._hooks, worker=self._info.name)

    async def _forget(self, step: Forgetting) -> None:
        with anyio.fail_after(LONGEST_PRUNE):
            count = await forget(self._connector, step)
        if count:
            message = "%s jobs that ended long ago are forgotten"
            logger.info(message, count, extra=fields("jobs_pruned", count=count, worker=self._info.name))

    async def _try(self, name: str, act: Callable[[], Awaitable[None]], backoff: Backoff) -> None:
        """Act until it works."""
        while True:
            if self._resting:
                await anyio.sleep_forever()
            self._under_way += 1
            try:
                await act()
            except Exception as error:  # noqa: BLE001 - whatever it is, the lease must be kept
                seconds = backoff.next()
                logger.warning(
                    "The worker's %s failed, and is tried again in %.1f s: %s: %s",
                    name,
                    seconds,
                    type(error).__name__,
                    error,
                    extra=fields(f"{name}_failed", retry_in=seconds, worker=self._info.name),
                )
            else:
                backoff.reset()
                return
            finally:
                self._under_way -= 1
                self._answered.ring()
            await anyio.sleep(seconds)
