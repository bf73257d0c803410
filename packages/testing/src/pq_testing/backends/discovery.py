"""Where the PostgreSQL of a test session comes from.

In this order: a database that is named, with ``pq_dsn``; a server that is named, with ``PQ_TEST_DSN``; what
``pq_postgres`` asks for, pytest-postgresql or testcontainers; programs of the system, or those of a wheel; a container,
if testcontainers is installed and Docker answers.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Literal

import attrs

from pq_testing.backends.containers import start_container
from pq_testing.backends.errors import PostgresNotAvailable
from pq_testing.backends.postgres import PostgresBackend
from pq_testing.backends.run_server import RunServer
from pq_testing.postgres import session
from pq_testing.postgres.databases import DatabaseServer
from pq_testing.postgres.errors import (
    AccountNotFound,
    PlatformNotSupported,
    PostgresNotFound,
    PostgresTooOld,
    ServerNotStarted,
)
from pq_testing.postgres.external import ExternalServer
from pq_testing.postgres.local_server import Server

Via = Literal["auto", "pytest-postgresql", "testcontainers"]


@attrs.define(eq=False, kw_only=True)
class Databases:
    """The databases of one test session. Nothing is looked for until one is asked for.

    .. versionadded:: 0.1

    Attributes:
        named: DSN of a database to use as it is, or None to make one.
        via: who starts the server, if none is named.
        fixture: returns the value of a fixture of pytest's by its name; needed for ``"pytest-postgresql"``.
        run: directory that only the workers of this run of pytest-xdist share, or None without it.
    """

    named: str | None = None
    via: Via = "auto"
    fixture: Callable[[str], Any] | None = None
    run: Path | None = None
    _server: DatabaseServer | None = attrs.field(init=False, default=None)
    _dsn: str | None = attrs.field(init=False, default=None)
    _backends: dict[tuple[str, str], PostgresBackend] = attrs.field(
        init=False, factory=dict[tuple[str, str], PostgresBackend]
    )
    _nowhere: PostgresNotAvailable | None = attrs.field(init=False, default=None)
    _ends: contextlib.ExitStack = attrs.field(init=False, factory=contextlib.ExitStack)

    def dsn(self) -> str:
        """Return the DSN of the session's database: the one that is named, or one with pq in it, made at first call.

        Raises:
            PostgresNotAvailable: there is no PostgreSQL to be had.
            PostgresError: there is one, but it does not work.
        """
        if self._dsn is None:
            self._dsn = self.named or self._ends.enter_context(self._clone())
        return self._dsn

    def backend(self, dsn: str, *, schema: str = "pq") -> PostgresBackend:
        """Return what keeps jobs in a database, the same for the same one. pq is installed in it when needed."""
        known = self._backends.get((dsn, schema))
        if known is None:
            made = dsn == self._dsn and dsn != self.named and schema == "pq"
            known = PostgresBackend(dsn, schema=schema, installed=made, revive=self._revive if made else None)
            self._backends[dsn, schema] = known
        return known

    @contextlib.contextmanager
    def fresh(self) -> Generator[PostgresBackend]:
        """Yield what keeps jobs in a database of its own, which is dropped at the end of the block.

        Raises:
            PostgresNotFound: the user of a named database may not create others on its server.
        """
        with self._clone() as dsn:
            backend = PostgresBackend(dsn, installed=True)
            try:
                yield backend
            finally:
                backend.close()

    def disconnect(self) -> None:
        """Close connections; they are opened again if need be."""
        for backend in self._backends.values():
            backend.close()

    def close(self) -> None:
        """Close connections, drop the session's database, and end a container."""
        self.disconnect()
        self._backends.clear()
        with contextlib.suppress(ServerNotStarted):  # gone, and what was to be dropped with it
            self._ends.close()
        self._server = self._dsn = self._nowhere = None

    @contextlib.contextmanager
    def _clone(self) -> Generator[str]:
        server = self._found()
        template = server.template(_template_key(), _install)
        with server.fresh_database(template=template) as dsn:
            yield dsn

    def _found(self) -> DatabaseServer:
        if self._nowhere is not None:
            raise self._nowhere.with_traceback(None)  # to look once more would take each test a second
        if self._server is None:
            try:
                self._server = self._find()
            except PostgresNotAvailable as nowhere:
                self._nowhere = nowhere
                raise
        return self._server

    def _find(self) -> DatabaseServer:
        if self.named:
            return ExternalServer.connect(self.named, name="pq_dsn")
        if os.environ.get("PQ_TEST_DSN"):
            return session.server()
        if self.via == "pytest-postgresql":
            return self._of_pytest_postgresql()
        if self.via == "testcontainers":
            return self._contained()
        try:
            return session.server() if self.run is None else RunServer.join(self.run, os.getppid())
        except (PostgresNotFound, PlatformNotSupported, AccountNotFound) as nothing:
            return self._contained(instead_of=nothing)

    def _contained(self, instead_of: Exception | None = None) -> DatabaseServer:
        try:
            server, end = start_container()
        except PostgresNotAvailable as reason:
            if isinstance(instead_of, PostgresTooOld):
                raise instead_of from reason
            tried = f"PQ_TEST_DSN: not set; {reason}; {instead_of}" if instead_of else str(reason)
            raise PostgresNotAvailable(f"no PostgreSQL for tests: {tried}") from reason
        self._ends.callback(end)
        return server

    def _of_pytest_postgresql(self) -> DatabaseServer:
        from importlib.util import find_spec

        if self.fixture is None or find_spec("pytest_postgresql") is None:
            raise PostgresNotAvailable(
                "no PostgreSQL for tests: pq_postgres = pytest-postgresql, which is not installed: "
                "pip install 'pq-testing[pytest-postgresql]', or remove that option"
            )
        from psycopg.conninfo import make_conninfo

        process = self.fixture("postgresql_proc")
        facts = {"host": process.host, "port": process.port, "user": process.user, "password": process.password or None}
        return ExternalServer.connect(make_conninfo("", dbname="postgres", **facts), name="postgresql_proc")

    def _revive(self) -> None:
        server = self._server
        if isinstance(server, Server) and not server.running:
            server.restart()
        elif isinstance(server, RunServer):
            server.wait()


def _install(dsn: str) -> None:
    backend = PostgresBackend(dsn)
    backend.reset()
    backend.close()


def _template_key() -> str:
    from pq_core.postgres.schema import functions, migrations

    return "pq tests " + " ".join(file.hash for file in (*migrations(), *functions()))
