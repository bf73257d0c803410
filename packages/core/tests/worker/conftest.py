"""Workers in the test's own event loop, on memory, under asyncio and trio; and stores that fail."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import pytest

import pq_core as pq

DEADLINE = 10.0
Until = Callable[[Callable[[], object]], Awaitable[None]]
Running = Callable[..., AbstractAsyncContextManager[pq.Worker]]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each test under both."""
    return request.param


@pytest.fixture
def memory() -> pq.InMemoryConnector:
    """Give a store."""
    return pq.InMemoryConnector()


@pytest.fixture
def troubled(memory: pq.InMemoryConnector) -> TroubledConnector:
    """Give a face of the store that can be told to fail."""
    return TroubledConnector(memory)


@pytest.fixture
def app(troubled: TroubledConnector) -> pq.App:
    """Give an app on it."""
    return pq.App(connector=troubled)


@pytest.fixture
def until() -> Until:
    """Give a function that waits until a condition holds, and fails if it does not come to hold in time."""

    async def wait(condition: Callable[[], object]) -> None:
        with anyio.fail_after(DEADLINE):
            while not condition():  # noqa: ASYNC110 - any condition, not only one that somebody announces
                await anyio.sleep(0.001)

    return wait


@pytest.fixture
def running(app: pq.App) -> Running:
    """Give a context in which a worker of the app runs, and after which it has stopped."""

    @asynccontextmanager
    async def context(**options: Any) -> AsyncIterator[pq.Worker]:
        worker = pq.Worker(app, **{"install_signal_handlers": False, "poll_interval": 0.05, **options})
        with anyio.fail_after(2 * DEADLINE):
            async with anyio.create_task_group() as group:
                group.start_soon(worker.run_async)
                yield worker
                worker.stop()

    return context


@pytest.fixture
def drain(app: pq.App) -> Callable[..., Awaitable[None]]:
    """Give a function that runs a worker until nothing is left to run."""

    async def run(**options: Any) -> None:
        with anyio.fail_after(DEADLINE):
            await pq.Worker(app, **{"wait": False, "install_signal_handlers": False, **options}).run_async()

    return run


@pytest.fixture(autouse=True)
def _records_have_actions(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Hold every record that any test here makes to the rule."""
    caplog.set_level(logging.DEBUG, logger="pq_core")
    yield
    for record in caplog.get_records("call"):
        if record.name.startswith("pq_core"):
            assert isinstance(getattr(record, "action", None), str), record.getMessage()


class TroubledConnector:
    """Passes every verb on to `inner`, after what a test wants to happen before it.

    Attributes:
        calls: the arguments of each call, by verb.
        faults: errors to raise instead, by verb, one per call.
        answers_lost: errors to raise after the verb has worked, likewise; after a fetch, if it has claimed something.
        before: called before each verb, by name of the verb.
    """

    def __init__(self, inner: pq.InMemoryConnector) -> None:
        self.inner = inner
        self.calls: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self.faults: dict[str, list[Exception]] = defaultdict(list)
        self.answers_lost: dict[str, list[Exception]] = defaultdict(list)
        self.before: dict[str, Callable[..., Awaitable[None]]] = {}

    @property
    def sync(self) -> Any:
        return self.inner.sync

    async def defer(self, *args: Any, **kwargs: Any) -> Any:
        return await self.inner.defer(*args, **kwargs)

    def transaction(self) -> Any:
        return self.inner.transaction()

    def watch(self, job_id: int) -> Any:
        return self.inner.watch(job_id)

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        act = getattr(self.inner, verb)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls[verb].append(args)
            if verb in self.before:
                await self.before[verb](*args)
            if self.faults[verb]:
                raise self.faults[verb].pop(0)
            answer = await act(*args, **kwargs)
            if self.answers_lost[verb] and (verb != "fetch" or answer.jobs):
                raise self.answers_lost[verb].pop(0)
            return answer

        return call
