"""Who is woken, when, and from where: threads, other loops, closed loops."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import anyio
import anyio.to_thread
import pytest

from pq_core.connector import WorkerInfo
from pq_core.errors import ConnectorClosed
from pq_core.job import NewJob
from pq_core.memory import InMemoryConnector
from pq_core.outcome import Outcome

JOB = NewJob(task="t")
DEADLINE = 10


class Listener:
    """Counts its wakes, and waits for the next."""

    def __init__(self) -> None:
        self.wakes = 0
        self._woken = anyio.Event()

    def wake(self) -> None:
        self.wakes += 1
        self._woken.set()

    async def woken(self) -> None:
        with anyio.fail_after(DEADLINE):
            await self._woken.wait()
        self._woken = anyio.Event()


@asynccontextmanager
async def listening(memory: InMemoryConnector, queues: Sequence[str] | None = None) -> AsyncIterator[Listener]:
    listener = Listener()
    async with anyio.create_task_group() as group:
        group.start_soon(memory.listen, queues, listener.wake)
        await listener.woken()
        yield listener
        group.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_listener_is_woken_once_at_the_start_and_at_each_change(memory: InMemoryConnector) -> None:
    async with listening(memory) as listener:
        for count in (1, 2, 3):
            assert listener.wakes == count
            await memory.defer([JOB, JOB])
            await listener.woken()


@pytest.mark.anyio
async def test_only_listeners_to_the_queue_are_woken(memory: InMemoryConnector) -> None:
    async with (
        listening(memory, ["default", "other"]) as fitting,
        listening(memory, ["other"]) as unfitting,
        listening(memory) as every,
    ):
        await memory.defer([JOB])
        await fitting.woken()
        await every.woken()
        await anyio.wait_all_tasks_blocked()
        assert unfitting.wakes == 1
        await memory.defer([NewJob(task="t", queue="other")])
        await unfitting.woken()
        assert unfitting.wakes == 2


@pytest.mark.anyio
async def test_a_transaction_wakes_at_its_commit_and_not_before(memory: InMemoryConnector) -> None:
    seen: list[int] = []
    async with listening(memory) as listener:
        with suppress(ZeroDivisionError), memory.transaction() as transaction:
            memory.sync.defer([JOB], connection=transaction)
            raise ZeroDivisionError
        with memory.transaction() as transaction:
            memory.sync.defer([JOB], connection=transaction)
            await anyio.wait_all_tasks_blocked()
            seen.append(listener.wakes)
        await listener.woken()
        seen.append(listener.wakes)
    assert seen == [1, 2]


@pytest.mark.anyio
async def test_a_change_in_another_thread_wakes(memory: InMemoryConnector) -> None:
    async with listening(memory) as listener:
        for _ in range(20):
            await anyio.to_thread.run_sync(memory.sync.defer, [JOB])
            await listener.woken()


@pytest.mark.anyio
async def test_no_job_deferred_while_a_listener_wakes_is_overlooked(memory: InMemoryConnector) -> None:
    total, taken = 400, 0
    await memory.heartbeat(WorkerInfo(id=1), timedelta(hours=1))
    async with listening(memory) as listener:
        producers = [threading.Thread(target=lambda: [memory.sync.defer([JOB]) for _ in range(100)]) for _ in range(4)]
        for producer in producers:
            producer.start()
        while taken < total:
            await listener.woken()
            while jobs := (await memory.fetch(1, None, 7)).jobs:
                taken += len(await memory.finish([Outcome.succeeded(job) for job in jobs]))
        for producer in producers:
            producer.join(DEADLINE)


@pytest.mark.anyio
async def test_closing_ends_a_listener_with_an_error(memory: InMemoryConnector) -> None:
    listener = Listener()
    await memory.open()

    async def listen() -> None:
        with pytest.raises(ConnectorClosed):
            await memory.listen(None, listener.wake)

    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            await listener.woken()
            await memory.close()
    assert listener.wakes == 1


@pytest.mark.anyio
async def test_an_error_in_wake_ends_the_listener_with_it(memory: InMemoryConnector) -> None:
    def wake() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await memory.listen(None, wake)
    await memory.defer([JOB])


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_after_one_loop_has_ended_defer_works_and_another_listens(memory: InMemoryConnector, backend: str) -> None:
    async def once() -> None:
        async with listening(memory) as listener:
            await memory.defer([JOB])
            await listener.woken()

    for _ in range(3):
        memory.sync.defer([JOB])
        anyio.run(once, backend=backend)
    assert len(memory.jobs) == 6


def test_a_loop_that_was_closed_over_a_listener_is_neither_called_nor_kept(memory: InMemoryConnector) -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(memory.listen(None, lambda: None))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    memory.sync.defer([JOB])
    memory.sync.defer([JOB])
    kept = weakref.ref(loop)
    task._log_destroy_pending = False  # type: ignore[attr-defined] # asyncio would complain of the test's own deed
    del loop, task
    gc.collect()
    assert kept() is None
    assert memory._engine._bells == []
