"""What can go wrong with a throw-away PostgreSQL.

::

    PQError
    └── PostgresError
        ├── PostgresNotFound          no server binaries; says where they were looked for, and what to install
        │   └── PostgresTooOld        binaries were found, but of a version that pq does not support
        ├── PlatformNotSupported      Windows: tests run in memory only
        ├── AccountNotFound           root may not run PostgreSQL, and there is no other user to become
        ├── CacheNotWritable          no directory for what is kept between sessions
        ├── CacheLocked               another process keeps the cache's lock for too long
        ├── NoSpace                   nowhere is there room for a server's data
        ├── ServerNotStarted          the server ended, or did not become ready; carries the end of its log
        └── DataDirectoryIncompatible a developer's data were made by another major version of PostgreSQL
"""

from __future__ import annotations

from pq_core.errors import PQError


class PostgresError(PQError):
    """A throw-away PostgreSQL cannot be had, or cannot do what was asked."""


class PostgresNotFound(PostgresError):
    """There are no server binaries on this machine that can be used."""


class PostgresTooOld(PostgresNotFound):
    """The only server binaries are older than the oldest PostgreSQL that pq supports."""


class PlatformNotSupported(PostgresError):
    """This operating system has neither flock nor unix sockets as the server needs them."""


class AccountNotFound(PostgresError):
    """PostgreSQL refuses to run as root, and there is no unprivileged user to become."""


class CacheNotWritable(PostgresError):
    """The directory for what is kept between sessions cannot be made, or belongs to somebody else."""


class CacheLocked(PostgresError):
    """Another process has held the lock of the cache for longer than it can need."""


class NoSpace(PostgresError):
    """No file system has room for the data of a server."""


class ServerNotStarted(PostgresError):
    """The server did not become ready.

    Attributes:
        log: last lines of what initdb or the server wrote.
    """

    def __init__(self, message: str, *, log: str = "") -> None:
        super().__init__(f"{message}\n{log}" if log else message)
        self.log = log


class DataDirectoryIncompatible(PostgresError):
    """The data directory was made by a major version of PostgreSQL whose binaries are not here."""
