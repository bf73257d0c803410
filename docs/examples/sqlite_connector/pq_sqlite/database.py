"""One connection to the file: opened, closed, migrated, and used by one thread at a time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Concatenate, ParamSpec, TypeVar

from pq_core.connector import SchemaStatus
from pq_core.errors import ConnectionFailed, ConnectorClosed, ForkedConnector, SchemaMissing, SchemaTooNew, StoreBusy
from pq_core.given import check_now
from pq_core.payload import exact, has_args

Params = ParamSpec("Params")
Answer = TypeVar("Answer")
VERSION = 1
PATIENCE = 10.0
"""Seconds to wait while another connection writes: SQLite lets one do so at a time."""
WAKE = "update jobs set state = 'ready' where state = 'blocked' and id in (select id from runnable)"


class Database:
    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._turn = Lock()
        self._connection: sqlite3.Connection | None = None
        self._process: int | None = None
        self._opened = self._closed = False

    def open(self) -> None:
        self._closed = False
        self._opened = True
        self.check_open()
        with self._turn:
            self._connected()

    def close(self) -> None:
        self._closed = self._opened
        with self._turn:
            if self._connection and self._process == os.getpid():
                self._connection.close()
            self._connection = self._process = None

    def check_open(self) -> None:
        if self._closed:
            raise ConnectorClosed(f"the connector to {self._path} is closed; open() it again")
        if self._process not in {None, os.getpid()}:
            raise ForkedConnector(f"{self._path} was opened in process {self._process}, of which this is a fork")

    def do(
        self,
        verb: Callable[Concatenate[sqlite3.Connection, datetime, Params], Answer],
        now: datetime | None,
        *args: Params.args,
        **options: Params.kwargs,
    ) -> Answer:
        """Carry out one verb, whole or not at all, and let blocked jobs whose lock has become free be ready."""
        self.check_open()
        moment = check_now(datetime.now(UTC) if now is None else now)
        with self._turn:
            db = self._connected()
            try:
                db.execute("begin immediate")
                answer = verb(db, moment, *args, **options)
                db.execute(WAKE)
                db.execute("commit")
            except sqlite3.Error as reason:
                raise named(reason, self._path) from reason
            finally:
                if db.in_transaction:
                    db.execute("rollback")
            return answer

    def migrate(self) -> list[str]:
        with self._turn:
            if self._version() >= VERSION:
                return []
            schema = files("pq_sqlite").joinpath("schema.sql").read_text("utf-8")
            self._connected().executescript(f"begin immediate; {schema}; commit")
        return ["schema.sql"]

    def check(self) -> SchemaStatus:
        with self._turn:
            version = self._version()
        if version == 0:
            raise SchemaMissing(f"{self._path} holds no jobs; connector.sync.migrate() makes the tables")
        if version > VERSION:
            raise SchemaTooNew(f"{self._path} has version {version} of the tables; this is pq_sqlite for {VERSION}")
        return SchemaStatus(version=version)

    def _version(self) -> int:
        return int(self._connected().execute("pragma user_version").fetchone()[0])

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = sqlite3.connect(
                    self._path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
                )
                self._connection.execute("pragma journal_mode = wal")
                self._connection.execute("pragma synchronous = normal")
            except sqlite3.Error as reason:
                raise named(reason, self._path) from reason
            self._connection.row_factory = sqlite3.Row
            self._connection.create_function("has_args", 2, lambda args, wanted: has_args(exact(args), exact(wanted)))
            self._process = os.getpid()
        return self._connection


def named(reason: sqlite3.Error, path: str | Path) -> Exception:
    if "locked" in str(reason):
        return StoreBusy(f"another process has been writing to {path} for {PATIENCE:g} s; try again")
    if "no such table" in str(reason):
        return SchemaMissing(f"{path} holds no jobs; connector.sync.migrate() makes the tables")
    return ConnectionFailed(f"SQLite cannot use {path}: {reason}")
