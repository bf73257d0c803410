"""The sync twin: each of its verbs does what the verb of the same name does, in the same store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TypeVar

import anyio
import pytest
from anyio import to_thread

from pq_core.connector import Connector, JobChanges, JobFilter, SyncConnector
from pq_core.errors import ConnectorClosed, InvalidArguments, InvalidJob, WrongConnection
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import EVERYTHING, Scene, new

Answer = TypeVar("Answer")
HOUR = timedelta(hours=1)


class SyncTwin(Case):
    """The verbs of `Connector.sync`, called in another thread than the event loop's."""

    @pytest.fixture
    def twin(self, connector: Connector) -> Iterator[SyncConnector]:
        """Open the twin, and close it."""
        connector.sync.open()
        yield connector.sync
        connector.sync.close()

    async def test_what_one_defers_the_other_finds(self, scene: Scene, twin: SyncConnector) -> None:
        job = new("both", args={"x": [1e22, -0.0]}, queue="q", lock="l", priority=2, metadata={"m": "🐘"}, delay=HOUR)
        (first,) = await asked(lambda: twin.defer([job], now=scene.now))
        (second,) = await scene.connector.defer([job], now=scene.now)
        assert first.id < second.id
        one, two = await asked(lambda: twin.find(EVERYTHING, now=scene.now))
        assert [one, two] == await scene.jobs()
        assert repr(one).replace(f"id={one.id},", "") == repr(two).replace(f"id={two.id},", "")

    async def test_what_the_twin_defers_runs(self, scene: Scene, twin: SyncConnector) -> None:
        await scene.hire()
        deferred = await asked(lambda: twin.defer([new(), new()], now=scene.now))
        assert await scene.fetch_ids() == [job.id for job in deferred]

    async def test_empty_batches_work(self, scene: Scene, twin: SyncConnector) -> None:
        assert await asked(lambda: twin.defer([], now=scene.now)) == []
        assert await asked(lambda: twin.cancel([], now=scene.now)) == []
        assert await asked(lambda: twin.retry([], now=scene.now)) == []
        assert await asked(lambda: twin.reschedule([], JobChanges(), now=scene.now)) == []

    async def test_errors_are_the_same(self, scene: Scene, twin: SyncConnector) -> None:
        with pytest.raises(InvalidArguments) as caught:
            await asked(lambda: twin.defer([new(), new(args={"x": {1}})], now=scene.now))
        assert (caught.value.index, caught.value.field) == (1, "args")
        with pytest.raises(WrongConnection):
            await asked(lambda: twin.defer([new()], connection=object(), now=scene.now))
        with pytest.raises(InvalidJob):
            await asked(lambda: twin.reschedule([1], JobChanges(priority=10**6), now=scene.now))
        assert await scene.jobs() == []

    async def test_find_and_count_are_the_same(self, scene: Scene, twin: SyncConnector) -> None:
        ids = await scene.defer(*(new(queue=f"q{n % 2}") for n in range(9)))
        await scene.cancel(*ids[:3])
        which = JobFilter(queue="q0", states=[State.READY])
        jobs = await asked(lambda: twin.find(which, limit=2, after=ids[3], now=scene.now))
        assert jobs == await scene.connector.find(which, limit=2, after=ids[3], now=scene.now)
        assert [job.id for job in jobs] == [ids[4], ids[6]]
        counts = await asked(lambda: twin.count(which, now=scene.now))
        assert counts == await scene.connector.count(which, now=scene.now) == dict.fromkeys(State, 0) | {"ready": 3}

    async def test_cancel_and_retry_are_the_same(self, scene: Scene, twin: SyncConnector) -> None:
        waiting = await scene.add()
        running = await scene.run(queue="q")
        answer = await asked(lambda: twin.cancel([running.id, waiting, 0], reason="enough", now=scene.now))
        assert [(job.id, job.state) for job in answer] == [(waiting, State.CANCELLED), (running.id, State.RUNNING)]
        assert (await scene.job(running.id)).reason == "enough"
        answer = await asked(lambda: twin.retry([waiting, running.id], now=scene.now))
        assert [(job.id, job.state) for job in answer] == [(waiting, State.READY)]

    async def test_reschedule_is_the_same(self, scene: Scene, twin: SyncConnector) -> None:
        job = await scene.add()
        changes = JobChanges(delay=HOUR, queue="q", priority=1, lock="l")
        answer = await asked(lambda: twin.reschedule([job], changes, now=scene.now))
        assert [(found.id, found.state) for found in answer] == [(job, State.SCHEDULED)]
        found = await scene.job(job)
        assert (found.queue, found.priority, found.lock, found.scheduled_at) == ("q", 1, "l", scene.now + HOUR)

    async def test_prune_is_the_same(self, scene: Scene, twin: SyncConnector) -> None:
        await scene.end()
        scene.wait(hours=2)
        assert await asked(lambda: twin.prune(None, now=scene.now)) == 0
        assert await asked(lambda: twin.prune(HOUR, now=scene.now)) == 1
        assert await scene.jobs() == []

    async def test_pause_resume_and_queues_are_the_same(self, scene: Scene, twin: SyncConnector) -> None:
        await scene.hire()
        job = await scene.add(queue="q")
        await asked(lambda: twin.pause("q", now=scene.now))
        assert await scene.fetch() == []
        listed = await asked(lambda: twin.queues(now=scene.now))
        assert listed == await scene.connector.queues(now=scene.now)
        assert [(queue.name, queue.paused) for queue in listed] == [("q", True)]
        await asked(lambda: twin.resume("q", now=scene.now))
        assert await scene.fetch_ids() == [job]

    async def test_the_schema_is_the_same(self, scene: Scene, twin: SyncConnector) -> None:
        assert await asked(twin.migrate) == []
        assert await asked(twin.check) == await scene.connector.check()

    async def test_opening_twice_and_closing_twice_are_no_errors(self, scene: Scene, twin: SyncConnector) -> None:
        def twice() -> int:
            twin.open()
            stored = len(twin.defer([new()], now=scene.now))
            twin.close()
            twin.close()
            return stored

        assert await asked(twice) == 1

    async def test_it_is_closed_and_opened_by_itself(self, scene: Scene, twin: SyncConnector) -> None:
        await asked(twin.close)
        with pytest.raises(ConnectorClosed):
            await asked(lambda: twin.defer([new()], now=scene.now))
        await scene.add()
        await asked(twin.open)
        await scene.connector.close()
        assert len(await asked(lambda: twin.find(EVERYTHING, now=scene.now))) == 1

    async def test_threads_may_use_it_at_once(self, scene: Scene, twin: SyncConnector) -> None:
        def thrice(n: int) -> None:
            for _ in range(3):
                twin.defer([new(args={"n": n})], now=scene.now)

        async with anyio.create_task_group() as group:
            for n in range(8):
                group.start_soon(to_thread.run_sync, thrice, n)
        assert sorted(job.args["n"] for job in await scene.jobs()) == sorted([*range(8)] * 3)


async def asked(ask: Callable[[], Answer]) -> Answer:
    """Ask something in another thread."""
    return await to_thread.run_sync(ask)
