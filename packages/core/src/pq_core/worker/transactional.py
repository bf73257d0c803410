"""Runs jobs in transactions: what they do in the database and their end come true together, or not at all.

The end of a run that succeeded is the last statement of its transaction, fenced as ever: the first runner of a job that
was given to another one cannot commit. Any other end rolls the transaction back, and is left to the writer. So it is if
nobody knows what became of the commit: the job is released, which changes nothing if it has ended.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal

import anyio
import attrs

from pq_core.connector import Transactional
from pq_core.errors import ConnectionFailed, ConnectorClosed, StoreBusy, TransactionRequired
from pq_core.outcome import Outcome
from pq_core.worker.run import Run

PAUSES = (0.02, 0.1)
"""Seconds between attempts to write an outcome in a transaction while something it needs is held elsewhere."""
REST = timedelta(seconds=1)
"""How long a job rests whose transaction could not be begun or ended."""
SHORTEST_LOOK, LONGEST_LOOK = 0.05, 5.0
"""Seconds between looks for transactions that are open for long."""
TIDY = 5.0
"""Seconds that the end of a transaction may take in a worker that leaves."""
_AWAY = (ConnectionFailed, ConnectorClosed, StoreBusy, TimeoutError, OSError)
"""Errors that tell nothing of the job, only of the store."""


@attrs.frozen
class Ended:
    """What came of a run in a transaction that was ended by its task's return.

    Attributes:
        result: of the task.
        outcome: written or not; None if the transaction was rolled back since the run is no success.
        error: why it is none: the result cannot be stored. None if it was to stop.
        undone: why the transaction could not be begun, or is not known to be committed, so that the job is released.
    """

    result: Any = None
    outcome: Outcome | None = None
    error: BaseException | None = None
    undone: Exception | None = None


@attrs.define(eq=False)
class Held:
    """A transaction of one run.

    Attributes:
        run: whose it is.
        since: seconds of `time.monotonic` at which it was begun.
        stage: what is being done.
        connection: its connection, once there is one.
        told: whether it was said that it is open for long.
    """

    run: Run
    since: float = attrs.field(factory=time.monotonic)
    stage: Literal["beginning", "working", "ending"] = "beginning"
    connection: Any = None
    told: bool = False


class _Undo(BaseException):
    """Leaves the block of a transaction that is to be rolled back."""

    def __init__(self, ended: Ended) -> None:
        self.ended = ended


class Transactions:
    """Begins and ends the transactions of jobs.

    Args:
        connector: whose transactions they are.
        fenced: whether outcomes are written; a job that no store has can have none.

    Attributes:
        held: the transactions that are open now.
        commits: whether they are committed. A test may say no: so it is if a worker dies right before.
    """

    def __init__(self, connector: Transactional, *, fenced: bool = True) -> None:
        self._connector = connector
        self._fenced = fenced
        self.held: set[Held] = set()
        self.commits = True

    def run(self, run: Run, perform: Callable[[Any], Any], conclude: Callable[[Any], Outcome | None]) -> Ended:
        """Call a sync task in a transaction, in the thread where this is called.

        Args:
            run: the job's.
            perform: calls the task, given the connection.
            conclude: gives the outcome for what it returned, or None: then the run is no success.

        Raises:
            BaseException: what the task raises; the transaction is rolled back.
            ConnectorError: it could not be committed, by the task's own fault.
        """
        held = self._begin(run)
        ended = Ended()
        try:
            with self._connector.sync.transaction() as connection:
                self._work_on(held, connection)
                ended = _concluded(perform(connection), conclude)
                held.stage = "ending"
                outcome = self._success(ended)
                ended = _judged(ended, outcome, self._finish(outcome, connection))
            return _checked(held, ended)
        except _Undo as undo:
            return undo.ended
        except _AWAY as error:
            if held.stage == "working":  # it is the task's own
                raise
            return Ended(outcome=Outcome.released(run.job, REST), undone=error)
        finally:
            self.held.discard(held)

    async def run_async(
        self, run: Run, perform: Callable[[Any], Awaitable[Any]], conclude: Callable[[Any], Outcome | None]
    ) -> Ended:
        """Do what :meth:`run` does for an async task, in the event loop."""
        held = self._begin(run)
        ended = Ended()
        try:
            async with self._transaction() as connection:
                self._work_on(held, connection)
                ended = _concluded(await perform(connection), conclude)
                held.stage = "ending"
                run.interruptible = False
                outcome = self._success(ended)
                ended = _judged(ended, outcome, await self._finish_async(outcome, connection))
            return _checked(held, ended)
        except _Undo as undo:
            return undo.ended
        except _AWAY as error:
            if held.stage == "working":  # it is the task's own
                raise
            return Ended(outcome=Outcome.released(run.job, REST), undone=error)
        finally:
            self.held.discard(held)

    async def watch(self, seconds: float, tell: Callable[[Run, float, int | None], None]) -> None:
        """Tell of each transaction that is open for longer than that, once, until cancelled.

        Args:
            seconds: from its beginning.
            tell: is given the run, for how many seconds it is open, and the process id of its session on the server.
        """
        while True:
            await anyio.sleep(max(SHORTEST_LOOK, min(seconds / 10, LONGEST_LOOK)))
            for held in tuple(self.held):
                age = time.monotonic() - held.since
                if age > seconds and not held.told and held.stage != "beginning":
                    held.told = True
                    info = getattr(held.connection, "info", None)  # in memory there is none
                    tell(held.run, age, getattr(info, "backend_pid", None))

    def _begin(self, run: Run) -> Held:
        held = Held(run)
        self.held.add(held)
        return held

    @staticmethod
    def _work_on(held: Held, connection: Any) -> None:
        held.connection = connection
        held.stage = "working"

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[Any]:
        """Lend a connection for a block, whose end is not cut short by a worker that leaves."""
        transaction = self._connector.transaction()
        connection = await transaction.__aenter__()
        try:
            yield connection
        except BaseException as error:
            swallowed: bool | None = False
            with anyio.move_on_after(TIDY, shield=True):
                swallowed = await transaction.__aexit__(type(error), error, error.__traceback__)
            if not swallowed:
                raise
            return
        with anyio.fail_after(TIDY, shield=True):
            await transaction.__aexit__(None, None, None)

    def _success(self, ended: Ended) -> Outcome:
        """Return the outcome to write; leave the block if there is none, or if it is in vain."""
        if ended.outcome is None or not self.commits:
            raise _Undo(ended)
        return ended.outcome

    def _finish(self, outcome: Outcome, connection: Any) -> bool:
        """Write the outcome; return whether it is current."""
        if not self._fenced:
            return True
        for pause in PAUSES:
            try:
                return bool(self._connector.sync.finish([outcome], connection=connection))
            except StoreBusy:
                time.sleep(pause)
        return bool(self._connector.sync.finish([outcome], connection=connection))

    async def _finish_async(self, outcome: Outcome, connection: Any) -> bool:
        """Do what :meth:`_finish` does."""
        if not self._fenced:
            return True
        for pause in PAUSES:
            try:
                return bool(await self._connector.finish([outcome], connection=connection))
            except StoreBusy:
                await anyio.sleep(pause)
        return bool(await self._connector.finish([outcome], connection=connection))


def _judged(ended: Ended, outcome: Outcome, current: bool) -> Ended:  # noqa: FBT001 - what finish has answered
    """Return the end of a transaction that is to be committed; of one that came too late, leave the block."""
    ended = attrs.evolve(ended, outcome=attrs.evolve(outcome, written=current))
    if not current:
        raise _Undo(ended)
    return ended


def _concluded(result: Any, conclude: Callable[[Any], Outcome | None]) -> Ended:
    try:
        return Ended(result, conclude(result))
    except BaseException as error:  # noqa: BLE001 - encoding runs methods of the result, which is the user's
        return Ended(result, None, error)


def _checked(held: Held, ended: Ended) -> Ended:
    """Refuse what a block has left in peace that an exception has left: psycopg takes some as a wish to roll back."""
    if held.stage != "ending":
        msg = (
            f"job {held.run.job.id} has rolled back its transaction, and returned: raise what is wrong, or use "
            "`with connection.transaction():` for a part that may be undone"
        )
        raise TransactionRequired(msg)
    return ended
