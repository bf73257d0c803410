"""Transactions on connections of the connector's own, for jobs that end in the transaction in which they work.

Such a transaction lasts as long as its job. Its connection is none of the pool's through which a worker fetches, writes
and beats, or long jobs would keep these waiting until the lease is lost.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from pq_core.errors import ConnectionFailed, StoreBusy, TransactionRequired
from pq_core.postgres.faults import translate
from pq_core.postgres.link import Link
from pq_core.postgres.pools import AsyncPool, SyncPool

MOST = 10_000
"""Connections at a time: who asks for them limits them, a worker by its concurrency."""
IDLE = 5.0
"""Seconds after which a connection that nobody needs is closed; of several, one after the other."""
_SAVEPOINT = "savepoint pq_finish"
_BACK = "rollback to savepoint pq_finish"
_UNKNOWN = (psycopg.OperationalError, psycopg.InterfaceError)
"""Errors of a commit that tell nothing of what the job did: of the connection, or of locks."""


@contextmanager
def transaction(pool: SyncPool, link: Link) -> Generator[psycopg.Connection[Any]]:
    """Lend a connection in a transaction: committed at the end of the block, rolled back if an exception leaves it."""
    stage = _Stage()
    try:
        with pool.connection() as connection:
            connection.prepare_threshold = 5 if link.preparing else None
            with connection.transaction():
                stage.begun = True
                yield connection
                stage.done = True
    except psycopg.Error as fault:
        stage.judge(fault, link.schema)
        raise


@asynccontextmanager
async def async_transaction(pool: AsyncPool, link: Link) -> AsyncGenerator[psycopg.AsyncConnection[Any]]:
    """Do what :func:`transaction` does."""
    stage = _Stage()
    try:
        async with pool.connection() as connection:
            connection.prepare_threshold = 5 if link.preparing else None
            async with connection.transaction():
                stage.begun = True
                yield connection
                stage.done = True
    except psycopg.Error as fault:
        stage.judge(fault, link.schema)
        raise


def check_open(driver: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    """Refuse to write an outcome where it would not be part of a transaction, or of one that cannot be committed.

    Raises:
        TransactionRequired: none is open, since the job has ended it or closed the connection; or it has failed.
        ConnectionFailed: the connection is broken.
    """
    status = driver.info.transaction_status
    if status == TransactionStatus.INTRANS:
        return
    if status == TransactionStatus.INERROR:
        msg = (
            "an error of the database was caught and its transaction used on; PostgreSQL keeps nothing of that: "
            "catch it around a savepoint, such as `with connection.transaction():`"
        )
        raise TransactionRequired(msg)
    if status == TransactionStatus.UNKNOWN and not driver.broken:
        msg = "the job has closed its connection, and so undone what it did there; leave that to pq"
        raise TransactionRequired(msg)
    if status == TransactionStatus.UNKNOWN:
        msg = "the connection is broken, so what was done in its transaction is lost"
        raise ConnectionFailed(msg)
    msg = (
        "the transaction has been ended already, by a `commit` or `rollback` of its job; what it did before has not "
        "the job's fate. Leave the end of the transaction to pq, and use `with connection.transaction():` for a part"
    )
    raise TransactionRequired(msg)


@contextmanager
def guarded(driver: psycopg.Connection[Any], schema: str) -> Generator[None]:
    """Let a block write an outcome in a transaction that goes on if that has to be tried again.

    Raises:
        TransactionRequired: see :func:`check_open`.
        StoreBusy: as the block; what it has done is undone.
    """
    check_open(driver)
    try:
        psycopg.Cursor(driver).execute(_SAVEPOINT, prepare=False)
        try:
            yield
        except StoreBusy:
            psycopg.Cursor(driver).execute(_BACK, prepare=False)
            raise
    except psycopg.Error as fault:
        raise translate(fault, schema) from fault


@asynccontextmanager
async def async_guarded(driver: psycopg.AsyncConnection[Any], schema: str) -> AsyncGenerator[None]:
    """Do what :func:`guarded` does."""
    check_open(driver)
    try:
        await psycopg.AsyncCursor(driver).execute(_SAVEPOINT, prepare=False)
        try:
            yield
        except StoreBusy:
            await psycopg.AsyncCursor(driver).execute(_BACK, prepare=False)
            raise
    except psycopg.Error as fault:
        raise translate(fault, schema) from fault


class _Stage:
    """How far a transaction has come: errors of the block are its own, others are pq's to explain."""

    def __init__(self) -> None:
        self.begun = self.done = False

    def judge(self, fault: psycopg.Error, schema: str) -> None:
        """Raise what `fault` means, unless the caller's work is to blame: the block, or a constraint checked last."""
        if not self.begun or (self.done and isinstance(fault, _UNKNOWN)):
            raise translate(fault, schema) from fault
