"""Workers: their leases, what becomes of the jobs of the dead, and of those that leave."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pq_core.errors import LeaseLost
from pq_core.outcome import Outcome
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.finishing import moment
from pq_testing.conformance.scene import Scene, boom, fetch_out, new


class Leasing(Case):
    """The verbs `heartbeat` and `leave`."""

    async def test_a_heartbeat_prolongs_the_lease_from_now(self, scene: Scene) -> None:
        job = await scene.run(1)
        await scene.hire(1, lease=10)
        scene.wait(seconds=8)
        await scene.hire(1, lease=10)
        scene.wait(seconds=8)
        assert await scene.rescue() == {}
        assert await scene.fetch(1) == []
        assert await scene.state(job.id) is State.RUNNING

    async def test_a_heartbeat_may_shorten_the_lease(self, scene: Scene) -> None:
        job = await scene.run(1)
        await scene.hire(1, lease=10)
        scene.wait(seconds=10)
        assert await scene.rescue() == {job.id: State.READY}

    async def test_a_heartbeat_says_which_jobs_of_the_worker_were_asked_to_stop(self, scene: Scene) -> None:
        await scene.hire(1)
        await scene.hire(2)
        await scene.defer(*(new() for _ in range(4)))
        a, b, c = await scene.fetch(1, limit=3)
        (d,) = await scene.fetch(2)
        assert await scene.hire(1) == []
        await scene.cancel(d.id, c.id, a.id)
        assert await scene.hire(1) == [a.id, c.id]
        assert await scene.hire(1) == [a.id, c.id]
        assert await scene.hire(2) == [d.id]
        await scene.succeed(a, b)
        assert await scene.hire(1) == [c.id]

    async def test_a_worker_that_was_forgotten_is_known_again_by_its_next_heartbeat(self, scene: Scene) -> None:
        """drift_33."""
        job = await scene.run(1)
        assert await scene.lose(1) == {job.id: State.READY}
        assert await scene.hire(1) == []
        assert await scene.fetch_ids(1) == [job.id]

    async def test_any_63_bit_number_may_be_a_worker(self, scene: Scene) -> None:
        """drift_31: the worker names itself, so that no number is given twice."""
        for worker in (0, 1, 2**62, 2**63 - 1):
            job = await scene.run(worker)
            assert job.worker == worker

    async def test_a_worker_that_leaves_gives_its_jobs_back_with_their_attempts(self, scene: Scene) -> None:
        await scene.hire(1)
        await scene.defer(new(), new(), new())
        a, b, c = await scene.fetch(1)
        await scene.succeed(b)
        scene.wait(seconds=3)
        assert list((await scene.leave(1)).items()) == [(a.id, State.READY), (c.id, State.READY)]
        back = await scene.job(c.id)
        assert (back.attempt, back.claim, back.losses, back.errors) == (0, 1, 0, [])
        assert (back.worker, back.started_at, back.scheduled_at) == (None, None, scene.now)

    async def test_a_worker_that_left_is_not_known_any_more(self, scene: Scene) -> None:
        await scene.hire(1)
        assert await scene.leave(1) == {}
        assert await scene.leave(1) == {}
        with pytest.raises(LeaseLost):
            await scene.fetch(1)

    async def test_leaving_unknown_is_no_error(self, scene: Scene) -> None:
        """drift_32."""
        assert await scene.leave(404) == {}

    async def test_the_jobs_of_others_stay_when_a_worker_leaves(self, scene: Scene) -> None:
        mine = await scene.run(1)
        other = await scene.run(2)
        await scene.leave(1)
        assert await scene.states(mine.id, other.id) == [State.READY, State.RUNNING]

    async def test_a_job_asked_to_stop_ends_as_cancelled_when_its_worker_leaves(self, scene: Scene) -> None:
        job = await scene.run(1)
        await scene.cancel(job.id, reason="enough")
        assert await scene.leave(1) == {job.id: State.CANCELLED}
        ended = await scene.job(job.id)
        assert (ended.reason, ended.attempt, ended.finished_at) == ("enough", 1, scene.now)


class Rescuing(Case):
    """The verb `rescue`."""

    async def test_nobody_dead_nothing_done(self, scene: Scene) -> None:
        assert await scene.rescue() == {}
        await scene.run(1)
        assert await scene.rescue() == {}

    async def test_a_lease_has_run_out_at_its_end_and_not_before(self, scene: Scene) -> None:
        job = await scene.run(1)
        await scene.hire(1, lease=10)
        scene.wait(seconds=9, microseconds=999_999)
        assert await scene.rescue() == {}
        scene.wait(microseconds=1)
        assert await scene.rescue() == {job.id: State.READY}
        assert await scene.rescue() == {}

    async def test_a_lost_job_is_ready_again_with_its_loss_counted(self, scene: Scene) -> None:
        job = await scene.run(1)
        assert await scene.lose(1) == {job.id: State.READY}
        back = await scene.job(job.id)
        assert (back.attempt, back.claim, back.losses) == (1, 1, 1)
        assert (back.worker, back.started_at, back.finished_at) == (None, None, None)
        assert back.scheduled_at == scene.now
        (error,) = back.errors
        assert (error["type"], error["attempt"]) == ("WorkerLost", 1)
        assert error["message"]
        assert moment(error["at"]) == scene.now
        assert set(error) == {"type", "message", "traceback", "attempt", "at"}

    async def test_only_the_jobs_of_the_dead_are_given_back_sorted_by_id(self, scene: Scene) -> None:
        for worker in (1, 2, 3):
            await scene.hire(worker)
        ids = await scene.defer(*(new() for _ in range(6)))
        for worker in (3, 2, 1, 1, 2, 3):
            await scene.fetch(worker, limit=1)
        assert list(await scene.lose(1, 3)) == [ids[0], ids[2], ids[3], ids[5]]
        assert await scene.states(ids[1], ids[4]) == [State.RUNNING, State.RUNNING]

    async def test_ended_and_waiting_jobs_are_left_alone(self, scene: Scene) -> None:
        ended = await scene.end(State.FAILED)
        waiting = await scene.job(await scene.add(delay=timedelta(days=9)))
        await scene.lose(1)
        assert await scene.jobs() == [ended, waiting]

    async def test_a_dead_worker_is_forgotten(self, scene: Scene) -> None:
        await scene.hire(1)
        await scene.lose(1)
        with pytest.raises(LeaseLost):
            await scene.fetch(1)

    async def test_the_jobs_of_a_worker_that_came_back_in_time_are_its_own(self, scene: Scene) -> None:
        job = await scene.run(1)
        await scene.hire(1, lease=1)
        scene.wait(seconds=5)
        await scene.hire(1)
        assert await scene.rescue() == {}
        assert await scene.succeed(job) == [job.id]

    async def test_a_job_ends_as_failed_with_its_last_loss(self, scene: Scene) -> None:
        job = await scene.run(1, max_losses=2)
        assert await scene.lose(1) == {job.id: State.READY}
        await scene.hire(2)
        assert await scene.fetch_ids(2) == [job.id]
        assert await scene.lose(2) == {job.id: State.FAILED}
        ended = await scene.job(job.id)
        assert (ended.losses, ended.attempt, ended.finished_at) == (2, 2, scene.now)
        assert [(error["type"], error["attempt"]) for error in ended.errors] == [("WorkerLost", 1), ("WorkerLost", 2)]

    async def test_losses_stay_counted_over_retries_and_releases(self, scene: Scene) -> None:
        job = await scene.run(1)
        await scene.lose(1)
        await scene.hire(1)
        (job,) = await scene.fetch(1)
        await scene.finish(Outcome.retried(job, boom()))
        (job,) = await scene.fetch(1)
        await scene.finish(Outcome.released(job))
        assert (await scene.job(job.id)).losses == 1

    async def test_losses_are_among_the_last_ten_errors(self, scene: Scene) -> None:
        job = await scene.run(1)
        for _ in range(10):
            await scene.finish(Outcome.retried(job, boom()))
            (job,) = await scene.fetch(1)
        await scene.lose(1)
        errors = (await scene.job(job.id)).errors
        assert [error["type"] for error in errors] == [*["ValueError"] * 9, "WorkerLost"]

    async def test_a_lost_job_that_was_asked_to_stop_ends_as_cancelled(self, scene: Scene) -> None:
        job = await scene.run(1, max_losses=1)
        await scene.cancel(job.id, reason="enough")
        assert await scene.lose(1) == {job.id: State.CANCELLED}
        ended = await scene.job(job.id)
        assert (ended.reason, ended.losses, ended.attempt, ended.finished_at) == ("enough", 1, 1, scene.now)
        assert [error["type"] for error in ended.errors] == ["WorkerLost"]


class LastLife(Case):
    """A job that would end with the next worker that dies under it runs alone in its worker."""

    async def test_a_job_in_its_last_life_is_claimed_alone_and_before_anything_else(self, scene: Scene) -> None:
        poison = await self.poison(scene)
        await scene.defer(new(priority=9), new())
        await scene.hire(3)
        fetched = await fetch_out(scene.connector, 3, None, 5, scene.now)
        assert [job.id for job in fetched.jobs] == [poison]
        assert not fetched.again

    async def test_a_worker_that_runs_something_passes_it_over_and_says_so(self, scene: Scene) -> None:
        poison = await self.poison(scene)
        await scene.hire(3)
        await scene.defer(new(queue="other"))
        assert len(await scene.fetch(3, queues=["other"])) == 1
        innocent = await scene.add()
        fetched = await fetch_out(scene.connector, 3, None, 5, scene.now)
        assert ([job.id for job in fetched.jobs], fetched.solo) == ([innocent], True)
        assert await scene.state(poison) is State.READY

    async def test_a_worker_that_runs_it_gets_nothing_more(self, scene: Scene) -> None:
        poison = await self.poison(scene)
        innocent = await scene.add()
        await scene.hire(3)
        assert await scene.fetch_ids(3) == [poison]
        fetched = await scene.connector.fetch(3, None, 5, now=scene.now)
        assert (list(fetched.jobs), fetched.again) == ([], False)
        await scene.succeed(await scene.job(poison))
        assert await scene.fetch_ids(3) == [innocent]

    async def test_other_workers_go_on(self, scene: Scene) -> None:
        poison = await self.poison(scene)
        innocent = await scene.add()
        await scene.hire(3)
        await scene.hire(4)
        assert await scene.fetch_ids(3) == [poison]
        assert await scene.fetch_ids(4) == [innocent]

    async def test_without_one_nothing_is_passed_over(self, scene: Scene) -> None:
        await scene.run(1)
        await scene.add()
        assert not (await fetch_out(scene.connector, 1, None, 5, scene.now)).solo

    async def test_the_first_that_is_runnable_is_claimed(self, scene: Scene) -> None:
        first = await scene.run(1, max_losses=1, lock="l")
        _, third = await scene.defer(new(max_losses=1, lock="l"), new(max_losses=1))
        innocent = await scene.add()
        await scene.hire(2)
        assert await scene.fetch_ids(2) == [third]
        await scene.hire(3)
        assert await scene.fetch_ids(3) == [innocent]
        assert await scene.state(first.id) is State.RUNNING

    async def test_a_mutex_job_in_its_last_life_is_claimed_past_an_ordered_one_of_its_lock(self, scene: Scene) -> None:
        await scene.hire()
        await scene.add(lock="l", delay=timedelta(hours=1))
        await scene.add(lock="l", max_losses=1)
        poison = await scene.add(lock="l", lock_mode="mutex", max_losses=1)
        await scene.add()
        assert await scene.fetch_ids() == [poison]

    async def test_with_one_loss_allowed_every_life_is_the_last(self, scene: Scene) -> None:
        await scene.hire(1)
        ids = await scene.defer(new(max_losses=1), new(max_losses=1, priority=1), new())
        assert await scene.fetch_ids(1) == [ids[1]]

    async def test_queues_that_are_not_served_or_paused_do_not_count(self, scene: Scene) -> None:
        await scene.connector.pause("paused", now=scene.now)
        await scene.defer(new(max_losses=1, queue="paused"), new(max_losses=1, queue="other"))
        innocent = await scene.add()
        await scene.hire(1)
        assert await scene.fetch_ids(1, ["default", "paused"]) == [innocent]

    async def test_one_that_is_not_due_does_not_count(self, scene: Scene) -> None:
        await scene.add(max_losses=1, delay=timedelta(hours=1))
        innocent = await scene.add()
        await scene.hire(1)
        assert await scene.fetch_ids(1) == [innocent]

    async def test_a_retry_by_hand_gives_all_lives_back(self, scene: Scene) -> None:
        poison = await self.poison(scene)
        await scene.hire(3)
        (job,) = await scene.fetch(3)
        await scene.finish(Outcome.failed(job, boom()))
        await scene.retry(poison)
        innocent = await scene.add()
        assert await scene.fetch_ids(3) == [poison, innocent]

    @staticmethod
    async def poison(scene: Scene) -> int:
        """Defer a job and kill two workers with it."""
        job = await scene.run(1)
        await scene.lose(1)
        await scene.hire(2)
        assert await scene.fetch_ids(2) == [job.id]
        await scene.lose(2)
        assert (await scene.job(job.id)).losses == 2
        return job.id
