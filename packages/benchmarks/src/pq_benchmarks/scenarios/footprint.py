"""What a drain leaves behind in the database: WAL, dead rows, history. The contract of a queue is read off it."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

import psycopg

from pq_benchmarks.contender import Contender

_LONGEST_WAIT = 5.0

_WAL = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"
_DEAD = "select coalesce(sum(n_tup_upd + n_tup_del), 0) from pg_stat_user_tables"
_CLIENTS = (
    "select count(*) from pg_stat_activity where datname = current_database() and backend_type = 'client backend'"
)
_LOGGED = "select count(*) from pg_class where oid = '{}'::regclass and relpersistence = 'p'"


class Footprint:
    """Reads one contender's database; what is not on PostgreSQL leaves none.

    To be entered as a context: it holds a connection, so that to ask costs little while something is measured. It
    begins with a checkpoint, after which each page is logged whole when it first changes: for every contender alike,
    and not for whom a checkpoint happened to come.
    """

    def __init__(self, contender: Contender, dsn: str) -> None:
        self._connection = None if contender.store == "redis" else psycopg.connect(dsn, autocommit=True)
        if self._connection is not None:
            self._connection.execute("checkpoint")
        self._dead = self._number(_DEAD)
        self._clients = self._number(_CLIENTS)
        queries = {
            "logged": _LOGGED.format(contender.table) if contender.table else None,
            "in_history": contender.ended,
            "left": contender.left,
        }
        self._contract = {name: query for name, query in queries.items() if query is not None}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()

    def wal_bytes(self) -> float:
        """Return how much was ever written to the server's log, in bytes."""
        return self._number(_WAL)

    def after(self, jobs: int) -> dict[str, float]:
        """Return what `jobs` jobs have left, once the worker has ended: it counts what it did when it disconnects.

        Every update and every delete leaves a dead row version, which autovacuum has to remove.
        """
        if self._connection is None:
            return {}
        deadline = time.monotonic() + _LONGEST_WAIT
        while self._number(_CLIENTS) > self._clients and time.monotonic() < deadline:
            time.sleep(0.05)
        return {
            "dead_rows": (self._number(_DEAD) - self._dead) / max(jobs, 1),
            **{name: self._number(query) for name, query in self._contract.items()},
        }

    def _number(self, query: str) -> float:
        if self._connection is None:
            return 0.0
        row = self._connection.execute(query.encode()).fetchone()
        return float(row[0]) if row else 0.0
