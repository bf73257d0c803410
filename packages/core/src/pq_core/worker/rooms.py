"""A worker's loops, each in a room of its own: a failure in one is logged, and the room opens again."""

from __future__ import annotations

import logging
import os
import platform
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup

from pq_core.connector import Connector, Transactional
from pq_core.context import Host
from pq_core.errors import ConnectorError
from pq_core.log import call_text, fields
from pq_core.worker.backoff import Backoff
from pq_core.worker.dispatcher import Dispatcher
from pq_core.worker.executor import Executor
from pq_core.worker.hearing import Hearing
from pq_core.worker.inventory import Inventory
from pq_core.worker.journal import Journal
from pq_core.worker.keeper import Keeper
from pq_core.worker.options import Settings
from pq_core.worker.presence import Presence
from pq_core.worker.processes import Processes
from pq_core.worker.recycling import Recycling
from pq_core.worker.scheduler import Scheduler
from pq_core.worker.slots import Slots
from pq_core.worker.threads import Threads
from pq_core.worker.ticking import Ticker
from pq_core.worker.transactional import Transactions
from pq_core.worker.writer import Writer
from pq_core.worker_info import WorkerInfo

logger = logging.getLogger("pq_core.worker")

MOMENT = 1.0
"""Seconds for jobs to end that were cancelled because the worker leaves."""
LEAST_PATIENCE = 10.0
"""Seconds for an answer of the store, or the lease if that is longer: the connection may have gone silent."""
WELL_AGAIN = 60.0
"""Seconds without a failure after which the next one counts as the first."""


class Rooms:
    """What a worker consists of, from its arrival to its leaving. Made in the worker's event loop.

    Args:
        app: whose jobs it runs.
        settings: its options.
        state: what jobs find in their context.
        recycle: is called, with the reason in words, when it has lived for long enough.
    """

    def __init__(self, app: Host, settings: Settings, *, state: Any, recycle: Callable[[str], None]) -> None:
        self.connector: Connector = app.connector
        self.info = _identify(app, settings)
        self.threads = Threads()
        self.processes = Processes(app, threads=self.threads, worker_name=settings.name)
        self.transactions = Transactions(cast("Transactional", self.connector))
        self._settings = settings
        self._patience = max(settings.lease, LEAST_PATIENCE)
        self.hearing = Hearing(
            self.info.id,
            look=self.look,
            offer=lambda: self.dispatcher.offer(),  # noqa: PLW0108 - made later
            stop=lambda: self.keeper.look(),  # noqa: PLW0108 - as above
            tick=lambda: self.scheduler.look(),  # noqa: PLW0108 - as above
        )
        self._journal = Journal(settings.name, arguments=settings.log_arguments, hooks=app.hooks)
        self.writer = Writer(
            self.connector, batch=settings.batch, patience=self._patience, journal=self._journal, written=self.look
        )
        self.slots = Slots(
            concurrency=settings.concurrency,
            most_ahead=2 * settings.batch,
            begin=self._executor(app, state).begin,
            done=Recycling(
                max_jobs=settings.max_jobs, max_memory=settings.max_memory, recycle=partial(self._recycle, recycle)
            ).watched(self.writer.put),
            room=self.nudge,
        )
        self.keeper = Keeper(
            self.connector,
            self.info,
            lease=settings.lease,
            patience=self._patience,
            retention=settings.retention,
            slots=self.slots,
            woken=self.look,
            hooks=app.hooks,
            hears=self.hearing.works,
        )
        self.dispatcher = self._dispatcher()
        self.scheduler = Scheduler(
            Ticker(connector=self.connector, declared=app.declared_schedules()),
            interval=settings.poll_interval,
            patience=self._patience,
            name=settings.name,
            hears=self.hearing.works,
        )
        self.presence = Presence(self.connector, self.info, keeper=self.keeper, writer=self.writer, hooks=app.hooks)
        self._workshop_empty = anyio.Event()
        self._workshop_empty.set()

    def _executor(self, app: Host, state: Any) -> Executor:
        return Executor(
            app,
            worker_name=self._settings.name,
            keep=self._settings.keep,
            threads=self.threads,
            journal=self._journal,
            state=state,
            max_result=self._settings.max_result_bytes,
            transactions=self.transactions,
            processes=self.processes,
        )

    def _dispatcher(self) -> Dispatcher:
        return Dispatcher(
            self.connector,
            self.info,
            wait=self._settings.wait,
            poll_interval=self._settings.poll_interval,
            batch=self._settings.batch,
            patience=self._patience,
            slots=self.slots,
            writer=self.writer,
            inventory=Inventory(
                self.connector,
                self.info.id,
                claims=lambda: self.slots.claims | self.writer.claims,
                release=self.writer.put,
                settled=self._settings.lease,
            ),
            renew=self.keeper.beat,
            hears=self.hearing.works,
        )

    def look(self) -> None:
        """Let the dispatcher fetch: there may be something."""
        self.dispatcher.look()

    def nudge(self) -> None:
        """Let the dispatcher look at the slots: there may be room."""
        self.dispatcher.nudge()

    def open(self, house: TaskGroup, workshop: TaskGroup) -> None:
        """Start every loop but the dispatcher's, which ends by itself; jobs run in the workshop."""
        self._workshop_empty = anyio.Event()
        workshop.start_soon(self._work)
        house.start_soon(keep_open, "writer", self.writer.run)
        house.start_soon(keep_open, "heartbeat", self.keeper.keep_beating)
        house.start_soon(keep_open, "rescue", self.keeper.keep_rescuing)
        house.start_soon(keep_open, "prune", self.keeper.keep_pruning)
        if self._settings.transaction_warning is not None:
            house.start_soon(keep_open, "transactions", self._watch_transactions)
        house.start_soon(keep_open, "processes", self.processes.keep_few)
        if self._settings.listen:
            house.start_soon(keep_open, "listener", self._listen)
        if self._settings.wait:  # A worker that ends when nothing is left to do does what there is, and makes no more.
            house.start_soon(keep_open, "scheduler", self.scheduler.run)

    def close(self) -> None:
        """Claim no more jobs."""
        self.presence.give_up()
        self.scheduler.close()
        self.dispatcher.close()

    def _recycle(self, recycle: Callable[[str], None], reason: str) -> None:
        """Claim no more jobs, here and now, and say that the worker ends; jobs that wait for a slot are given back."""
        recycle(reason)
        self.close()

    async def leave(self, *, close: bool) -> bool:
        """Sign off, with or without the jobs that were told to stop; end what still waits for work.

        Args:
            close: whether the connector is closed even if it was open before.

        Returns:
            whether no job is left that goes on in spite of its cancellation.
        """
        with anyio.CancelScope(shield=True):
            with anyio.move_on_after(MOMENT):
                await self._workshop_empty.wait()
            if not self._workshop_empty.is_set():
                self._tell_of_stubborn_jobs()
            self.threads.close()
            await self.presence.leave(close=close)
            await self.processes.close()
        return self._workshop_empty.is_set()

    async def _work(self) -> None:
        try:
            await keep_open("slots", self.slots.run)
        finally:
            self._workshop_empty.set()

    def _tell_of_stubborn_jobs(self) -> None:
        jobs = self.slots.running
        logger.error(
            "Worker %s was cancelled and these jobs still run, though they are given back: %s",
            self.info.name,
            ", ".join(call_text(job) for job in jobs),
            extra=fields("jobs_left_running", jobs=[job.id for job in jobs], worker=self.info.name),
        )

    async def _watch_transactions(self) -> None:
        assert self._settings.transaction_warning is not None  # noqa: S101 - or nobody calls
        await self.transactions.watch(self._settings.transaction_warning, self._journal.held_long)

    async def _listen(self) -> None:
        try:
            await self.connector.listen(self.info.queues, self.hearing)
        finally:
            self.hearing.fall_silent()


async def keep_open(name: str, room: Callable[[], Awaitable[None]]) -> None:
    """Run `room` until it returns; if it raises, log that, wait, and run it again."""
    backoff = Backoff()
    while True:
        opened = monotonic()
        try:
            await room()
        except Exception as error:
            if monotonic() - opened > WELL_AGAIN:
                backoff.reset()
            seconds = backoff.next()
            logger.warning(
                "The worker's %s failed and starts again in %.1f s: %s: %s",
                name,
                seconds,
                type(error).__name__,
                error,
                exc_info=None if isinstance(error, ConnectorError) else error,
                extra=fields("room_failed", room=name, retry_in=seconds),
            )
            await anyio.sleep(seconds)
        else:
            return


def _identify(app: Host, settings: Settings) -> WorkerInfo:
    return WorkerInfo(
        id=secrets.randbits(63),
        name=settings.name,
        queues=None if settings.queues is None else tuple(settings.queues),
        details={
            "host": platform.node(),
            "pid": os.getpid(),
            "version": _version(),
            "concurrency": settings.concurrency,
            # By which a job whose task nobody knows can be told from one whose turn has not come.
            "tasks": sorted(name for task in app.tasks.values() for name in (task.name, *task.aliases)),
        },
    )


def _version() -> str:
    try:
        return version("pq-core")
    except PackageNotFoundError:  # a frozen program carries the code without its metadata
        return "unknown"
