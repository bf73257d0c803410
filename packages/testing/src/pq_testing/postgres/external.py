"""A server that somebody else runs, named by ``PQ_TEST_DSN``."""

from __future__ import annotations

from typing import Self

import attrs

from pq_testing.postgres.binaries import OLDEST_MAJOR
from pq_testing.postgres.databases import DatabaseServer
from pq_testing.postgres.errors import PostgresNotFound, PostgresTooOld


@attrs.define(eq=False, kw_only=True)
class ExternalServer(DatabaseServer):
    """A server on which this process may create databases, and which it can neither stop nor restart.

    .. versionadded:: 0.1
    """

    _dsn: str = attrs.field(alias="dsn", repr=False)
    _version: str = attrs.field(alias="version")

    @classmethod
    def connect(cls, dsn: str, *, name: str = "PQ_TEST_DSN") -> Self:
        """Check that the server is there and that tests can use it.

        Args:
            dsn: of a database on it, whose user may create databases.
            name: what has named it, for messages.

        Raises:
            PostgresNotFound: if it does not answer, or its user may not create databases.
            PostgresTooOld: if its version is before 15.
        """
        import psycopg

        query = (
            "select current_setting('server_version'), current_setting('server_version_num'), rolcreatedb or rolsuper "
            "from pg_roles where rolname = current_user"
        )
        try:
            with psycopg.connect(dsn, autocommit=True) as connection:
                row = connection.execute(query).fetchone()
        except psycopg.Error as error:
            raise PostgresNotFound(
                f"the server that {name} names does not let us in: {error}; correct it, or unset it"
            ) from error
        version, numeric, may_create = row or ("", 0, False)
        number = str(version).split(" ", 1)[0]
        if int(numeric) < OLDEST_MAJOR * 10_000:
            raise PostgresTooOld(
                f"the server that {name} names is PostgreSQL {number}; pq needs {OLDEST_MAJOR} or later"
            )
        if not may_create:
            raise PostgresNotFound(
                f"the user in {name} may not create databases: `alter role ... createdb`, or unset it"
            )
        server = cls(dsn=dsn, version=number)
        server.drop_left_databases()
        return server

    def dsn(self, dbname: str | None = None) -> str:
        """Return the libpq connection string of a database, by default of the one that ``PQ_TEST_DSN`` names."""
        if dbname is None:
            return self._dsn
        from psycopg.conninfo import make_conninfo

        return make_conninfo(self._dsn, dbname=dbname)

    @property
    def version(self) -> str:
        """Return the server's version, such as ``"18.4"``."""
        return self._version

    @property
    def running(self) -> bool:
        """Tell that it is up, as far as this process has a say in it."""
        return True
