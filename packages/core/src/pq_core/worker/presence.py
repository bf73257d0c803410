"""How a worker signs on with the store, and off."""

from __future__ import annotations

import logging

import anyio

from pq_core.connector import Connector
from pq_core.errors import ConnectionFailed, ConnectorClosed
from pq_core.events import Hooks, WorkerStarted, WorkerStopped
from pq_core.log import fields
from pq_core.worker.backoff import Backoff
from pq_core.worker.keeper import Keeper
from pq_core.worker.losses import tell_of_losses
from pq_core.worker.writer import Writer
from pq_core.worker_info import WorkerInfo

logger = logging.getLogger("pq_core.worker")

FAREWELL = 2.0
"""Seconds to write the last outcomes and to sign off."""


class Presence:
    """A worker's being known to the store.

    Args:
        connector: the store; if it is not open, it is opened, and closed at the end.
        info: who the worker is.
        keeper: sends the first heartbeat.
        writer: may hold outcomes when the worker leaves.
        hooks: are told of its coming and going.
    """

    def __init__(self, connector: Connector, info: WorkerInfo, *, keeper: Keeper, writer: Writer, hooks: Hooks) -> None:
        self._connector = connector
        self._info = info
        self._keeper = keeper
        self._writer = writer
        self._hooks = hooks
        self._opened = False
        self._known = False
        self._attempts = anyio.CancelScope()

    async def arrive(self) -> bool:
        """Sign on, however long the store is away; return whether that was not given up.

        Raises:
            SchemaError: the store is there, but this version of pq cannot use it.
        """
        backoff = Backoff()
        with self._attempts:
            while not self._known:
                try:
                    await self._sign_on()
                except (ConnectionFailed, TimeoutError) as error:
                    seconds = backoff.next()
                    logger.warning(
                        "Worker %s cannot reach its jobs, and tries again in %.1f s: %s",
                        self._info.name,
                        seconds,
                        error,
                        extra=fields("worker_waits", retry_in=seconds, worker=self._info.name),
                    )
                    await anyio.sleep(seconds)
                else:
                    self._known = True
        if self._known:
            details = {name: value for name, value in self._info.details.items() if name != "tasks"}
            extra = fields("worker_started", worker=self._info.name, worker_id=self._info.id, **details)
            queues = "all queues" if self._info.queues is None else ", ".join(self._info.queues)
            logger.info("Worker %s serves %s", self._info.name, queues, extra=extra)
            if WorkerStarted in self._hooks.functions:
                self._hooks.tell(WorkerStarted(worker=self._info.name, worker_id=self._info.id))
        return self._known

    def give_up(self) -> None:
        """Let arrive() try no longer."""
        self._attempts.cancel()

    async def leave(self, *, close: bool = False) -> None:
        """Write what is not written, and sign off; what cannot be done soon is left to the end of the lease.

        Args:
            close: whether the connector is closed even if it was open before.
        """
        with anyio.CancelScope(shield=True):
            if self._known:
                with anyio.move_on_after(FAREWELL):
                    await self._sign_off()
                if self._writer.unwritten:
                    logger.error(
                        "Worker %s leaves with %s outcomes unwritten: when its lease ends, their jobs run again",
                        self._info.name,
                        self._writer.unwritten,
                        extra=fields("outcomes_dropped", outcomes=self._writer.unwritten, worker=self._info.name),
                    )
            if self._opened or close:
                with anyio.move_on_after(FAREWELL):
                    await self._connector.close()
        logger.info("Worker %s has stopped", self._info.name, extra=fields("worker_stopped", worker=self._info.name))
        if self._known and WorkerStopped in self._hooks.functions:
            self._hooks.tell(WorkerStopped(worker=self._info.name, worker_id=self._info.id))

    async def _sign_on(self) -> None:
        try:
            await self._keeper.beat()
        except ConnectorClosed:
            self._opened = True
            await self._connector.open()
            await self._keeper.beat()

    async def _sign_off(self) -> None:
        await self._writer.flush()
        try:
            given_back = await self._connector.leave(self._info.id)
            await tell_of_losses(self._connector, given_back, hooks=self._hooks, worker=self._info.name)
        except Exception as error:  # noqa: BLE001 - the lease will end anyway
            logger.warning(
                "Worker %s could not sign off; its lease ends by itself: %s: %s",
                self._info.name,
                type(error).__name__,
                error,
                extra=fields("leave_failed", worker=self._info.name),
            )
