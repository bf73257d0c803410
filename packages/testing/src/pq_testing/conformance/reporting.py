"""What a store tells of its workers, of where a job stands, and of its health."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pq_core.connector import MOST_AHEAD, Standing, WorkerInfo, WorkerStatus
from pq_core.health import QueueHealth
from pq_core.job import LockMode
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import Scene, new

HOUR = timedelta(hours=1)


class TellingOfWorkers(Case):
    """The verb `workers`."""

    async def test_a_worker_is_listed_as_it_made_itself_known(self, scene: Scene) -> None:
        assert await workers(scene) == []
        details = {"host": "🐘", "tasks": ["a", "b"], "nested": {"n": [1, None, 1e22]}}
        info = WorkerInfo(id=2**62, name="wörker", queues=["red", "blue"], details=details)
        await scene.connector.heartbeat(info, HOUR, now=scene.now)
        (status,) = await workers(scene)
        assert status == WorkerStatus(
            info=info, started_at=scene.now, heartbeat_at=scene.now, lease_until=scene.now + HOUR, alive=True, running=0
        )
        assert repr(status.info.details) == repr(details)

    async def test_what_is_listed_may_be_changed_freely(self, scene: Scene) -> None:
        await scene.connector.heartbeat(WorkerInfo(id=1, details={"list": [1]}), HOUR, now=scene.now)
        (status,) = await workers(scene)
        status.info.details["list"].append(2)
        assert (await workers(scene))[0].info.details == {"list": [1]}

    async def test_a_worker_that_serves_every_queue_names_none(self, scene: Scene) -> None:
        await scene.hire(1)
        await scene.hire(2, queues=[])
        assert [status.info.queues for status in await workers(scene)] == [None, ()]

    async def test_each_heartbeat_is_noted_and_the_first_says_who_it_is(self, scene: Scene) -> None:
        await scene.hire(1, queues=["red"])
        start = scene.now
        scene.wait(minutes=5)
        await scene.hire(1, lease=60, queues=["blue"])
        (status,) = await workers(scene)
        assert (status.started_at, status.heartbeat_at) == (start, scene.now)
        assert status.lease_until == scene.now + timedelta(minutes=1)
        assert status.info.queues == ("red",)

    async def test_they_are_listed_in_the_order_in_which_they_came(self, scene: Scene) -> None:
        for worker in (5, 3):
            await scene.hire(worker)
        scene.wait(seconds=1)
        for worker in (4, 5, 1):
            await scene.hire(worker)
        assert [status.info.id for status in await workers(scene)] == [3, 5, 1, 4]

    async def test_a_worker_is_alive_until_its_lease_ends_and_known_until_it_is_missed(self, scene: Scene) -> None:
        await scene.hire(1, lease=10)
        await scene.hire(2)
        scene.wait(seconds=9.999999)
        assert [status.alive for status in await workers(scene)] == [True, True]
        scene.wait(seconds=0.000001)
        assert [status.alive for status in await workers(scene)] == [False, True]
        await scene.rescue()
        assert [status.info.id for status in await workers(scene)] == [2]
        await scene.leave(2)
        assert await workers(scene) == []

    async def test_a_worker_that_was_forgotten_begins_anew(self, scene: Scene) -> None:
        await scene.hire(1, queues=["red"])
        await scene.leave(1)
        scene.wait(minutes=1)
        await scene.hire(1, queues=["blue"])
        (status,) = await workers(scene)
        assert (status.started_at, status.info.queues) == (scene.now, ("blue",))

    async def test_it_says_how_many_jobs_each_runs(self, scene: Scene) -> None:
        await scene.hire(1)
        await scene.hire(2)
        await scene.defer(*(new() for _ in range(5)))
        first, *_ = await scene.fetch(1, limit=3)
        await scene.succeed(first)
        await scene.fetch(2, limit=1)
        assert [status.running for status in await workers(scene)] == [2, 1]


class Standings(Case):
    """The verb `standing`."""

    @pytest.mark.parametrize("number", [0, -1, 7, 2**62, 2**70])
    async def test_of_a_job_that_is_not_there_only_the_time_is_told(self, scene: Scene, number: int) -> None:
        await scene.defer(new(lock="l"), new(lock="l"))
        assert await standing(scene, number) == Standing(at=scene.now)

    async def test_of_a_job_that_has_ended_only_the_time_is_told(self, scene: Scene) -> None:
        job = await scene.end(lock="l")
        await scene.defer(new(lock="l"), new())
        assert await standing(scene, job.id) == Standing(at=scene.now)

    async def test_ready_jobs_of_its_queue_are_before_it_by_priority_then_id(self, scene: Scene) -> None:
        low, first, high, second, _ = await scene.defer(
            new(priority=-1), new(), new(priority=9), new(), new(queue="other", priority=10)
        )
        aheads = [(await standing(scene, job)).ahead for job in (high, first, second, low)]
        assert aheads == [0, 1, 2, 3]

    async def test_jobs_in_their_last_life_are_counted_and_such_that_are_not_ready_are_not(self, scene: Scene) -> None:
        await scene.run()
        *_, job = await scene.defer(new(max_losses=1), new(priority=1, max_losses=1), new(delay=HOUR), new())
        assert (await standing(scene, job)).ahead == 2

    async def test_no_more_are_counted_than_need_be(self, scene: Scene) -> None:
        await scene.defer(*(new(priority=n % 3) for n in range(MOST_AHEAD + 5)))
        last = await scene.add()
        assert (await standing(scene, last)).ahead == MOST_AHEAD

    @pytest.mark.parametrize("mode", ["ordered", "mutex"])
    async def test_it_names_who_runs_under_its_lock(self, scene: Scene, mode: LockMode) -> None:
        running = await scene.run(lock="l", lock_mode=mode, priority=3)
        waiting = await scene.add(lock="l", lock_mode=mode)
        await scene.run(lock="other")
        for job in (waiting, running.id):
            found = await standing(scene, job)
            assert found.holder == (running.id if job == waiting else None)
            assert found.before == (running.id if job == waiting else None)

    async def test_it_names_who_is_first_of_its_lock_in_any_state_and_queue(self, scene: Scene) -> None:
        late, job, urgent = await scene.defer(
            new(lock="l", delay=HOUR), new(lock="l"), new(lock="l", queue="q", priority=1, delay=2 * HOUR)
        )
        assert [(await standing(scene, each)).before for each in (late, job, urgent)] == [urgent, urgent, None]
        await scene.cancel(urgent)
        assert [(await standing(scene, each)).before for each in (late, job)] == [None, late]
        assert (await standing(scene, job)).holder is None

    async def test_it_changes_nothing(self, scene: Scene) -> None:
        await scene.run(lock="l")
        await scene.defer(new(lock="l"), new(lock="l", delay=HOUR))
        before = await scene.jobs()
        scene.wait(hours=5)
        for job in before:
            await standing(scene, job.id)
        await scene.connector.health(now=scene.now)
        await workers(scene)
        assert await scene.jobs() == before


class TellingOfHealth(Case):
    """The verb `health`. What tables a connector has, and how they are, is its own."""

    async def test_an_empty_store_is_well(self, scene: Scene) -> None:
        found = await scene.connector.health(now=scene.now)
        assert (found.at, found.workers, found.lost_workers, [*found.queues]) == (scene.now, 0, 0, [])

    async def test_workers_are_counted_by_their_leases(self, scene: Scene) -> None:
        for worker, lease in ((1, 10), (2, 10), (3, 100)):
            await scene.hire(worker, lease=lease)
        scene.wait(seconds=10)
        found = await scene.connector.health(now=scene.now)
        assert (found.workers, found.lost_workers) == (1, 2)

    async def test_a_queue_waits_since_the_first_in_line_was_due(self, scene: Scene) -> None:
        start = scene.now
        await scene.defer(new(queue="b", delay=HOUR), new(queue="d", delay=9 * HOUR), new(queue="a", lock="l"))
        scene.wait(hours=2)
        await scene.hire(queues=["c"])
        await scene.defer(new(queue="a"), new(queue="B", priority=7))
        await scene.fetch(queues=["c"])
        waits = [(queue.name, queue.since) for queue in await queues(scene)]
        assert waits == [("B", start + 2 * HOUR), ("a", start), ("b", start + HOUR)]

    async def test_who_stands_behind_the_first_in_line_is_not_looked_at(self, scene: Scene) -> None:
        start = scene.now
        await scene.defer(new(delay=3 * HOUR), new(delay=HOUR))
        scene.wait(hours=4)
        await scene.hire()
        await scene.fetch(queues=["other"])
        assert [queue.since for queue in await queues(scene)] == [start + 3 * HOUR]

    @pytest.mark.parametrize("low", [{"priority": -5}, {"max_losses": 1}, {"priority": 5, "max_losses": 1}])
    async def test_each_priority_and_the_last_lives_have_a_line_of_their_own(
        self, scene: Scene, low: dict[str, Any]
    ) -> None:
        start = scene.now
        await scene.defer(new(delay=3 * HOUR), new(**low, delay=HOUR))
        await scene.defer(new(delay=2 * HOUR), new(priority=-9, delay=4 * HOUR), new(priority=9, delay=4 * HOUR))
        scene.wait(hours=5)
        await scene.hire()
        await scene.fetch(queues=["other"])
        assert [queue.since for queue in await queues(scene)] == [start + HOUR]

    async def test_a_queue_is_served_by_a_live_worker_that_names_it_or_none(self, scene: Scene) -> None:
        await scene.defer(new(queue="a"), new(queue="b"))
        await scene.hire(1, queues=["c", "a"])
        await scene.hire(2, lease=1)
        assert [queue.served for queue in await queues(scene)] == [True, True]
        scene.wait(seconds=1)
        assert [queue.served for queue in await queues(scene)] == [True, False]

    async def test_a_paused_queue_is_told_to_be_so(self, scene: Scene) -> None:
        await scene.defer(new(queue="a"), new(queue="b"))
        await scene.connector.pause("b", now=scene.now)
        assert [queue.paused for queue in await queues(scene)] == [False, True]
        await scene.connector.pause(everything=True, now=scene.now)
        assert [queue.paused for queue in await queues(scene)] == [True, True]
        await scene.connector.resume(everything=True, now=scene.now)
        await scene.connector.resume("b", now=scene.now)
        assert [queue.paused for queue in await queues(scene)] == [False, False]


async def workers(scene: Scene) -> list[WorkerStatus]:
    """List the workers, asked of both faces."""
    return await scene.connector.workers(now=scene.now)


async def standing(scene: Scene, job: int) -> Standing:
    """Tell where a job stands."""
    return await scene.connector.standing(job, now=scene.now)


async def queues(scene: Scene) -> list[QueueHealth]:
    """Tell of queues with ready jobs."""
    return [*(await scene.connector.health(now=scene.now)).queues]
