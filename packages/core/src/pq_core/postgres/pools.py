"""What the two colours need of a pool of connections: those of psycopg_pool have it, and a toolkit for tests may."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol

import psycopg


class SyncPool(Protocol):
    """Lends connections in autocommit, each to one thread at a time."""

    def connection(self) -> AbstractContextManager[psycopg.Connection[Any]]:
        """Lend a connection for a block."""
        ...

    def getconn(self) -> psycopg.Connection[Any]:
        """Lend a connection until `putconn`: cheaper than a block, for who leaves no transaction open."""
        ...

    def putconn(self, conn: Any, /) -> None:
        """Take a connection back."""
        ...

    def check(self) -> None:
        """Throw away idle connections that do not work any more."""
        ...


class AsyncPool(Protocol):
    """Lends connections in autocommit, each to one task at a time."""

    def connection(self) -> AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]:
        """Lend a connection for a block."""
        ...

    async def getconn(self) -> psycopg.AsyncConnection[Any]:
        """Lend a connection until `putconn`: cheaper than a block, for who leaves no transaction open."""
        ...

    async def putconn(self, conn: Any, /) -> None:
        """Take a connection back."""
        ...

    async def check(self) -> None:
        """Throw away idle connections that do not work any more."""
        ...
