"""The connector of a test in memory, which nobody closes."""

from __future__ import annotations

from pq_core.clock import Clock
from pq_core.memory import InMemoryConnector
from pq_core.memory.sync_connector import SyncInMemoryConnector


class OpenInMemoryConnector(InMemoryConnector):
    """Keeps jobs in memory, and stays open: an app that its test client has shut down can be asked for its jobs."""

    def __init__(self, *, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._sync = _SyncTwin(self._engine)

    async def close(self) -> None:
        """Leave it open."""


class _SyncTwin(SyncInMemoryConnector):
    def close(self) -> None:
        """Leave it open."""
