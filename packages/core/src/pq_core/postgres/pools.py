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

    def check(self) -> None:
        """Throw away idle connections that do not work any more."""
        ...


class AsyncPool(Protocol):
    """Lends connections in autocommit, each to one task at a time."""

    def connection(self) -> AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]:
        """Lend a connection for a block."""
        ...

    async def check(self) -> None:
        """Throw away idle connections that do not work any more."""
        ...
