"""To take back what a block did in a caller's transaction, through the caller's own library, sync or async.

Each kind of connection has a generator. It begins, yields `READY` where the block runs, and then takes the block back.
Whatever else it yields is what the library answered: a value, or in the async colour an awaitable, whose value is sent
in.

What the transaction did before the block stays, by a savepoint; if none is open yet, all of it is rolled back. Both
leave the block free to commit or roll back by itself, as code under test may do: psycopg's
``connection.transaction()`` would forbid it that, so it is not used here.
"""

from __future__ import annotations

from collections.abc import Generator
from importlib import import_module
from typing import Any, Final

from pq_core.errors import WrongConnection

READY: Final = object()
"""Yielded once, in place of the block."""

Rewinding = Generator[Any, Any, None]

_SAVEPOINT = "pq_rolls_back"


def rewinding(connection: Any) -> Rewinding:
    """Return what takes a block back that uses a connection to PostgreSQL.

    Raises:
        WrongConnection: of this kind, none can be.
    """
    import psycopg

    from pq_core.postgres.callers import kind_of

    library, _, kind = kind_of(connection).partition(".")
    if library == "sqlalchemy":
        # What a scoped session is made from hands out the session of this thread, or task.
        return _of_sqlalchemy(connection() if kind.endswith("scoped_session") else connection)
    if library == "django":
        return _of_django(connection.alias)
    if isinstance(connection, (psycopg.Connection, psycopg.AsyncConnection)):
        return _of_psycopg(connection)
    if hasattr(connection, "rollback"):
        return _of_others(connection)
    raise WrongConnection(
        f"connection is a {type(connection).__module__}.{type(connection).__qualname__}; give one of psycopg 3, a "
        "Connection or Session of SQLAlchemy, or Django's connection"
    )


def in_memory(transaction: Any) -> Rewinding:
    """Return what takes a block back that uses a `MemoryTransaction`."""
    savepoint = transaction.savepoint()
    savepoint.__enter__()
    yield READY
    savepoint.__exit__(_TakenBack, _TakenBack(), None)


def of_own_memory(transaction: Any) -> Rewinding:
    """Return what ends a `MemoryTransaction` that the block was given."""
    transaction.__enter__()
    yield READY
    transaction.__exit__(_TakenBack, _TakenBack(), None)


def of_own_connection(connection: Any) -> Rewinding:
    """Return what ends a connection of psycopg that the block was given."""
    yield READY
    try:
        yield connection.rollback()
    finally:
        yield connection.close()


def _of_others(connection: Any) -> Rewinding:
    """Return what rolls back a connection to the store of a connector that pq does not ship."""
    yield READY
    yield connection.rollback()


class _TakenBack(Exception):
    """Tells a transaction to roll back."""


def _of_psycopg(connection: Any) -> Rewinding:
    from psycopg.errors import InvalidSavepointSpecification, NoActiveSqlTransaction
    from psycopg.pq import TransactionStatus

    if connection.info.transaction_status == TransactionStatus.IDLE:
        yield READY
        yield connection.rollback()
        return
    yield connection.execute(f"savepoint {_SAVEPOINT}")
    yield READY
    try:
        yield connection.execute(f"rollback to savepoint {_SAVEPOINT}")
        yield connection.execute(f"release savepoint {_SAVEPOINT}")
    except (InvalidSavepointSpecification, NoActiveSqlTransaction):  # The block has ended that transaction itself.
        yield connection.rollback()


def _of_sqlalchemy(connection: Any) -> Rewinding:
    nested: Any = None
    if connection.in_transaction():
        nested = yield connection.begin_nested()
    yield READY
    if nested is not None and nested.is_active:
        yield nested.rollback()
    else:
        yield connection.rollback()


def _of_django(alias: str) -> Rewinding:
    transaction = import_module("django.db.transaction")
    block = transaction.atomic(using=alias)
    # As TestCase says of its own blocks: code under test may call for a durable one inside.
    block._from_testcase = True  # noqa: SLF001
    block.__enter__()
    yield READY
    # An exception would do as well, but the block may have asked to be rolled back already.
    transaction.set_rollback(True, using=alias)
    block.__exit__(None, None, None)
