"""The asynchronous colour, and the door to the synchronous one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, TypeVar, cast

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from pq_core.answers import Deferred, SchemaStatus, ToStop
from pq_core.clock import Clock
from pq_core.errors import ConnectionFailed, ConnectorError, InvalidOption, shown
from pq_core.given import check_queues
from pq_core.hearing import Hearer
from pq_core.job import NewJob
from pq_core.outcome import Outcome
from pq_core.postgres import schema as schema_
from pq_core.postgres.callers import any_async_driver, async_driver, is_asyncpg, sqlalchemy_connection
from pq_core.postgres.cursors import async_cursor_on
from pq_core.postgres.door import Door
from pq_core.postgres.faults import breaks_preparing, translate, unspeakable
from pq_core.postgres.link import Begins, Link, mend
from pq_core.postgres.listening import listen
from pq_core.postgres.news import PlainHearer
from pq_core.postgres.other_drivers import run_asyncpg, run_sqlalchemy_asyncpg
from pq_core.postgres.pools import AsyncPool
from pq_core.postgres.schema import Conversation
from pq_core.postgres.statements import Statement
from pq_core.postgres.streaming import store_batches_async
from pq_core.postgres.sync_connector import SyncPsycopgConnector
from pq_core.postgres.transactions import IDLE, MOST, async_guarded, async_transaction
from pq_core.postgres.watching import Ear
from pq_core.postgres.worker_verbs import WorkerVerbs
from pq_core.streaming import Tell
from pq_core.watch import Watch

T = TypeVar("T")


class PsycopgConnector(WorkerVerbs):
    """Jobs in a PostgreSQL database, reached through psycopg 3.

    Async callers use its verbs, others those of `sync`; each colour has a pool of its own, opened by open() or when
    first needed. One connection more is used by listen().

    Args:
        dsn: a libpq connection string or URI; what it lacks comes from `keywords`, then from libpq's environment.
        schema: where pq is installed; two schemas of one database are two separate queues.
        min_size: connections that a pool keeps.
        max_size: connections that a pool has at most.
        timeout: seconds to wait for a connection of the pool.
        clock: tells the time wherever a verb is given none, as an aware datetime. The database's is the default.
        transactions: begins the transactions of sync tasks with ``delivery="transactional"``: a function that returns a
            context manager, which gives a connection to the same database as `connection=` of defer takes it, commits
            at the end and rolls back if an exception leaves. By default they are begun on connections of pq's own.
        **keywords: libpq's own, such as host, dbname, password.

    Raises:
        InvalidOption: a value that cannot be.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        dsn: str = "",
        *,
        schema: str = "pq",
        min_size: int = 1,
        max_size: int = 4,
        timeout: float = 10.0,
        clock: Clock | None = None,
        transactions: Begins | None = None,
        **keywords: Any,
    ) -> None:
        if transactions is not None and not callable(transactions):
            msg = f"transactions {shown(transactions)} is not a function, such as one that enters Django's atomic()"
            raise InvalidOption(msg)
        super().__init__()
        self._link = Link.make(
            dsn,
            schema=schema,
            min_size=min_size,
            max_size=max_size,
            timeout=timeout,
            clock=clock,
            keywords=keywords,
        )
        self._link.transactions = transactions
        self._sync = SyncPsycopgConnector(self._link)
        self._pool: AsyncConnectionPool[psycopg.AsyncConnection] | None = None
        self._guard: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._door = Door()
        self._ear = Ear(self._link)
        self._aside: PsycopgConnector | None = None

    def __repr__(self) -> str:
        return f"PsycopgConnector(schema={self._link.schema!r})"

    @property
    def schema(self) -> str:
        """Name of the schema."""
        return self._link.schema

    @property
    def link(self) -> Link:
        """How it gets there: for what of pq stands on this connector."""
        return self._link

    @property
    def sync(self) -> SyncPsycopgConnector:
        """The twin for callers that cannot await."""
        return self._sync

    def with_pool(self, *, min_size: int | None = None, max_size: int | None = None) -> PsycopgConnector:
        """Return another connector to the same place, whose pools have other sizes; what is not given stays.

        Raises:
            InvalidOption: a size that cannot be.
        """
        return PsycopgConnector(
            self._link.conninfo,
            schema=self._link.schema,
            min_size=self._link.min_size if min_size is None else min_size,
            max_size=self._link.max_size if max_size is None else max_size,
            timeout=self._link.timeout,
            clock=self._link.clock,
            transactions=self._link.transactions,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle how to get there: another process, such as one for a job, opens connections of its own."""
        link = self._link
        how = partial(
            PsycopgConnector,
            link.conninfo,
            schema=link.schema,
            min_size=link.min_size,
            max_size=link.max_size,
            timeout=link.timeout,
            clock=link.clock,
        )
        return how, ()

    async def open(self) -> None:
        """Open the pool.

        Raises:
            ConnectionFailed: the database does not answer, or refuses.
            DatabaseRefused: a test did not ask for a real database.
            ConnectorError: the event loop is not asyncio's.
        """
        if self._door.open():
            self._pool = None
        await self._opened_pool()

    async def close(self) -> None:
        """Close the pool. That of `sync` stays open."""
        if self._aside is not None:
            await self._aside.close()
        pool, self._pool = self._pool, None
        if self._door.close() and pool is not None and self._guard is not None:
            self._guard.cancel()
            await asyncio.gather(self._guard, return_exceptions=True)

    async def defer(
        self, jobs: Sequence[NewJob], *, connection: Any = None, now: datetime | None = None
    ) -> list[Deferred]:
        if connection is None and jobs:
            return await self._run(self._link.statements.defer(jobs, now, alone=True))
        self._check_usable()
        if not jobs:
            return []
        statement = self._link.statements.defer(jobs, now)
        driver = await any_async_driver(connection)
        if not is_asyncpg(driver):
            return await self._run_on(await async_driver(connection), statement)
        through = await sqlalchemy_connection(connection)
        if through is not None:
            return await run_sqlalchemy_asyncpg(through, statement, self._link.schema)
        return await run_asyncpg(driver, statement, self._link.schema)

    async def defer_batches(self, batches: AsyncIterable[Sequence[NewJob]], tell: Tell) -> None:
        self._check_usable()
        async with async_transaction(await self._pool_for_transactions(), self._link) as connection:
            make = partial(self._link.statements.defer, now=None)
            await store_batches_async(connection, batches, make, tell, self._link.schema)

    async def finish(
        self, outcomes: Sequence[Outcome], *, connection: Any = None, now: datetime | None = None
    ) -> list[int]:
        self._check_usable()
        if not outcomes:
            return []
        statement = self._link.statements.finish(outcomes, now)
        if connection is None:
            return await self._run(statement)
        driver = await async_driver(connection)
        async with async_guarded(driver, self._link.schema):
            return await self._run_on(driver, statement)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[psycopg.AsyncConnection[Any]]:
        self._check_usable()
        async with async_transaction(await self._pool_for_transactions(), self._link) as connection:
            yield connection

    async def listen(self, queues: Sequence[str] | None, wake: Callable[[], None]) -> None:
        self._check_usable()
        await listen(
            self._link,
            queues,
            wake if isinstance(wake, Hearer) else PlainHearer(wake),
            self._news,
            hurry=partial(self._claim_ahead, check_queues(queues)),
            notify=lambda text: self._run(self._link.statements.notify(text)),
        )

    @asynccontextmanager
    async def watch(self, job_id: int) -> AsyncGenerator[Watch]:
        self._check_usable()
        async with self._ear.watched(job_id) as watch:
            await self._run(self._link.statements.await_end(job_id))
            yield watch

    async def migrate(self) -> list[str]:
        return await self._converse(lambda: schema_.upgrade(self._link.schema))

    async def check(self) -> SchemaStatus:
        return await self._converse(lambda: schema_.status(self._link.schema))

    async def _run(self, statement: Statement[T]) -> T:
        pool = await self._opened_pool()
        try:
            connection = await pool.getconn()
            try:
                connection.prepare_threshold = 5 if self._link.preparing else None
                answer = await self._run_on(connection, statement)
                if isinstance(answer, ToStop) and self._link.clock is None:
                    self._news.others = answer.others
                return answer
            finally:
                await pool.putconn(connection)
        except psycopg.Error as fault:
            raise translate(fault, self._link.schema) from fault
        except ConnectionFailed:
            # What broke one connection has often broken all: one error is enough to have them looked at.
            await pool.check()
            raise

    async def _run_on(self, connection: psycopg.AsyncConnection, statement: Statement[T]) -> T:
        try:
            cursor = async_cursor_on(connection, kept=statement.kept)
            await cursor.execute(statement.text, statement.parameters)
            return statement.read(await cursor.fetchall())
        except psycopg.Error as fault:
            if not (breaks_preparing(fault) and connection.autocommit and self._link.stop_preparing()):
                raise translate(fault, self._link.schema) from fault
        except UnicodeEncodeError as fault:
            raise unspeakable(fault) from fault
        connection.prepare_threshold = None
        return await self._run_on(connection, statement)

    async def _converse(self, begin: Callable[[], Conversation[T]]) -> T:
        self._link.check_permitted()
        _running_loop()
        for attempts_left in reversed(range(schema_.ATTEMPTS)):
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._link.conninfo, prepare_threshold=None, row_factory=tuple_row
                ) as connection:
                    return await _drive(connection, begin())
            except psycopg.errors.LockNotAvailable as fault:
                if not attempts_left:
                    raise translate(fault, self._link.schema) from fault
            except psycopg.Error as fault:
                raise translate(fault, self._link.schema) from fault
        raise AssertionError  # the last round returns or raises

    async def _opened_pool(self) -> AsyncPool:
        self._door.check()
        loop = _running_loop()
        self._link.check_permitted()
        pool = self._pool
        if pool is not None and self._loop is loop and not pool.closed:
            return pool
        return await self._newly_opened_pool(loop)

    async def _newly_opened_pool(self, loop: asyncio.AbstractEventLoop) -> AsyncPool:
        if self._pool is not None and self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                msg = "the connector is open in another event loop; close it there, or make one for each loop"
                raise ConnectorError(msg)
            self._pool = None
        pool = self._pool
        if pool is None:
            await self._probe()
            if self._pool is None:
                self._loop = loop
                self._pool = AsyncConnectionPool(
                    **self._link.pool_options, kwargs=self._link.connection_options, configure=mend
                )
            pool = self._pool
        if pool.closed:
            try:
                await pool.open(wait=True)
            except psycopg.Error as fault:
                self._pool = None
                raise translate(fault, self._link.schema) from fault
            self._guard = loop.create_task(_close_at_the_end(pool), name="pq closes its pool")
            self._door.enter()
        return pool

    async def _pool_for_transactions(self) -> AsyncPool:
        if self._aside is None:
            self._aside = self.with_pool(min_size=0, max_size=MOST)
            self._aside.link.max_idle = IDLE
            self._aside.link.refusable = self._link.refusable
        return await self._aside._opened_pool()  # noqa: SLF001 - of this class

    def _check_usable(self) -> None:
        self._door.check()
        _running_loop()

    async def _probe(self) -> None:
        """Connect once: a pool would only say after its timeout that it could not, and not why."""
        try:
            connection = await psycopg.AsyncConnection.connect(self._link.conninfo, autocommit=True)
            await connection.close()
        except psycopg.Error as fault:
            raise translate(fault, self._link.schema) from fault


async def _close_at_the_end(pool: AsyncConnectionPool[psycopg.AsyncConnection]) -> None:
    """Wait to be cancelled, by close() or by the end of an event loop in which nobody closed; then close the pool.

    The pool's own tasks take a cancellation for a request to reconnect: the loop would wait for them for ever.
    """
    try:
        await asyncio.Event().wait()
    finally:
        await pool.close(timeout=1)


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        msg = (
            "psycopg's connections are asyncio's; under trio, use the in-memory connector, or run the app under asyncio"
        )
        raise ConnectorError(msg) from None


async def _drive(connection: psycopg.AsyncConnection[Any], conversation: Conversation[T]) -> T:
    try:
        text, parameters = next(conversation)
        while True:
            cursor = await connection.execute(cast("Any", text), parameters or None)
            rows = await cursor.fetchall() if cursor.description else []
            text, parameters = conversation.send(rows)
    except StopIteration as end:
        return cast("T", end.value)
