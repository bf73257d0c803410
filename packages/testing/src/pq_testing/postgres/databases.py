"""Databases on a test server: each test gets its own, copied from a template in which the schema is there already."""

from __future__ import annotations

import abc
import contextlib
import hashlib
import secrets
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, LiteralString

import attrs

if TYPE_CHECKING:
    import psycopg


# Copying files beats writing a page at a time to the log, for databases of tests.
_STRATEGY = "strategy file_copy"
# The same sorting on every server, whatever its template1 says.
_PRISTINE = "template template0 encoding 'UTF8' locale_provider libc locale 'C'"

_LEFT_AGE = 86400.0


@attrs.frozen(kw_only=True)
class Database:
    """A database made for a test.

    .. versionadded:: 0.1

    Attributes:
        name: on its server.
        dsn: libpq connection string.
    """

    name: str
    dsn: str


@attrs.define(eq=False)
class DatabaseServer(abc.ABC):
    """A server on which tests may make databases.

    .. versionadded:: 0.1
    """

    _templates: set[str] = attrs.field(init=False, factory=set[str])

    @abc.abstractmethod
    def dsn(self, dbname: str | None = None) -> str:
        """Return the libpq connection string of a database, by default of the one from which others are made."""

    @property
    @abc.abstractmethod
    def version(self) -> str:
        """Return the server's version, such as ``"18.4"``."""

    @property
    @abc.abstractmethod
    def running(self) -> bool:
        """Tell whether the server is up."""

    def create_database(self, *, template: str | None = None) -> Database:
        """Create a database with a name of its own.

        Args:
            template: name that `template()` returned; without it the database is empty.
        """
        name = f"pq_test_{int(time.time()):x}_{secrets.token_hex(6)}"
        with self._administer() as connection:
            _create(connection, name, template)
        return Database(name=name, dsn=self.dsn(name))

    def drop_database(self, name: str) -> None:
        """Drop a database, and end the sessions that use it."""
        with self._administer() as connection:
            _run(connection, "drop database if exists {} with (force)", name)

    def drop_left_databases(self) -> None:
        """Drop the databases of tests that were killed: those that are a day old and that nobody uses."""
        import psycopg

        with self._administer() as connection:
            names = connection.execute(
                "select datname from pg_database where datname ~ '^pq_test_[0-9a-f]+_'"
            ).fetchall()
            for (name,) in names:
                if int(name.split("_")[2], 16) < time.time() - _LEFT_AGE:
                    with contextlib.suppress(psycopg.Error):
                        _run(connection, "drop database if exists {}", name)

    def template(self, key: str, prepare: Callable[[str], object]) -> str:
        """Return the name of a template that holds what `prepare` makes.

        `prepare` is called only if the server has no template for this key yet, also if many processes ask at once.

        Args:
            key: says what is in it: a hash of the migrations, say. Another key is another template.
            prepare: called with the DSN of an empty database, to fill it. If it raises, there is no template.
        """
        name = f"pq_template_{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        if name not in self._templates:
            with self._administer() as connection:
                connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [name])
                known = connection.execute("select from pg_database where datname = %s", [name]).fetchone()
                if known is None:
                    self._make_template(connection, name, prepare)
            self._templates.add(name)
        return name

    @contextlib.contextmanager
    def fresh_database(self, *, template: str | None = None) -> Generator[str]:
        """Yield the DSN of a database that exists for the time of the block, and that no one else uses.

        Args:
            template: name that `template()` returned; without it the database is empty.
        """
        database = self.create_database(template=template)
        try:
            yield database.dsn
        finally:
            if self.running:
                self.drop_database(database.name)

    def _make_template(self, connection: psycopg.Connection, name: str, prepare: Callable[[str], object]) -> None:
        # Under another name until it is complete; a name that is still there is of a session that was killed.
        incomplete = f"{name}_incomplete"
        _run(connection, "drop database if exists {} with (force)", incomplete)
        _create(connection, incomplete, None)
        try:
            prepare(self.dsn(incomplete))
        except BaseException:
            _run(connection, "drop database if exists {} with (force)", incomplete)
            raise
        # Nobody may be connected to a template. Pools close their connections in the background, so end what is left.
        _run(connection, "alter database {} with allow_connections false", incomplete)
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", [incomplete]
        )
        _run(connection, "alter database {} rename to {}", incomplete, name)

    @contextlib.contextmanager
    def _administer(self) -> Generator[psycopg.Connection]:
        import psycopg

        with contextlib.closing(psycopg.connect(self.dsn(), autocommit=True)) as connection:
            yield connection


def _create(connection: psycopg.Connection, name: str, template: str | None) -> None:
    if template is None:
        _run(connection, f"create database {{}} {_PRISTINE} {_STRATEGY}", name)
    else:
        _run(connection, f"create database {{}} template {{}} {_STRATEGY}", name, template)


def _run(connection: psycopg.Connection, statement: LiteralString, *names: str) -> None:
    from psycopg import sql

    connection.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))
