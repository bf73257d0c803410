"""What a queue must be able to do to take part."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Protocol

BATCH = 1_000
"""Jobs in one batch."""


class Client(Protocol):
    """Enqueues no-op jobs, by a pool or connection that is open already."""

    async def defer(self, probe: int | None = None) -> object:
        """Enqueue a job; with `probe` it notes its own start."""
        ...

    async def defer_batch(self, size: int) -> object:
        """Enqueue so many jobs at once."""
        ...


class Feeder(Protocol):
    """A client that can enqueue other jobs than plain ones."""

    async def defer_locked(self, locks: Sequence[str]) -> object:
        """Enqueue a job for each of these locks, at once."""
        ...

    async def defer_later(self, size: int, seconds: float) -> object:
        """Enqueue so many jobs at once, to start no sooner than that."""
        ...


class Contestant(abc.ABC):
    """A queue in the database with this DSN."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    @abc.abstractmethod
    async def install(self) -> None:
        """Make its tables in an empty database."""

    @abc.abstractmethod
    def client(self) -> AbstractAsyncContextManager[Client]:
        """Open what enqueues."""

    def sync_client(self) -> AbstractContextManager[Callable[[], object]]:
        """Open what enqueues one job at each call, for callers that cannot await."""
        raise NotImplementedError

    @abc.abstractmethod
    def work(self, concurrency: int, queue: str | None = None) -> None:
        """Run jobs until SIGTERM, of `queue` alone if one is named."""
