"""Mutex locks: a job waits only for a running one, and may overtake."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pq_core.connector import JobChanges
from pq_core.outcome import Outcome
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import Scene, boom, new

HOUR = timedelta(hours=1)


class Mutex(Case):
    """Jobs with ``lock_mode="mutex"``, among themselves and beside ordered ones."""

    async def test_of_one_lock_one_job_runs_at_a_time(self, scene: Scene) -> None:
        await scene.hire()
        await scene.hire(2)
        first, second = await scene.defer(new(lock="l", lock_mode="mutex"), new(lock="l", lock_mode="mutex"))
        (job,) = await scene.fetch()
        assert job.id == first
        assert await scene.fetch(2) == []
        assert await scene.state(second) is State.BLOCKED
        await scene.succeed(job)
        assert await scene.fetch_ids(2) == [second]

    async def test_a_job_overtakes_one_that_is_scheduled(self, scene: Scene) -> None:
        await scene.hire()
        await scene.add(lock="l", lock_mode="mutex", delay=HOUR)
        job = await scene.add(lock="l", lock_mode="mutex")
        assert await scene.fetch_ids() == [job]

    async def test_a_job_overtakes_one_on_another_queue(self, scene: Scene) -> None:
        await scene.hire()
        await scene.add(queue="other", lock="l", lock_mode="mutex", priority=5)
        job = await scene.add(lock="l", lock_mode="mutex")
        assert await scene.fetch_ids(queues=["default"]) == [job]

    async def test_a_job_overtakes_one_that_backs_off(self, scene: Scene) -> None:
        first = await scene.run(lock="l", lock_mode="mutex")
        second = await scene.add(lock="l", lock_mode="mutex")
        assert await scene.fetch() == []
        await scene.finish(Outcome.retried(first, boom(), delay=HOUR))
        assert await scene.fetch_ids() == [second]
        scene.wait(hours=1)
        await scene.hire()
        assert await scene.fetch() == []

    async def test_a_job_overtakes_an_ordered_one(self, scene: Scene) -> None:
        await scene.hire()
        await scene.add(lock="l", delay=HOUR)
        await scene.add(lock="l")
        job = await scene.add(lock="l", lock_mode="mutex")
        assert await scene.fetch_ids() == [job]

    async def test_an_ordered_job_waits_for_an_earlier_one_of_either_mode(self, scene: Scene) -> None:
        await scene.hire()
        await scene.add(lock="l", lock_mode="mutex", delay=HOUR)
        await scene.add(lock="l")
        assert await scene.fetch() == []

    async def test_an_ordered_job_waits_for_a_running_later_one(self, scene: Scene) -> None:
        await scene.hire()
        ordered = await scene.add(lock="l", delay=timedelta(seconds=1))
        job = await scene.run(lock="l", lock_mode="mutex")
        scene.wait(seconds=1)
        assert await scene.fetch() == []
        await scene.succeed(job)
        assert await scene.fetch_ids() == [ordered]

    async def test_the_first_of_those_that_may_run_does(self, scene: Scene) -> None:
        await scene.hire()
        await scene.add(lock="l", lock_mode="mutex")
        urgent = await scene.add(lock="l", lock_mode="mutex", priority=1)
        assert await scene.fetch_ids() == [urgent]

    @pytest.mark.parametrize("ordered", [1, 3])
    async def test_a_job_overtakes_those_ordered_ones_that_must_wait_at_any_limit(
        self, scene: Scene, ordered: int
    ) -> None:
        await scene.hire()
        await scene.add(lock="l", delay=HOUR, priority=9)
        await scene.defer(*(new(lock="l", priority=5) for _ in range(ordered)))
        job = await scene.add(lock="l", lock_mode="mutex", priority=4)
        await scene.add()
        assert await scene.fetch_ids(limit=1) == [job]

    async def test_a_freed_lock_is_had_by_a_blocked_job_behind_a_scheduled_head(self, scene: Scene) -> None:
        running = await scene.run(lock="l", lock_mode="mutex")
        await scene.add(lock="l", delay=HOUR, priority=1)
        blocked = await scene.add(lock="l", lock_mode="mutex")
        assert await scene.fetch() == []
        await scene.succeed(running)
        assert await scene.state(blocked) is State.READY
        assert await scene.fetch_ids() == [blocked]

    async def test_a_freed_lock_is_had_by_blocked_jobs_of_whichever_queue_is_served(self, scene: Scene) -> None:
        running = await scene.run(lock="l", lock_mode="mutex")
        for queue in "abc":
            await scene.add(queue=queue, lock="l", lock_mode="mutex")
        assert await scene.fetch() == []
        await scene.succeed(running)
        (job,) = await scene.fetch(queues=["b"])
        assert job.queue == "b"
        assert await scene.fetch(queues=["a", "c"]) == []
        await scene.succeed(job)
        (job,) = await scene.fetch(queues=["c"])
        assert job.queue == "c"
        await scene.succeed(job)
        assert [job.queue for job in await scene.fetch(queues=["a"])] == ["a"]

    async def test_a_freed_lock_is_had_by_a_blocked_job_in_its_last_life_before_others(self, scene: Scene) -> None:
        """An idle worker claims it first, wherever in the line of its lock it stands."""
        running = await scene.run(1, lock="l")
        await scene.hire(2)
        await scene.add(lock="l", lock_mode="mutex")
        last_life = await scene.add(lock="l", lock_mode="mutex", max_losses=1)
        for worker in (2, 2):
            assert await scene.fetch(worker) == []
        await scene.succeed(running)
        assert await scene.fetch_ids(2) == [last_life]

    async def test_blocked_jobs_of_either_mode_are_all_run_in_the_end(self, scene: Scene) -> None:
        running = await scene.run(lock="l")
        modes = ("ordered", "mutex", "mutex", "ordered", "mutex", "ordered")
        ids = await scene.defer(*(new(lock="l", lock_mode=mode, queue=f"q{n % 2}") for n, mode in enumerate(modes)))
        assert await scene.fetch() == []
        await scene.succeed(running)
        order: list[int] = []
        while jobs := await scene.fetch():
            (job,) = jobs
            order.append(job.id)
            await scene.succeed(job)
        assert order == ids

    async def test_cancelling_what_a_job_waits_for_lets_it_run(self, scene: Scene) -> None:
        await scene.hire()
        head = await scene.add(lock="l", lock_mode="mutex", delay=HOUR)
        ordered = await scene.add(lock="l")
        assert await scene.fetch() == []
        await scene.cancel(head)
        assert await scene.fetch_ids() == [ordered]

    async def test_a_job_given_a_held_lock_waits_for_it(self, scene: Scene) -> None:
        running = await scene.run(lock="l")
        job = await scene.add(lock_mode="mutex")
        await scene.connector.reschedule([job], JobChanges(lock="l"), now=scene.now)
        assert await scene.fetch() == []
        await scene.succeed(running)
        assert await scene.fetch_ids() == [job]

    async def test_a_rescued_job_may_be_overtaken(self, scene: Scene) -> None:
        lost = await scene.run(1, lock="l", lock_mode="mutex")
        await scene.hire(2)
        urgent = await scene.add(lock="l", lock_mode="mutex", priority=1)
        assert await scene.fetch(2) == []
        await scene.lose(1)
        assert await scene.fetch_ids(2) == [urgent]
        assert await scene.state(lost.id) in {State.READY, State.BLOCKED}
