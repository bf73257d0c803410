"""Deferring in a caller's transaction through asyncpg or psycopg2: pq's statements, as these drivers write them.

Neither is imported here: who passes a connection has its library.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any, TypeVar

import psycopg

from pq_core.errors import ConnectionFailed, PQError
from pq_core.postgres.faults import translate, unspeakable
from pq_core.postgres.statements import Statement

T = TypeVar("T")
_PLACE = re.compile(r"%%|%s(::json\b)?")
_CLOSED = re.compile("closed|terminat|lost|not connected", re.IGNORECASE)


def run_psycopg2(driver: Any, statement: Statement[T], schema: str) -> T:
    """Run a statement on a connection of psycopg2, whose placeholders are those of psycopg; read its answer.

    Raises:
        PQError: what the database's error means.
    """
    plain = import_module("psycopg2.extensions").cursor  # not the kind that the connection may have been told to make
    try:
        with driver.cursor(cursor_factory=plain) as cursor:
            cursor.execute(statement.text, list(statement.parameters))
            return statement.read(cursor.fetchall())
    except UnicodeEncodeError as fault:
        raise unspeakable(fault) from fault
    except Exception as fault:
        raise _meaning(fault, schema) or fault from fault


async def run_asyncpg(driver: Any, statement: Statement[T], schema: str) -> T:
    """Do what :func:`run_psycopg2` does, on a connection of asyncpg."""
    try:
        rows = await driver.fetch(numbered(statement.text), *statement.parameters)
    except Exception as fault:
        raise _meaning(fault, schema) or fault from fault
    return statement.read([tuple(row) for row in rows])


async def run_sqlalchemy_asyncpg(connection: Any, statement: Statement[T], schema: str) -> T:
    """Do what :func:`run_psycopg2` does, on an AsyncConnection of SQLAlchemy that stands on asyncpg.

    Only SQLAlchemy itself can begin its transaction there: it does so with the first statement that passes through it.
    """
    try:
        result = await connection.exec_driver_sql(numbered(statement.text), tuple(statement.parameters))
    except Exception as fault:
        raise _meaning(fault, schema) or fault from fault
    return statement.read([tuple(row) for row in result.fetchall()])


def numbered(text: str) -> str:
    """Return a statement with placeholders like ``$1``; JSON goes as text, whatever codec the caller has set for it."""
    numbers = itertools.count(1)

    def place(found: re.Match[str]) -> str:
        if found[0] == "%%":
            return "%"
        return f"${next(numbers)}" + ("::text::json" if found[1] else "")

    return _PLACE.sub(place, text)


def _meaning(fault: Exception, schema: str) -> PQError | None:
    """Return what an error of a driver means, or None if it is none of a driver."""
    for cause in _causes(fault):
        state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
        if isinstance(state, str):
            return translate(_as_psycopg(state, cause), schema)
    if _CLOSED.search(str(fault)):
        return ConnectionFailed(f"connection= does not answer: {' '.join(str(fault).split())}")
    return None


def _causes(fault: BaseException) -> Sequence[BaseException]:
    """Return an error and what it wraps, as SQLAlchemy does."""
    wrapped = [fault, getattr(fault, "orig", None), getattr(getattr(fault, "orig", None), "__cause__", None)]
    return [each for each in wrapped if isinstance(each, BaseException)]


def _as_psycopg(state: str, fault: BaseException) -> psycopg.Error:
    try:
        kind: type[psycopg.Error] = psycopg.errors.lookup(state)
    except KeyError:  # one of pq's own
        kind = psycopg.DatabaseError
    diagnosis = getattr(fault, "diag", None)
    words = getattr(diagnosis, "message_primary", None) or getattr(fault, "message", None) or str(fault)
    same = kind(words)
    same.sqlstate = state
    return same
