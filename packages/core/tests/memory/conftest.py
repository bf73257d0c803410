from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from pq_core.memory import InMemoryConnector


@attrs.define
class HandClock:
    """A clock that goes when it is told to."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def go(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def memory(clock: HandClock) -> InMemoryConnector:
    return InMemoryConnector(clock=clock)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend
