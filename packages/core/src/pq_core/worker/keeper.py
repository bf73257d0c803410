"""Keeps the worker's lease, stops jobs that were cancelled, gives back the jobs of the dead, forgets old history."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic

import anyio

from pq_core.connector import Connector, WorkerInfo
from pq_core.log import fields
from pq_core.worker.backoff import Backoff
from pq_core.worker.bell import Bell
from pq_core.worker.slots import Slots

logger = logging.getLogger("pq_core.worker")

BEATS_PER_LEASE = 3
LONGEST_BETWEEN_RESCUES = 5.0
BETWEEN_PRUNES = 3600.0
LONGEST_PRUNE = 900.0
LONGEST_REST = 1.0
SHORTEST_BETWEEN_LOOKS = 1.0
"""Seconds between heartbeats that were asked for by news of the queues: news may come a thousand times a second."""


class Keeper:
    """Three loops, which go on until the worker has nothing left to write.

    Args:
        connector: the store.
        info: who the worker is.
        lease: seconds.
        patience: seconds for the store to answer, the lease apart.
        retention: how long ended jobs are kept; None: for ever.
        slots: where the jobs run that may be asked to stop.
        woken: is called when jobs of the dead were given back.
    """

    def __init__(
        self,
        connector: Connector,
        info: WorkerInfo,
        *,
        lease: float,
        patience: float,
        retention: timedelta | None,
        slots: Slots,
        woken: Callable[[], None],
    ) -> None:
        self._connector = connector
        self._info = info
        self._lease = lease
        self._patience = patience
        self._retention = retention
        self._slots = slots
        self._woken = woken
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
        """Prolong the lease, and ask jobs to stop that were cancelled.

        Raises:
            Exception: whatever the store raises; `TimeoutError` if it takes longer than the lease.
        """
        with anyio.fail_after(self._lease):
            asked_to_stop = await self._connector.heartbeat(self._info, timedelta(seconds=self._lease))
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
            last = monotonic()
            if await self._bell.wait(interval):
                await anyio.sleep(max(0.0, last + min(SHORTEST_BETWEEN_LOOKS, interval) - monotonic()))
            await self._try("heartbeat", self.beat, backoff)

    async def keep_rescuing(self) -> None:
        """Give back the jobs of dead workers until cancelled."""
        interval = min(LONGEST_BETWEEN_RESCUES, self._lease / BEATS_PER_LEASE)
        backoff = Backoff()
        while True:
            await anyio.sleep(interval * random.uniform(0.5, 1.0))
            await self._try("rescue", self._rescue, backoff)

    async def keep_pruning(self) -> None:
        """Forget jobs that ended long ago, until cancelled."""
        backoff = Backoff(first=1.0, longest=60.0)
        while True:
            await self._try("prune", self._prune, backoff)
            await anyio.sleep(BETWEEN_PRUNES * random.uniform(0.9, 1.0))

    async def _rescue(self) -> None:
        with anyio.fail_after(self._patience):
            given_back = await self._connector.rescue()
        if given_back:
            logger.warning(
                "%s jobs lost their worker, and were given back or ended: %s",
                len(given_back),
                ", ".join(str(job.id) for job in given_back[:20]),
                extra=fields("jobs_rescued", jobs=[job.id for job in given_back], worker=self._info.name),
            )
            self._woken()

    async def _prune(self) -> None:
        with anyio.fail_after(LONGEST_PRUNE):
            count = await self._connector.prune(self._retention)
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
