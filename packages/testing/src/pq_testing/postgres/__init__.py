"""A throw-away PostgreSQL for tests, and one to keep for a developer's project.

::

    from pq_testing.postgres import Server, fresh_database, server

    with fresh_database() as dsn:
        ...  # on the server of this session, started when first needed

    with Server.start() as own:  # one of your own, to crash and restart
        own.crash()
        own.restart()

    DevServer(".").up()  # stays when this process ends
"""

from __future__ import annotations

from pq_testing.postgres.binaries import Binaries, find_binaries
from pq_testing.postgres.databases import Database, DatabaseServer
from pq_testing.postgres.dev import DevServer
from pq_testing.postgres.errors import (
    AccountNotFound,
    CacheLocked,
    CacheNotWritable,
    DataDirectoryIncompatible,
    NoSpace,
    PlatformNotSupported,
    PostgresError,
    PostgresNotFound,
    PostgresTooOld,
    ServerNotStarted,
)
from pq_testing.postgres.external import ExternalServer
from pq_testing.postgres.local_server import Server
from pq_testing.postgres.session import fresh_database, server

__all__ = [
    "AccountNotFound",
    "Binaries",
    "CacheLocked",
    "CacheNotWritable",
    "DataDirectoryIncompatible",
    "Database",
    "DatabaseServer",
    "DevServer",
    "ExternalServer",
    "NoSpace",
    "PlatformNotSupported",
    "PostgresError",
    "PostgresNotFound",
    "PostgresTooOld",
    "Server",
    "ServerNotStarted",
    "find_binaries",
    "fresh_database",
    "server",
]
