"""A PostgreSQL database as the place where a test's jobs are."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Generator
from datetime import datetime
from typing import Any, cast

import psycopg
from psycopg.errors import InvalidSchemaName, UndefinedTable

from pq_core.errors import ConnectionFailed
from pq_core.postgres.callers import sync_driver
from pq_core.postgres.faults import translate
from pq_testing.backends import reset
from pq_testing.backends.connector import BackendConnector, HandConnector
from pq_testing.backends.errors import DatabaseInUse, ServerDied
from pq_testing.backends.stock import Stock
from pq_testing.postgres.binaries import OLDEST_MAJOR
from pq_testing.postgres.errors import PostgresTooOld, ServerNotStarted

_LOCK_KEY = "select hashtextextended(%s, 20260102)"
_TERMINATE = "select pg_terminate_backend(pid, 5000) from unnest(%s::int[]) pid"
_BEGUN_SINCE = """
    select pid from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend'
        and xact_start >= %s and pid <> all (%s::int[])
"""


class PostgresBackend:
    """A database in which a session's tests keep jobs, in a schema that holds nothing else. One for each of them.

    What it makes works in sync tests and in event loops of asyncio, and needs no closing by the test.

    Args:
        dsn: libpq connection string of the database.
        schema: where pq is, or is installed; its tables are emptied for each test, and no others are touched.
        installed: whether pq is known to be there, in this version.
        revive: brings the server back if it is down; None if that is in nobody's hands here.

    .. versionadded:: 0.1
    """

    def __init__(
        self, dsn: str, *, schema: str = "pq", installed: bool = False, revive: Callable[[], object] | None = None
    ) -> None:
        self.dsn = dsn
        self.schema = schema
        self._installed = installed
        self._revive = revive
        self._stock = Stock()
        self._connectors: list[BackendConnector] = []
        self._spared: set[int] = set()
        self._session: psycopg.Connection[Any] | None = None

    def __repr__(self) -> str:
        return f"PostgresBackend(schema={self.schema!r})"

    def connector(self, clock: Any = None) -> BackendConnector:
        """Return a new connector, of this test, or of one worker in it; it costs nothing until it is used.

        Args:
            clock: a :class:`pq_testing.Clock`, or a function that tells the time; None is the server's.
        """
        connector = BackendConnector(self, self._stock, getattr(clock, "now", clock))
        self._connectors.append(connector)
        return connector

    def hand_connector(self, clock: Any = None) -> HandConnector:
        """Return a connector for one worker that may crash: it can end what the worker's job has begun."""
        connector = HandConnector(self, self._stock, getattr(clock, "now", clock))
        self._connectors.append(connector)
        return connector

    def anybody_busy(self) -> bool:
        """Tell whether a worker with a connector of its own runs a job."""
        return any(isinstance(each, HandConnector) and each.busy_since is not None for each in self._connectors)

    def spare(self, *connections: Any) -> None:
        """Let these live on until the end of the test, whatever crashes.

        Args:
            *connections: the test's own, as `connection=` of defer takes them; asynchronous ones of psycopg only.
        """
        for connection in connections:
            asynchronous = isinstance(connection, psycopg.AsyncConnection)
            driver = cast("Any", connection) if asynchronous else sync_driver(connection)
            self._spared.add(driver.info.backend_pid)

    def reset(self) -> None:
        """Forget all jobs, workers and pauses of the schema; the next job has the id 1. Installs pq if it is not there.

        Raises:
            DatabaseInUse: something holds the tables, or another process tests in the same schema.
            ServerDied: the server is down, and cannot be brought back.
            PostgresTooOld: PostgreSQL is older than 15.
            ConnectionFailed: the server never answered.
        """
        if self._session is None:
            self._begin()
        session = self._opened()
        try:
            self._empty()
        except psycopg.Error as fault:
            if not session.broken:
                raise translate(fault, self.schema) from fault
            self._forget()
            self._bring_back(fault)
            self._empty()

    def close_test(self) -> None:
        """Take back the connections of the test's connectors; close those of event loops that are closed."""
        self._spared.clear()
        while self._connectors:
            self._connectors.pop().end()

    def terminate(self, *those: Any) -> None:
        """End sessions on the server, and wait until they are gone; what they had begun is rolled back.

        Args:
            *those: process ids on the server, or connections of psycopg.
        """
        pids = [each if isinstance(each, int) else each.info.backend_pid for each in those]
        if pids:
            self._opened().execute(_TERMINATE, [pids])

    def moment(self) -> datetime:
        """Return the server's time, for `terminate_begun_since`."""
        with psycopg.Cursor(self._opened()) as cursor:
            ((moment,),) = cursor.execute("select clock_timestamp()").fetchall()
        return moment  # type: ignore[no-any-return]

    def terminate_begun_since(self, moment: datetime, among: Collection[int] | None = None) -> list[int]:
        """End the sessions on this database whose transaction has begun since; return their process ids.

        This is what a crashed job leaves open: not pq's own connections, nor those that were to be spared.

        Args:
            moment: of the server's clock, as `moment()` gives it.
            among: process ids, of which others are left alone; None: any.
        """
        session = self._opened()
        ours = {session.info.backend_pid, *self._spared}.union(*(connector.pids for connector in self._connectors))
        pids = [pid for (pid,) in session.execute(_BEGUN_SINCE, [moment, sorted(ours)]).fetchall()]
        pids = pids if among is None else [pid for pid in pids if pid in among]
        self.terminate(*pids)
        return pids

    def close(self) -> None:
        """Close all connections, at the end of the session; it can be used again."""
        self.close_test()
        self._forget()

    def _begin(self) -> None:
        """Connect, check, keep others out, install."""
        session = self._opened()
        version = session.info.server_version // 10_000
        if version < OLDEST_MAJOR:
            self._forget()
            raise PostgresTooOld(f"the database for tests is in PostgreSQL {version}; pq needs {OLDEST_MAJOR} or later")
        if not self._installed:
            self._install()

    def _opened(self) -> psycopg.Connection[Any]:
        session = self._session
        if session is None:
            with self._own_connector() as connector:
                conninfo = connector.link.conninfo
            try:
                session = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
                session.execute(reset.SETTINGS)
            except psycopg.Error as fault:
                raise translate(fault, self.schema) from fault
            self._keep_others_out(session)
            self._session = session
        return session

    def _keep_others_out(self, session: psycopg.Connection[Any]) -> None:
        """Take a lock that lasts as long as the session: two who reset the same tables do harm."""
        ((key,),) = session.execute(_LOCK_KEY, [f"pq tests {self.schema}"]).fetchall()
        try:
            session.execute("select pg_advisory_lock(%s)", [key])
        except psycopg.errors.LockNotAvailable:
            who = reset.holders(session, self.schema, key)
            session.close()
            raise DatabaseInUse(
                f"other tests use the schema {self.schema!r} of this database just now: {who}. They would delete each "
                "other's jobs: give each run, and each worker of pytest-xdist, a database of its own"
            ) from None

    def _empty(self) -> None:
        try:
            reset.empty(self._opened(), self.schema)
        except (UndefinedTable, InvalidSchemaName):  # somebody has dropped it, with a schema of theirs perhaps
            self._install()
            reset.empty(self._opened(), self.schema)

    def _install(self) -> None:
        with self._own_connector() as connector:
            connector.sync.migrate()
        self._installed = True

    def _bring_back(self, fault: psycopg.Error) -> None:
        """Connect anew, to a server that is back or to a database that was made again."""
        why = " ".join(str(fault).split())
        try:
            if self._revive is not None:
                self._revive()
            self._begin()
        except (ConnectionFailed, ServerNotStarted) as reason:
            gone = f"the PostgreSQL server of the tests is gone ({why})"
            if self._revive is None:
                raise ServerDied(f"{gone}; start it again") from reason
            raise ServerDied(f"{gone}, and stays away: {reason}") from reason

    def _forget(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
        self._stock.close()

    @contextlib.contextmanager
    def _own_connector(self) -> Generator[BackendConnector]:
        connector = BackendConnector(self, self._stock, None)
        try:
            yield connector
        finally:
            connector.end()
