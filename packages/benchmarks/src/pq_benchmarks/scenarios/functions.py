"""How often pq's functions were called in a database, and for how long: PostgreSQL counts, where it is told to."""

from __future__ import annotations

import psycopg
from psycopg import sql

_CALLS = """
    select coalesce(sum(calls), 0), coalesce(sum(total_time), 0) from pg_stat_user_functions
    where schemaname = 'pq' and funcname = %s
"""


def count_functions(dsn: str) -> None:
    """Let the sessions that begin from now on be counted."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("alter database {} set track_functions = 'pl'").format(name))


def calls(dsn: str, function: str) -> float:
    """Return how often a function was called."""
    return calls_and_ms(dsn, function)[0]


def calls_and_ms(dsn: str, function: str) -> tuple[float, float]:
    """Return how often a function was called, and how many milliseconds that took, on the server."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(_CALLS, [function]).fetchone()
    return (float(row[0]), float(row[1])) if row else (0.0, 0.0)
