"""Purging: jobs deleted without a trace."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pq_core.connector import Deferred
from pq_core.states import ENDED, State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import Scene, new
from pq_testing.conformance.steering import NOBODY

HOUR = timedelta(hours=1)


class Purging(Case):
    """The verb `purge`."""

    async def test_waiting_and_ended_jobs_are_deleted_and_running_ones_left_alone(self, scene: Scene) -> None:
        ended = [(await scene.end(state)).id for state in sorted(ENDED)]
        running = await scene.run(lock="l")
        blocked = await scene.add(lock="l")
        assert await scene.fetch() == []
        waiting = [blocked, *await scene.defer(new(), new(delay=HOUR))]
        ids = [*ended, running.id, *waiting]
        assert await scene.connector.purge([*reversed(ids)], now=scene.now) == [*ended, *waiting]
        assert [job.id for job in await scene.jobs()] == [running.id]
        assert await scene.succeed(running) == [running.id]

    async def test_unknown_doubled_or_no_ids_may_be_purged(self, scene: Scene) -> None:
        job = await scene.add()
        assert await scene.connector.purge([], now=scene.now) == []
        assert await scene.connector.purge([*NOBODY, job, job], now=scene.now) == [job]
        assert await scene.connector.purge([job], now=scene.now) == []

    async def test_its_id_is_not_given_again(self, scene: Scene) -> None:
        job = await scene.add()
        await scene.connector.purge([job], now=scene.now)
        assert await scene.add() > job
        assert await scene.retry(job) == {}

    @pytest.mark.parametrize("lock_mode", ["ordered", "mutex"])
    async def test_those_behind_the_lock_of_a_deleted_job_go_on(self, scene: Scene, lock_mode: str) -> None:
        await scene.hire()
        head = await scene.add(lock="l", delay=HOUR, lock_mode=lock_mode)
        follower = await scene.add(lock="l", queue="q")
        assert await scene.fetch() == []
        await scene.connector.purge([head], now=scene.now)
        assert await scene.fetch_ids(queues=["q"]) == [follower]

    async def test_its_unique_key_is_free_again(self, scene: Scene) -> None:
        waiting, live = await scene.defer(
            new(unique_key="k", unique_period=HOUR), new(unique_key="k", unique_scope="live", on_conflict="skip")
        )
        ended = await scene.end(queue="q", unique_key="e", unique_period=HOUR)
        assert await scene.connector.purge([waiting, live, ended.id], now=scene.now) == [waiting, live, ended.id]
        again = await scene.connector.defer(
            [
                new(unique_key="k", unique_period=HOUR),
                new(unique_key="k", unique_scope="live"),
                new(unique_key="e", unique_period=HOUR),
            ],
            now=scene.now,
        )
        assert [deferred.status for deferred in again] == ["new"] * 3
        assert Deferred(waiting) not in again

    async def test_many_are_purged_in_one_call(self, scene: Scene) -> None:
        ids = await scene.defer(*(new(lock=f"lock {n % 7}") for n in range(300)))
        await scene.cancel(*ids[::2])
        assert await scene.connector.purge(ids, now=scene.now) == ids
        assert await scene.counts() == {}

    async def test_its_queue_is_no_longer_listed(self, scene: Scene) -> None:
        await scene.connector.purge([await scene.add(queue="q")], now=scene.now)
        assert await scene.queue("q") is None
        assert await scene.state((await scene.end()).id) is State.SUCCEEDED
