"""All verbs of a connector inside one open transaction of a caller's, which decides what becomes of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, NoReturn, TypeVar, cast

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row
from psycopg.types.datetime import TimestamptzLoader

from pq_core.answers import Deferred, SchemaStatus
from pq_core.connector import SyncConnector
from pq_core.errors import ConnectionFailed, ConnectorError, TransactionRequired, WrongConnection
from pq_core.job import NewJob
from pq_core.outcome import Outcome
from pq_core.postgres.callers import async_driver, is_async, sync_driver
from pq_core.postgres.connector import PsycopgConnector
from pq_core.postgres.faults import translate, unspeakable
from pq_core.postgres.savepoints import Call, Savepoint, make_savepoint
from pq_core.postgres.statements import Statement
from pq_core.postgres.verbs import Verbs

T = TypeVar("T")
_ISOLATION = b"select current_setting('transaction_isolation')"


def _plainly(function: Callable[[], T], /) -> T:
    return function()


class BoundConnector(Verbs):
    """A connector whose every verb is a part of one transaction, for tests that roll back all they did.

    Each verb has a savepoint of its own, so that an error leaves the transaction fit for use. On a synchronous
    connection no verb ever waits for the event loop, and `sync` works; on an asynchronous one it does not. Verbs that
    are called at once, by several tasks or threads, take turns.

    Args:
        connector: whose schema, and clock, it uses.
        connection: of the caller's, as for `connection=` of defer, in an open transaction that is READ COMMITTED.
        call: calls what is synchronous in the caller's library, for libraries that refuse to be called where an event
            loop runs, as Django does.

    .. versionadded:: 0.1
    """

    def __init__(self, connector: PsycopgConnector, connection: Any, *, call: Call = _plainly) -> None:
        self._connector = connector
        self._link = connector.link
        self._given = connection
        self._call = call
        self._async = is_async(connection)
        self._checked: object = None
        # One verb at a time: savepoints of one connection are nested, or not at all.
        self._turn: threading.Lock = threading.Lock()
        self._async_turn: asyncio.Lock = asyncio.Lock()

    @property
    def schema(self) -> str:
        """Name of the schema."""
        return self._link.schema

    @property
    def is_async(self) -> bool:
        """Whether the connection can only be awaited."""
        return self._async

    @property
    def sync(self) -> SyncConnector:
        """The twin for callers that cannot await: the same transaction.

        Raises:
            WrongConnection: the connection is asynchronous.
        """
        if self._async:
            msg = f"what is bound to an {type(self._given).__qualname__} can only be awaited; use defer_async"
            raise WrongConnection(msg)
        return cast("SyncConnector", _Twin(self))

    async def savepoint(self) -> Savepoint:
        """Return a new savepoint: a job's own work, say, which is undone if the job fails.

        Raises:
            TransactionRequired: no transaction is open.
        """
        await self._check()
        return await make_savepoint(self._given, self._call)

    async def open(self) -> None:
        """Check that a transaction is open, in which this can work.

        Raises:
            TransactionRequired: none is, or it has failed, or it is not READ COMMITTED.
            WrongConnection: `connection` is of a kind that pq cannot use.
        """
        await self._check()

    async def close(self) -> None:
        """Do nothing: the connection is the caller's."""

    async def defer(
        self, jobs: Sequence[NewJob], *, connection: Any = None, now: datetime | None = None
    ) -> list[Deferred]:
        if connection is not None and connection is not self._given:
            return await self._defer_elsewhere(jobs, connection, now)
        return await self._run(self._link.statements.defer(jobs, now)) if jobs else []

    async def finish(
        self,
        outcomes: Sequence[Outcome],
        *,
        connection: Any = None,  # noqa: ARG002 - which is the same
        now: datetime | None = None,
    ) -> list[int]:
        return await self._run(self._link.statements.finish(outcomes, now)) if outcomes else []

    def transaction(self) -> Part:
        """Give the caller's connection for a block, as a part of its transaction that is undone alone."""
        return Part(self)

    async def driver(self) -> Any:
        """Return the connection of psycopg under the caller's."""
        return await async_driver(self._given) if self._async else self._call(lambda: sync_driver(self._given))

    async def listen(self, queues: Sequence[str] | None, wake: Callable[[], None]) -> None:  # noqa: ARG002 - a verb
        self._refuse("listen: notifications leave when a transaction commits")

    def watch(self, job_id: int) -> NoReturn:  # noqa: ARG002 - a verb
        self._refuse("wait for a job: nobody but this transaction sees it. In a test, let run_jobs() run it before")

    async def migrate(self) -> list[str]:
        self._refuse("migrate: its locks would last as long as the transaction does")

    async def check(self) -> SchemaStatus:
        self._refuse("check")

    def _refuse(self, what: str) -> NoReturn:
        msg = f"a connector that is bound to a transaction cannot {what}; ask the connector that it was made from"
        raise ConnectorError(msg)

    async def _defer_elsewhere(self, jobs: Sequence[NewJob], connection: Any, now: datetime | None) -> list[Deferred]:
        """Defer on another object of the caller's, which may stand on the same connection all the same."""
        if self._async:
            same = await async_driver(connection) is await async_driver(self._given)
        else:
            same = self._call(lambda: sync_driver(connection) is sync_driver(self._given))
        if same:
            return await self.defer(jobs, now=now)
        if self._async:
            return await self._connector.defer(jobs, connection=connection, now=now)
        return self._call(lambda: self._connector.sync.defer(jobs, connection=connection, now=now))

    async def _run(self, statement: Statement[T]) -> T:
        if self._async:
            async with self._async_turn:
                return await self._run_alone(statement)
        with self._turn:
            return await self._run_alone(statement)

    async def _run_alone(self, statement: Statement[T]) -> T:
        await self._check()
        try:
            if self._async:
                return await _execute_async(await async_driver(self._given), statement)
            return self._call(lambda: _execute(sync_driver(self._given), statement))
        except psycopg.Error as fault:
            raise translate(fault, self.schema) from fault
        except UnicodeEncodeError as fault:
            raise unspeakable(fault) from fault

    async def _check(self) -> None:
        """See to it that a transaction is open; a driver that is to begin one by itself begins it here."""
        driver: Any
        if self._async:
            driver = await async_driver(self._given)
        else:
            driver = self._call(lambda: sync_driver(self._given))
        if not _needs_look(driver, self._checked):
            return
        try:
            if self._async:
                row = await (await psycopg.AsyncCursor(driver, row_factory=tuple_row).execute(_ISOLATION)).fetchone()
            else:
                row = psycopg.Cursor(driver, row_factory=tuple_row).execute(_ISOLATION).fetchone()
        except psycopg.Error as fault:
            raise translate(fault, self.schema) from fault
        if row != ("read committed",):
            msg = f"the transaction of connection= is {str(row and row[0]).upper()}; pq works under READ COMMITTED only"
            raise TransactionRequired(msg)
        self._checked = driver


class Part:
    """A part of the caller's transaction: what a job does whose end is to be one with its work.

    .. versionadded:: 0.1
    """

    def __init__(self, bound: BoundConnector) -> None:
        self._bound = bound
        self._savepoint: Savepoint | None = None

    async def __aenter__(self) -> Any:
        if not self._bound.is_async:
            msg = "an async task works on a connection that is awaited: pass an asynchronous one as connection="
            raise WrongConnection(msg)
        return await self._begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._savepoint is not None:
            await (self._savepoint.release() if kind is None else self._savepoint.rollback())

    def __enter__(self) -> Any:
        return _result(self._begin())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _result(self.__aexit__(kind, error, trace))

    async def _begin(self) -> Any:
        self._savepoint = await self._bound.savepoint()
        return await self._bound.driver()


class _Twin:
    """The verbs for callers that cannot await, on a synchronous connection: each runs to its end without a pause."""

    def __init__(self, bound: BoundConnector) -> None:
        self._bound = bound

    def transaction(self) -> Part:
        return self._bound.transaction()

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        method = getattr(self._bound, verb)
        return lambda *given, **named: _result(method(*given, **named))


def _result(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    coroutine.close()
    raise AssertionError  # a synchronous connection has nothing to await


def _needs_look(driver: Any, checked: object) -> bool:
    """Say whether the transaction's isolation is to be asked for. A transaction that cannot be used is refused.

    Raises:
        TransactionRequired: none is open, or it has failed.
        ConnectionFailed: the connection is closed.
    """
    status = driver.info.transaction_status
    if status == TransactionStatus.INTRANS:
        return driver is not checked
    if status == TransactionStatus.IDLE and not driver.autocommit:
        return True
    if status == TransactionStatus.UNKNOWN:
        msg = "connection= is closed; pass one that is open, in a transaction"
        raise ConnectionFailed(msg)
    if status == TransactionStatus.INERROR:
        msg = "the transaction of connection= has failed; roll it back, to a savepoint at least"
        raise TransactionRequired(msg)
    msg = "connection= has no open transaction; begin one first, and roll it back at the end of the test"
    raise TransactionRequired(msg)


def _execute(driver: psycopg.Connection[Any], statement: Statement[T]) -> T:
    with driver.transaction(), psycopg.Cursor(driver, row_factory=tuple_row) as cursor:
        _read_plainly(cursor)
        return statement.read(cursor.execute(statement.text, statement.parameters).fetchall())


async def _execute_async(driver: psycopg.AsyncConnection[Any], statement: Statement[T]) -> T:
    async with driver.transaction(), psycopg.AsyncCursor(driver, row_factory=tuple_row) as cursor:
        _read_plainly(cursor)
        await cursor.execute(statement.text, statement.parameters)
        return statement.read(await cursor.fetchall())


def _read_plainly(cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> None:
    """Read times as psycopg does by itself: Django, for one, makes them naive."""
    cursor.adapters.register_loader("timestamptz", TimestamptzLoader)
