"""Transactions in memory: what is deferred in one exists when it commits, and never if it is rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from pq_core.answers import Deferred
from pq_core.errors import WrongConnection
from pq_core.job import NewJob
from pq_core.memory.concluding import Conclude
from pq_core.memory.deferring import Commit, GoBack, Prepare
from pq_core.memory.draft import Draft
from pq_core.memory.ending import Current
from pq_core.memory.engine import Engine
from pq_core.outcome import Outcome

NOT_HERE = frozenset({"execute", "executemany", "cursor", "copy", "pipeline", "fetchone", "fetchall", "scalar"})
"""What code asks of a connection to a database."""


class MemoryTransaction:
    """The stand-in for a database connection in a transaction: pass it as `connection=` to defer.

    Enter it with `with` or `async with`; an exception that leaves the block rolls it back. Ids used in a transaction
    that is rolled back are not used again. One thread or task at a time may use it.

    .. versionadded:: 0.1
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = engine.store
        self._draft = Draft(engine.store)
        self._outcomes: list[Outcome] = []
        self._finished_at: datetime | None = None
        self._open = False
        self._used = False

    def savepoint(self) -> Savepoint:
        """Return a part of the transaction to enter with `with` or `async with`, which can be rolled back alone."""
        return Savepoint(self, self._engine, self._draft)

    def transaction(self) -> Savepoint:
        """Return a savepoint, by the name under which connections of psycopg give one."""
        return self.savepoint()

    def __getattr__(self, name: str) -> Any:
        if name in NOT_HERE:
            raise WrongConnection(
                f"a transaction in memory has no {name!r}, since there is no database that could be asked: mark the "
                'test with @pytest.mark.pq(backend="postgres"), or let it replace what asks the database'
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def belongs_to(self, engine: Engine) -> bool:
        """Whether `engine` holds the jobs of this transaction."""
        return engine is self._engine

    def defer(self, jobs: Sequence[NewJob], now: datetime | None) -> list[Deferred]:
        """Give jobs their ids, and keep them until the end of the transaction.

        Raises:
            AlreadyDeferred: a unique key is taken.
            StoreBusy: a unique key is in the hands of another transaction that is open.
            WrongConnection: the transaction has not begun, or has ended.
        """
        self._check_open()
        return self._engine.do(Prepare(jobs, self._draft), now)

    def finish(self, outcomes: Sequence[Outcome], now: datetime | None) -> list[int]:
        """Write outcomes at the end of the transaction; return the ids of the jobs whose claim is current.

        Raises:
            WrongConnection: the transaction has not begun, or has ended.
        """
        self._check_open()
        self._finished_at = now
        ended = {outcome.job_id for outcome in self._outcomes}
        current = [outcome for outcome in self._engine.do(Current(outcomes), now) if outcome.job_id not in ended]
        self._outcomes += current
        return [outcome.job_id for outcome in current]

    def _check_open(self) -> None:
        if not self._open or self._store is not self._engine.store:
            raise WrongConnection(
                f"the transaction {'has ended' if self._used else 'has not begun'}; "
                "defer inside of `with connector.transaction() as transaction:`"
            )

    def __enter__(self) -> Self:
        if self._used:
            raise WrongConnection("a transaction is entered once; connector.transaction() makes another")
        self._open = self._used = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        if self._store is not self._engine.store:  # reset() has emptied the transaction, too
            return
        commit = Commit(self._draft)
        try:
            if kind is None and self._outcomes:
                self._engine.do(Conclude(commit, self._outcomes), self._finished_at)
            elif kind is None:
                self._engine.do(commit)
        finally:
            self._engine.do(GoBack(self._draft))  # what is committed cannot go back, so this is for what is not

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


class Savepoint:
    """A part of a transaction; an exception that leaves the block takes back what was deferred in it, and goes on.

    .. versionadded:: 0.1
    """

    def __init__(self, transaction: MemoryTransaction, engine: Engine, draft: Draft) -> None:
        self._transaction = transaction
        self._engine = engine
        self._draft = draft
        self._mark = 0

    def __enter__(self) -> MemoryTransaction:
        self._mark = self._draft.mark
        return self._transaction

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._draft.store is self._engine.store:
            self._engine.do(GoBack(self._draft, self._mark))

    async def __aenter__(self) -> MemoryTransaction:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
