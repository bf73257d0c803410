"""The sync twin: each of its verbs does what the verb of the same name does, in the same store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import anyio
import pytest
from anyio import to_thread

from pq_core.connector import JobChanges, JobFilter, SyncConnector
from pq_core.errors import InvalidArguments, InvalidJob, WrongConnection
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import EVERYTHING, Scene, new

Answer = TypeVar("Answer")
HOUR = timedelta(hours=1)


class SyncTwin(Case):
    """The verbs of `Connector.sync`, called in another thread than the event loop's."""

    async def test_what_one_defers_the_other_finds(self, scene: Scene) -> None:
        job = new("both", args={"x": [1e22, -0.0]}, queue="q", lock="l", priority=2, metadata={"m": "🐘"}, delay=HOUR)
        (first,) = await self.sync(scene, lambda sync: sync.defer([job], now=scene.now))
        (second,) = await scene.connector.defer([job], now=scene.now)
        assert first.id < second.id
        one, two = await self.sync(scene, lambda sync: sync.find(EVERYTHING, now=scene.now))
        assert [one, two] == await scene.jobs()
        assert repr(one).replace(f"id={one.id},", "") == repr(two).replace(f"id={two.id},", "")

    async def test_what_the_twin_defers_runs(self, scene: Scene) -> None:
        await scene.hire()
        deferred = await self.sync(scene, lambda sync: sync.defer([new(), new()], now=scene.now))
        assert await scene.fetch_ids() == [job.id for job in deferred]

    async def test_empty_batches_work(self, scene: Scene) -> None:
        assert await self.sync(scene, lambda sync: sync.defer([], now=scene.now)) == []
        assert await self.sync(scene, lambda sync: sync.cancel([], now=scene.now)) == []
        assert await self.sync(scene, lambda sync: sync.retry([], now=scene.now)) == []
        assert await self.sync(scene, lambda sync: sync.reschedule([], JobChanges(), now=scene.now)) == []

    async def test_errors_are_the_same(self, scene: Scene) -> None:
        with pytest.raises(InvalidArguments) as caught:
            await self.sync(scene, lambda sync: sync.defer([new(), new(args={"x": {1}})], now=scene.now))
        assert (caught.value.index, caught.value.field) == (1, "args")
        with pytest.raises(WrongConnection):
            await self.sync(scene, lambda sync: sync.defer([new()], connection=object(), now=scene.now))
        with pytest.raises(InvalidJob):
            await self.sync(scene, lambda sync: sync.reschedule([1], JobChanges(priority=10**6), now=scene.now))
        assert await scene.jobs() == []

    async def test_find_and_count_are_the_same(self, scene: Scene) -> None:
        ids = await scene.defer(*(new(queue=f"q{n % 2}") for n in range(9)))
        await scene.cancel(*ids[:3])
        which = JobFilter(queue="q0", states=[State.READY])
        jobs = await self.sync(scene, lambda sync: sync.find(which, limit=2, after=ids[3], now=scene.now))
        assert jobs == await scene.connector.find(which, limit=2, after=ids[3], now=scene.now)
        assert [job.id for job in jobs] == [ids[4], ids[6]]
        counts = await self.sync(scene, lambda sync: sync.count(which, now=scene.now))
        assert counts == await scene.connector.count(which, now=scene.now) == dict.fromkeys(State, 0) | {"ready": 3}

    async def test_cancel_and_retry_are_the_same(self, scene: Scene) -> None:
        waiting = await scene.add()
        running = await scene.run(queue="q")
        answer = await self.sync(
            scene, lambda sync: sync.cancel([running.id, waiting, 0], reason="enough", now=scene.now)
        )
        assert [(job.id, job.state) for job in answer] == [(waiting, State.CANCELLED), (running.id, State.RUNNING)]
        assert (await scene.job(running.id)).reason == "enough"
        answer = await self.sync(scene, lambda sync: sync.retry([waiting, running.id], now=scene.now))
        assert [(job.id, job.state) for job in answer] == [(waiting, State.READY)]

    async def test_reschedule_is_the_same(self, scene: Scene) -> None:
        job = await scene.add()
        changes = JobChanges(delay=HOUR, queue="q", priority=1, lock="l")
        answer = await self.sync(scene, lambda sync: sync.reschedule([job], changes, now=scene.now))
        assert [(found.id, found.state) for found in answer] == [(job, State.SCHEDULED)]
        found = await scene.job(job)
        assert (found.queue, found.priority, found.lock, found.scheduled_at) == ("q", 1, "l", scene.now + HOUR)

    async def test_prune_is_the_same(self, scene: Scene) -> None:
        await scene.end()
        scene.wait(hours=2)
        assert await self.sync(scene, lambda sync: sync.prune(None, now=scene.now)) == 0
        assert await self.sync(scene, lambda sync: sync.prune(HOUR, now=scene.now)) == 1
        assert await scene.jobs() == []

    async def test_pause_resume_and_queues_are_the_same(self, scene: Scene) -> None:
        await scene.hire()
        job = await scene.add(queue="q")
        await self.sync(scene, lambda sync: sync.pause("q", now=scene.now))
        assert await scene.fetch() == []
        listed = await self.sync(scene, lambda sync: sync.queues(now=scene.now))
        assert listed == await scene.connector.queues(now=scene.now)
        assert [(queue.name, queue.paused) for queue in listed] == [("q", True)]
        await self.sync(scene, lambda sync: sync.resume("q", now=scene.now))
        assert await scene.fetch_ids() == [job]

    async def test_the_schema_is_the_same(self, scene: Scene) -> None:
        assert await self.sync(scene, lambda sync: sync.migrate()) == []
        assert await self.sync(scene, lambda sync: sync.check()) == await scene.connector.check()

    async def test_opening_twice_is_no_error(self, scene: Scene) -> None:
        def twice(sync: SyncConnector) -> int:
            sync.open()
            sync.open()
            return len(sync.defer([new()], now=scene.now))

        assert await self.sync(scene, twice) == 1

    async def test_threads_may_use_the_twin_at_once(self, scene: Scene) -> None:
        async with anyio.create_task_group() as group:
            for n in range(8):
                group.start_soon(
                    self.sync, scene, lambda sync, n=n: [sync.defer([new(args={"n": n})], now=scene.now) for _ in "abc"]
                )
        assert sorted(job.args["n"] for job in await scene.jobs()) == sorted([*range(8)] * 3)

    @staticmethod
    async def sync(scene: Scene, ask: Callable[[SyncConnector], Answer]) -> Answer:
        """Ask the twin something, in another thread; what it opened is closed with the connector."""
        return await to_thread.run_sync(lambda: ask(opened(scene)))


def opened(scene: Scene) -> SyncConnector:
    """Return the twin, ready for use."""
    twin = scene.connector.sync
    twin.open()
    return twin
