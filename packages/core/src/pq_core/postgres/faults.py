"""What a psycopg error means to a caller of pq."""

from __future__ import annotations

import psycopg
from psycopg import errors as driver

from pq_core.errors import (
    ConnectionFailed,
    ConnectorError,
    InvalidJob,
    LeaseLost,
    PQError,
    SchemaMissing,
    StoreBusy,
    TransactionRequired,
    WrongConnection,
    shown,
)

_OURS: dict[str, type[PQError]] = {"PQ001": LeaseLost, "PQ002": InvalidJob, "PQ003": TransactionRequired}
_BUSY = (driver.LockNotAvailable, driver.DeadlockDetected, driver.SerializationFailure, driver.QueryCanceled)
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, driver.ReadOnlySqlTransaction)
_NOT_INSTALLED = (driver.UndefinedFunction, driver.UndefinedTable, driver.InvalidSchemaName, driver.UndefinedColumn)
_PREPARED = (driver.DuplicatePreparedStatement, driver.InvalidSqlStatementName)


def translate(fault: psycopg.Error, schema: str) -> PQError:
    """Return the error to raise instead of `fault`."""
    ours = _OURS.get(fault.sqlstate or "")
    if ours is not None:
        return ours(fault.diag.message_primary or str(fault))
    if isinstance(fault, _BUSY):
        return StoreBusy(f"{_line(fault)}; try again")
    if isinstance(fault, _NOT_INSTALLED) and not _is_operator(fault):
        return SchemaMissing(
            f"pq is not installed in schema {schema!r}, or an older version of it: {_line(fault)}. "
            "Run `pq schema apply`, or app.migrate()."
        )
    if isinstance(fault, driver.InFailedSqlTransaction):
        return TransactionRequired("the transaction has failed already; roll it back before deferring in it")
    if isinstance(fault, driver.InsufficientPrivilege):
        return ConnectorError(f"the role may not do this in schema {schema!r}: {_line(fault)}")
    if isinstance(fault, _AWAY) and not isinstance(fault, driver.ProgramLimitExceeded):
        return ConnectionFailed(f"the database does not answer: {_line(fault)}")
    return ConnectorError(f"the database refuses ({fault.sqlstate or type(fault).__name__}): {_line(fault)}")


def breaks_preparing(fault: psycopg.Error) -> bool:
    """Say whether a pooler between us and PostgreSQL has lost or mixed up prepared statements."""
    return isinstance(fault, _PREPARED)


def unspeakable(fault: UnicodeEncodeError) -> WrongConnection:
    """Return the error for a text that the encoding of a caller's own connection lacks; pq's own are in UTF-8."""
    lacking = shown(fault.object[fault.start : fault.end])
    return WrongConnection(f"connection= has the encoding {fault.encoding}, which lacks {lacking}; set it to utf8")


def _is_operator(fault: psycopg.Error) -> bool:
    """Whether an operator is missing, for types that nothing of pq compares. A function is named with its arguments."""
    return isinstance(fault, driver.UndefinedFunction) and "(" not in _line(fault)


def _line(fault: psycopg.Error) -> str:
    return " ".join((fault.diag.message_primary or str(fault)).split()) or type(fault).__name__
