"""The worker: claims jobs, runs them, writes what became of them, until it is told to stop."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Unpack

import anyio
from anyio.abc import TaskGroup

from pq_core.context import Host
from pq_core.errors import ConnectorError
from pq_core.lifespan import entered
from pq_core.log import fields
from pq_core.worker.importing import refuse_worker
from pq_core.worker.options import Settings, WorkerOptions
from pq_core.worker.own_loop import run_in_own_loop
from pq_core.worker.processes import require_path
from pq_core.worker.rooms import Rooms, keep_open
from pq_core.worker.signals import obey_signals
from pq_core.worker.stop_request import StopRequest

logger = logging.getLogger("pq_core.worker")

FIRM = 5.0
"""Seconds that jobs have to end once they were told to, before the worker leaves without them."""


class Worker:
    """Runs the jobs of an app.

    Args:
        app: whose jobs.
        options: see :class:`WorkerOptions`.

    Raises:
        InvalidOption: an option has a value that it cannot have.

    .. versionadded:: 0.1
    """

    def __init__(self, app: Host, **options: Unpack[WorkerOptions]) -> None:
        self.app = app
        self.settings = Settings(**options)
        self._stop_request = StopRequest()
        self._stopped = False
        self._recycled: str | None = None
        self._hurry: list[anyio.CancelScope] = []
        self._hurries = False

    def run(self) -> None:
        """Run jobs until told to stop, in an asyncio event loop of its own, which ends whatever its jobs do.

        Raises:
            InvalidOption: an event loop runs in this thread already.
            SchemaError: pq is not installed in the database, or not in a version that this one can use.
        """
        run_in_own_loop(partial(self._run, close=True))

    def stop(self, *, now: bool = False) -> None:
        """Let the worker end: it claims no more jobs, and waits for those that run. Safe in any thread.

        Args:
            now: whether it waits no longer: what runs is told to stop, and given back, as at a second signal.
        """
        self._stopped = True
        self._stop_request.make()
        if now:
            self._stop_request.call(self._leave_now)

    @property
    def recycled(self) -> str | None:
        """Why the worker ended by itself, in words: for `max_jobs` or `max_memory`. None if it did not, or was stopped.

        A fresh process should take its place then; ``pq worker`` sees to that itself.
        """
        return None if self._stopped else self._recycled

    async def run_async(self) -> None:
        """Do what :meth:`run` does, in the caller's event loop. A closed connector is opened, and closed at the end.

        Async jobs that do not stop when they are cancelled hold up the return of this call, but not its end as a
        worker: it has signed off, and their jobs are given back.
        """
        await self._run(lambda: None)

    async def _run(self, left: Callable[[], None], *, close: bool = False) -> None:
        """Run jobs; call `left` at the end, or when only jobs are left that do not stop.

        Args:
            left: what to call.
            close: whether the connector is closed even if it was open: what it holds belongs to a loop that ends.
        """
        _ = self.app.tasks  # imports their modules: a broken one is to be seen before a job is claimed
        refuse_worker()
        require_path(self.app)
        self._stopped, self._recycled = self._stop_request.made, None
        self._hurry, self._hurries = [], False
        failure: Exception | None = None  # to raise outside of the group, which would wrap it
        with self._stop_request.heard_here() as told:
            async with anyio.create_task_group() as gate:
                self._hurry = [gate.cancel_scope]
                if self.settings.install_signal_handlers:
                    gate.start_soon(obey_signals, self.stop, self._leave_now)
                try:
                    async with entered(self.app.worker_lifespan, self) as state:
                        failure = await self._work(told, state, left, close=close)
                except Exception as error:  # noqa: BLE001 - see above
                    failure = error
                left()
                gate.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _work(
        self, told: anyio.Event, state: Any, left: Callable[[], None], *, close: bool
    ) -> ConnectorError | None:
        """Run jobs, sign off; return why that cannot be, if it cannot."""
        rooms = Rooms(self.app, self.settings, state=state, recycle=self._recycle)
        refusal: ConnectorError | None = None
        async with anyio.create_task_group() as workshop:
            try:
                refusal = await self._live(told, rooms, workshop)
            finally:
                del self._hurry[1:]
                workshop.cancel_scope.cancel()
                if not await rooms.leave(close=close):
                    left()  # whoever waits for jobs that do not stop, waits in vain
        return refusal

    async def _live(self, told: anyio.Event, rooms: Rooms, workshop: TaskGroup) -> ConnectorError | None:
        """Run jobs, in the workshop, until told to stop; return why that cannot be, so that no group wraps it."""
        refusal: ConnectorError | None = None
        async with anyio.create_task_group() as house:
            self._hurry.append(house.cancel_scope)
            house.start_soon(self._end_when, told, rooms, house.cancel_scope)
            try:
                if not told.is_set() and await rooms.presence.arrive():
                    rooms.open(house, workshop)
                    await keep_open("dispatcher", rooms.dispatcher.run)
                    await rooms.keeper.rest()
                    await rooms.scheduler.rest()
            except ConnectorError as error:
                refusal = error
            house.cancel_scope.cancel()
        return refusal

    def _leave_now(self) -> None:
        """Wait no longer: for jobs; where there are none, for what surrounds the worker. A second call does nothing."""
        if self._hurry and not self._hurries:
            self._hurries = True
            self._hurry[-1].cancel()

    def _recycle(self, reason: str) -> None:
        """Stop because the worker has lived for long enough."""
        self._recycled = reason
        extra = fields("worker_recycled", reason=reason, worker=self.settings.name)
        logger.info("Worker %s ends to make room for a fresh one: %s", self.settings.name, reason, extra=extra)
        self._stop_request.make()

    async def _end_when(self, told: anyio.Event, rooms: Rooms, house: anyio.CancelScope) -> None:
        """Stop fetching, wait for the jobs, tell them to stop, leave without them."""
        await told.wait()
        self._log(logging.INFO, "worker_stopping", "Worker %s stops: it claims no more jobs")
        rooms.close()
        if self.settings.graceful_timeout is None:
            await anyio.sleep_forever()
        else:
            await anyio.sleep(self.settings.graceful_timeout)
        self._log(logging.WARNING, "worker_stopping_jobs", "Worker %s has waited long enough: its jobs are to stop")
        rooms.slots.stop_all()
        await anyio.sleep(FIRM)
        self._log(logging.ERROR, "worker_abandons_jobs", "Worker %s leaves without jobs that do not stop")
        house.cancel()

    def _log(self, level: int, action: str, message: str) -> None:
        logger.log(level, message, self.settings.name, extra=fields(action, worker=self.settings.name))
