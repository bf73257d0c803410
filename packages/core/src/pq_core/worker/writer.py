"""Stores outcomes: whatever is waiting, together, as soon as the last batch is written. Loses none."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

import anyio
import attrs

from pq_core.connector import Connector
from pq_core.errors import ConnectionFailed, ConnectorClosed, ConnectorError, InvalidResult, SchemaError
from pq_core.log import fields
from pq_core.outcome import Outcome
from pq_core.worker.backoff import Backoff
from pq_core.worker.bell import Bell
from pq_core.worker.journal import Journal

logger = logging.getLogger("pq_core.worker")

_AWAY = (ConnectionFailed, ConnectorClosed, SchemaError, OSError)
"""Errors that tell nothing of the outcomes, only of the store."""
PATIENCE = 8
"""Refusals by the store, of one outcome alone, after which its result or error is left out."""


class Writer:
    """Takes outcomes, and writes them until the store has them.

    Args:
        connector: the store.
        batch: outcomes in one statement at most.
        patience: seconds for the store to answer; after that, the statement is cancelled and tried again.
        journal: is told of outcomes that came too late.
        written: is called after each batch.
    """

    def __init__(
        self, connector: Connector, *, batch: int, patience: float, journal: Journal, written: Callable[[], None]
    ) -> None:
        self._connector = connector
        self._batch = batch
        self._patience = patience
        self._journal = journal
        self._written = written
        self._waiting: deque[Outcome] = deque()
        self._bell = Bell()
        self._backoff = Backoff()
        self._refusals: dict[tuple[int, int], int] = {}

    @property
    def unwritten(self) -> int:
        """How many outcomes the store does not have yet."""
        return len(self._waiting)

    @property
    def claims(self) -> set[tuple[int, int]]:
        """The (job id, claim) of all outcomes that are not written yet."""
        return {(outcome.job_id, outcome.claim) for outcome in self._waiting}

    def put(self, outcome: Outcome) -> None:
        """Take an outcome; one that its job's transaction has written is no more work."""
        if outcome.written is not None:
            self._written()
            return
        self._waiting.append(outcome)
        self._bell.ring()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self.flush()
            await self._bell.wait()

    async def flush(self) -> None:
        """Write until nothing waits."""
        while self._waiting:
            batch = list(islice(self._waiting, self._batch))
            try:
                await self._write(batch)
            except _AWAY as error:
                await self._rest(error)
            except Exception as error:  # noqa: BLE001 - one of them may be to blame, and must not hold up the others
                if len(batch) > 1:
                    self._complain(error, len(batch))
                await self._write_singly(batch)

    async def _write(self, batch: Sequence[Outcome]) -> None:
        """Write the first outcomes that wait; they wait on until the store has answered."""
        with anyio.fail_after(self._patience):
            current = await self._connector.finish(batch)
        for outcome in batch:
            self._waiting.popleft()
            if self._refusals:
                self._refusals.pop((outcome.job_id, outcome.claim), None)
        self._backoff.reset()
        if len(current) < len(batch):
            still = set(current)
            for outcome in batch:
                if outcome.job_id not in still:
                    self._journal.lost(outcome.job_id, outcome.claim, outcome.kind)
        self._written()

    async def _write_singly(self, batch: Sequence[Outcome]) -> None:
        """Write the first outcomes that wait one by one; those that the store refuses wait behind all others."""
        refusal: Exception | None = None
        for outcome in batch:
            try:
                await self._write([outcome])
            except _AWAY as error:
                refusal = error
                break
            except Exception as error:  # noqa: BLE001 - as above
                refusal = error
                self._waiting.popleft()
                self._waiting.append(outcome if isinstance(error, ConnectorError) else self._strip(outcome, error))
        if refusal is not None:
            await self._rest(refusal)

    def _strip(self, outcome: Outcome, refusal: Exception) -> Outcome:
        """Return the outcome, without its result or error if it was refused too often."""
        key = (outcome.job_id, outcome.claim)
        count = self._refusals[key] = self._refusals.get(key, 0) + 1
        if count < PATIENCE:
            return outcome
        del self._refusals[key]
        return _stripped(outcome, refusal)

    async def _rest(self, error: Exception) -> None:
        self._complain(error, len(self._waiting))
        await anyio.sleep(self._backoff.next())

    def _complain(self, error: Exception, count: int) -> None:
        logger.warning(
            "%s outcomes could not be written, and will be tried again: %s: %s",
            count,
            type(error).__name__,
            error,
            extra=fields("write_failed", outcomes=count, worker=self._journal.worker),
        )


def _stripped(outcome: Outcome, refusal: Exception) -> Outcome:
    """Return the outcome without what a store may choke on: a job must not stay running for ever."""
    why = f"the store refused the outcome '{outcome.kind}': {type(refusal).__name__}: {refusal}"
    error = {"type": f"{InvalidResult.__module__}.{InvalidResult.__qualname__}", "message": why, "traceback": ""}
    if outcome.result is not None:
        return attrs.evolve(outcome, kind="failed", result=None, error={**error, "attempt": None}, keep=True)
    if outcome.error is not None:
        return attrs.evolve(outcome, error={**error, "attempt": outcome.error.get("attempt")})
    return outcome
