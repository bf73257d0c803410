"""Expiry: a job that no worker has started by then is cancelled."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pq_core.connector import JobChanges
from pq_core.job import Job
from pq_core.outcome import Outcome
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import START, Scene, boom, new

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class Expiring(Case):
    """Jobs with a time of expiry."""

    async def test_a_job_is_claimed_until_just_before_it_expires(self, scene: Scene) -> None:
        await scene.hire(lease=10_000)
        early, late = await scene.defer(new(expires_at=START + HOUR), new(expires_in=HOUR))
        scene.wait(minutes=59, seconds=59, microseconds=999_999)
        assert await scene.fetch_ids(limit=1) == [early]
        scene.wait(microseconds=1)
        assert await scene.fetch() == []
        assert await scene.states(early, late) == [State.RUNNING, State.CANCELLED]

    async def test_a_fetch_ends_it_as_cancelled_and_says_why(self, scene: Scene) -> None:
        await scene.hire(lease=10_000)
        job = await scene.add(expires_in=HOUR, lock="l")
        scene.wait(hours=2)
        await scene.fetch()
        ended = await scene.job(job)
        assert (ended.state, ended.reason, ended.finished_at) == (State.CANCELLED, "expired", scene.now)
        assert (ended.attempt, ended.claim, ended.worker, ended.started_at) == (0, 0, None, None)
        assert ended.expires_at == START + HOUR

    async def test_it_ends_in_every_queue_and_waiting_state_and_whatever_is_paused(self, scene: Scene) -> None:
        await scene.run(lock="l", queue="q")
        ids = await scene.defer(
            new(expires_in=MINUTE),
            new(expires_in=MINUTE, lock="l"),
            new(expires_in=MINUTE, delay=HOUR),
            new(expires_in=MINUTE, queue="other"),
            new("paused", expires_in=MINUTE),
        )
        await scene.connector.pause("default", now=scene.now)
        await scene.connector.pause(task="paused", now=scene.now)
        await scene.fetch(queues=["q"])
        scene.wait(minutes=1)
        assert await scene.fetch(queues=["q"]) == []
        assert await scene.states(*ids) == [State.CANCELLED] * 5

    async def test_a_rescue_ends_it_too_and_does_not_answer_with_it(self, scene: Scene) -> None:
        job = await scene.add(expires_in=MINUTE)
        scene.wait(minutes=1)
        assert await scene.rescue() == {}
        assert (await scene.job(job)).reason == "expired"

    async def test_a_job_that_was_started_in_time_runs_on_and_may_be_retried(self, scene: Scene) -> None:
        job = await scene.run(expires_in=MINUTE)
        scene.wait(minutes=2)
        await scene.fetch()
        assert await scene.finish(Outcome.retried(job, boom())) == [job.id]
        assert await scene.fetch_ids() == [job.id]

    async def test_a_job_that_was_lost_with_its_worker_was_started(self, scene: Scene) -> None:
        job = await scene.run(1, expires_in=MINUTE)
        await scene.hire(2)
        await scene.lose(1)
        scene.wait(minutes=2)
        assert await scene.fetch_ids(2) == [job.id]

    async def test_a_rescue_leaves_a_job_alone_that_was_started_before(self, scene: Scene) -> None:
        job = await scene.run(expires_in=MINUTE)
        await scene.finish(Outcome.retried(job, boom(), delay=HOUR))
        scene.wait(minutes=2)
        await scene.rescue()
        assert await scene.state(job.id) is State.SCHEDULED

    @pytest.mark.parametrize("kind", ["snoozed", "released"])
    async def test_a_job_whose_only_attempt_was_given_back_was_not_started(self, scene: Scene, kind: str) -> None:
        job = await scene.run(expires_in=MINUTE)
        outcome = Outcome.snoozed(job, timedelta(0)) if kind == "snoozed" else Outcome.released(job)
        await scene.finish(outcome)
        scene.wait(minutes=1)
        assert await scene.fetch() == []
        assert (await scene.job(job.id)).reason == "expired"

    async def test_an_expired_job_may_be_retried_and_does_not_expire_again(self, scene: Scene) -> None:
        await scene.hire()
        job = await scene.add(expires_in=MINUTE)
        scene.wait(minutes=1)
        await scene.fetch()
        await scene.retry(job)
        scene.wait(minutes=10)
        assert await scene.fetch_ids() == [job]
        assert (await scene.job(job)).expires_at is None

    @pytest.mark.parametrize("lock_mode", ["ordered", "mutex"])
    async def test_those_behind_the_lock_of_an_expired_job_go_on(self, scene: Scene, lock_mode: str) -> None:
        await scene.hire()
        await scene.add(lock="l", lock_mode=lock_mode, delay=HOUR, expires_in=MINUTE)
        follower = await scene.add(lock="l", queue="q")
        assert await scene.fetch() == []
        scene.wait(minutes=1)
        assert await scene.fetch_ids(queues=["q"]) == [follower]

    async def test_many_expire_and_none_of_them_is_claimed_nor_holds_up_others(self, scene: Scene) -> None:
        await scene.hire()
        ids = await scene.defer(
            *(new(priority=9, expires_in=MINUTE, lock=f"l{n}" if n % 3 else None) for n in range(1100))
        )
        job = await scene.add()
        scene.wait(minutes=1)
        assert await scene.fetch_ids(limit=20) == [job]
        assert await scene.counts() == {State.CANCELLED: len(ids), State.RUNNING: 1}

    async def test_an_expired_job_in_its_last_life_does_not_hold_up_others(self, scene: Scene) -> None:
        await scene.hire()
        _, last, job = await scene.defer(new(max_losses=1, expires_in=MINUTE), new(max_losses=1), new(priority=1))
        scene.wait(minutes=1)
        (alone,) = await scene.fetch()
        assert alone.id == last
        await scene.succeed(alone)
        assert await scene.fetch_ids() == [job]

    async def test_a_time_of_expiry_may_be_changed_and_taken_away(self, scene: Scene) -> None:
        await scene.hire()
        sooner, never, same = await scene.defer(new(), new(expires_in=MINUTE), new(expires_in=HOUR))
        await scene.connector.reschedule([sooner], JobChanges(expires_at=START + MINUTE), now=scene.now)
        await scene.connector.reschedule([never], JobChanges(expires_at=None), now=scene.now)
        await scene.connector.reschedule([same], JobChanges(priority=1), now=scene.now)
        assert [await self.expiry(scene, job) for job in (sooner, never, same)] == [START + MINUTE, None, START + HOUR]
        scene.wait(minutes=1)
        assert await scene.fetch_ids() == [same, never]
        assert (await scene.job(sooner)).reason == "expired"

    async def test_a_cancelled_job_does_not_expire(self, scene: Scene) -> None:
        job = await scene.add(expires_in=MINUTE)
        await scene.cancel(job, reason="enough")
        scene.wait(minutes=1)
        await scene.rescue()
        assert (await scene.job(job)).reason == "enough"

    @staticmethod
    async def expiry(scene: Scene, job: int) -> object:
        """Read when a job expires."""
        found: Job = await scene.job(job)
        return found.expires_at
