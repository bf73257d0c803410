"""Transactions in memory: what is deferred in one exists when it commits, and never if it is rolled back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from pq_core.connector import Deferred
from pq_core.errors import WrongConnection
from pq_core.job import NewJob
from pq_core.memory.deferring import Commit, Prepare
from pq_core.memory.engine import Engine
from pq_core.memory.record import Record


class MemoryTransaction:
    """The stand-in for a database connection in a transaction: pass it as `connection=` to defer.

    Enter it with `with` or `async with`; an exception that leaves the block rolls it back. Ids used in a transaction
    that is rolled back are not used again. One thread or task at a time may use it.

    .. versionadded:: 0.1
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._store = engine.store
        self._records: list[Record] = []
        self._open = False
        self._used = False

    def savepoint(self) -> Savepoint:
        """Return a part of the transaction to enter with `with` or `async with`, which can be rolled back alone."""
        return Savepoint(self, self._records)

    def belongs_to(self, engine: Engine) -> bool:
        """Whether `engine` holds the jobs of this transaction."""
        return engine is self._engine

    def defer(self, jobs: Sequence[NewJob], now: datetime | None) -> list[Deferred]:
        """Give jobs their ids, and keep them until the end of the transaction.

        Raises:
            WrongConnection: the transaction has not begun, or has ended.
        """
        if not self._open or self._store is not self._engine.store:
            raise WrongConnection(
                f"the transaction {'has ended' if self._used else 'has not begun'}; "
                "defer inside of `with connector.transaction() as transaction:`"
            )
        records = self._engine.do(Prepare(jobs), now)
        self._records += records
        return [Deferred(record.id) for record in records]

    def __enter__(self) -> Self:
        if self._used:
            raise WrongConnection("a transaction is entered once; connector.transaction() makes another")
        self._open = self._used = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        if kind is None and self._store is self._engine.store:  # reset() has emptied the transaction, too
            self._engine.do(Commit(self._records))

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

    def __init__(self, transaction: MemoryTransaction, records: list[Record]) -> None:
        self._transaction = transaction
        self._records = records
        self._kept = 0

    def __enter__(self) -> MemoryTransaction:
        self._kept = len(self._records)
        return self._transaction

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            del self._records[self._kept :]

    async def __aenter__(self) -> MemoryTransaction:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
