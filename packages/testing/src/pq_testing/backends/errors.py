"""What can go wrong with a PostgreSQL as a backend of tests, beside the errors of `pq_testing.postgres`.

::

    PQError
    └── PostgresError
        ├── PostgresNotAvailable    there is none; names all that was tried, and why it was of no use
        ├── DatabaseInUse           somebody else uses, or holds, what a test needs for itself
        └── ServerDied              the server ended while tests ran
"""

from __future__ import annotations

from pq_testing.postgres.errors import PostgresError


class PostgresNotAvailable(PostgresError):
    """There is no PostgreSQL for tests. The message is one line: what was tried, and why it was of no use.

    .. versionadded:: 0.1
    """


class DatabaseInUse(PostgresError):
    """Another process tests in the same schema, or a transaction that was left open holds pq's tables.

    .. versionadded:: 0.1
    """


class ServerDied(PostgresError):
    """The server of the tests ended while they ran.

    .. versionadded:: 0.1
    """
