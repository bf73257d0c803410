"""Cursors on which a connector runs its statements: they give tuples, whatever a caller's connection is told to make.

Some are kept with their connection, since to make one takes about a sixth of the time that it takes to store a job.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import TupleRow, tuple_row

_KEPT = "_pq_cursor"


def cursor_on(connection: psycopg.Connection[Any], *, kept: bool) -> psycopg.Cursor[TupleRow]:
    """Return a cursor: a new one, or the one that is kept, for who has the connection for himself."""
    if not kept:
        return psycopg.Cursor(connection, row_factory=tuple_row)
    cursor: psycopg.Cursor[TupleRow] | None = vars(connection).get(_KEPT)
    if cursor is None:
        cursor = vars(connection)[_KEPT] = cursor_on(connection, kept=False)
    return cursor


def async_cursor_on(connection: psycopg.AsyncConnection[Any], *, kept: bool) -> psycopg.AsyncCursor[TupleRow]:
    """Do what :func:`cursor_on` does."""
    if not kept:
        return psycopg.AsyncCursor(connection, row_factory=tuple_row)
    cursor: psycopg.AsyncCursor[TupleRow] | None = vars(connection).get(_KEPT)
    if cursor is None:
        cursor = vars(connection)[_KEPT] = async_cursor_on(connection, kept=False)
    return cursor
