"""Locks: of all live jobs with one lock at most one runs, and in `ordered` mode the earliest."""

from __future__ import annotations

from datetime import timedelta

import anyio.lowlevel
import pytest

from pq_core.connector import JobChanges
from pq_core.job import Job
from pq_core.outcome import Outcome
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import Scene, boom, new

HOUR = timedelta(hours=1)


class Locking(Case):
    """Ordered locks: a job waits for every earlier live job of its lock."""

    async def test_of_one_lock_one_job_runs_at_a_time_and_in_order(self, scene: Scene) -> None:
        await scene.hire()
        ids = await scene.defer(*(new(lock="l") for _ in range(4)))
        for wanted in ids:
            (job,) = await scene.fetch()
            assert job.id == wanted
            await scene.succeed(job)
        assert await scene.fetch() == []

    async def test_another_worker_does_not_get_past_the_lock(self, scene: Scene) -> None:
        await scene.run(1, lock="l")
        await scene.hire(2)
        await scene.add(lock="l")
        assert await scene.fetch(2) == []

    async def test_locks_do_not_disturb_each_other_nor_jobs_without(self, scene: Scene) -> None:
        await scene.hire()
        a, _, b, _, none = await scene.defer(*(new(lock=lock) for lock in ("a", "a", "b", "b", None)))
        assert await scene.fetch_ids() == [a, b, none]

    @pytest.mark.parametrize("twin", ["L", "l ", " l", "ll", "\u006c\u0301", "null", ""])
    async def test_locks_are_the_same_only_character_by_character(self, scene: Scene, twin: str) -> None:
        await scene.run(lock="l")
        other = await scene.add(lock=twin or None)
        assert await scene.fetch_ids() == [other]

    async def test_a_job_that_waits_for_its_lock_is_blocked_once_a_fetch_came_to_it(self, scene: Scene) -> None:
        first = await scene.run(lock="l")
        second = await scene.add(lock="l")
        assert await scene.state(second) is State.READY
        assert await scene.fetch() == []
        assert await scene.state(second) is State.BLOCKED
        await scene.succeed(first)
        assert await scene.state(second) is State.READY
        assert await scene.fetch_ids() == [second]

    async def test_only_the_next_of_the_blocked_ones_runs_when_the_lock_is_freed(self, scene: Scene) -> None:
        first = await scene.run(lock="l")
        second, third = await scene.defer(new(lock="l"), new(lock="l"))
        assert await scene.fetch() == []
        await scene.succeed(first)
        assert await scene.fetch_ids() == [second]
        assert await scene.state(third) is State.BLOCKED

    async def test_blocked_jobs_do_not_hide_those_behind_them(self, scene: Scene) -> None:
        await scene.run(lock="l")
        await scene.defer(*(new(lock="l", priority=1) for _ in range(150)))
        free = await scene.add()
        assert await scene.fetch_ids(limit=1) == [free]

    async def test_many_locks_in_one_fetch_give_the_first_of_each(self, scene: Scene) -> None:
        await scene.hire()
        ids = await scene.defer(*(new(lock=f"lock {n % 150}") for n in range(300)))
        assert await scene.fetch_ids(limit=300) == ids[:150]

    async def test_a_job_waits_for_an_earlier_one_that_is_scheduled(self, scene: Scene) -> None:
        """drift_01."""
        await scene.hire()
        head = await scene.add(lock="l", delay=HOUR)
        job = await scene.add(lock="l")
        assert await scene.fetch() == []
        scene.wait(hours=1)
        await scene.hire()
        assert await scene.fetch_ids() == [head]
        assert await scene.state(job) is State.BLOCKED

    async def test_a_job_waits_for_an_earlier_one_on_another_queue(self, scene: Scene) -> None:
        """drift_02."""
        await scene.hire()
        head = await scene.add(queue="other", lock="l")
        job = await scene.add(lock="l")
        assert await scene.fetch(queues=["default"]) == []
        await scene.succeed(*await scene.fetch(queues=["other"]))
        assert await scene.state(head) is State.SUCCEEDED
        assert await scene.fetch_ids(queues=["default"]) == [job]

    async def test_a_job_waits_for_one_of_higher_priority_on_another_queue(self, scene: Scene) -> None:
        """drift_03."""
        await scene.hire()
        job = await scene.add(lock="l")
        urgent = await scene.add(queue="other", lock="l", priority=1)
        assert await scene.fetch(queues=["default"]) == []
        assert await scene.fetch_ids(queues=["other", "default"]) == [urgent]
        assert await scene.state(job) is State.BLOCKED

    async def test_a_job_does_not_wait_for_later_ones(self, scene: Scene) -> None:
        await scene.hire()
        first = await scene.add(lock="l")
        await scene.defer(new(lock="l", priority=-1), new(lock="l", delay=HOUR))
        assert await scene.fetch_ids() == [first]

    async def test_a_higher_priority_that_arrives_while_others_are_blocked_goes_first(self, scene: Scene) -> None:
        running = await scene.run(lock="l")
        low = await scene.add(lock="l")
        assert await scene.fetch() == []
        high = await scene.add(lock="l", priority=1)
        assert await scene.fetch() == []
        await scene.succeed(running)
        (job,) = await scene.fetch()
        assert job.id == high
        await scene.succeed(job)
        assert await scene.fetch_ids() == [low]

    async def test_a_higher_priority_that_arrives_when_the_next_was_woken_goes_first(self, scene: Scene) -> None:
        running = await scene.run(lock="l")
        low = await scene.add(lock="l")
        assert await scene.fetch() == []
        await scene.succeed(running)
        high = await scene.add(lock="l", priority=1)
        assert await scene.fetch_ids() == [high]
        assert await scene.state(low) is State.BLOCKED

    async def test_a_higher_priority_does_not_run_beside_the_running_one(self, scene: Scene) -> None:
        await scene.run(lock="l")
        await scene.add(lock="l", priority=9)
        assert await scene.fetch() == []

    async def test_a_head_on_a_paused_queue_still_holds_its_place(self, scene: Scene) -> None:
        await scene.hire()
        await scene.connector.pause("paused", now=scene.now)
        head, job = await scene.defer(new(queue="paused", lock="l"), new(lock="l"))
        assert await scene.fetch() == []
        await scene.connector.resume("paused", now=scene.now)
        assert await scene.fetch_ids() == [head]
        assert await scene.state(job) is State.BLOCKED

    async def test_workers_that_compete_never_run_two_jobs_of_a_lock(self, scene: Scene) -> None:
        ids = await scene.defer(*(new(lock=f"lock {n % 3}", queue=f"q{n % 2}") for n in range(45)))
        running: set[str | None] = set()
        done: list[Job] = []

        async def work(worker: int) -> None:
            await scene.hire(worker)
            while len(done) < len(ids):
                await anyio.lowlevel.checkpoint()
                for job in await scene.fetch(worker, limit=2):
                    assert job.lock not in running
                    running.add(job.lock)
                    await anyio.lowlevel.checkpoint()
                    running.remove(job.lock)
                    done.append(job)
                    await scene.succeed(job)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as workers:
                for worker in range(1, 5):
                    workers.start_soon(work, worker)
        assert sorted(job.id for job in done) == ids
        for lock in ("lock 0", "lock 1", "lock 2"):
            order = [job.id for job in done if job.lock == lock]
            assert order == sorted(order)


class Freeing(Case):
    """All that ends, moves or deletes the head of a lock lets the next one run."""

    @pytest.mark.parametrize("keep", [True, False])
    @pytest.mark.parametrize("kind", ["succeeded", "failed", "cancelled"])
    async def test_the_end_of_a_run_frees_the_lock(self, scene: Scene, kind: str, keep: bool) -> None:  # noqa: FBT001 - parametrized
        first = await scene.run(lock="l")
        second = await scene.add(lock="l")
        assert await scene.fetch() == []
        outcome = {
            "succeeded": Outcome.succeeded(first, keep=keep),
            "failed": Outcome.failed(first, boom(), keep=keep),
            "cancelled": Outcome.cancelled(first, "no", keep=keep),
        }[kind]
        await scene.finish(outcome)
        assert await scene.fetch_ids() == [second]

    async def test_cancelling_a_waiting_head_lets_the_next_run(self, scene: Scene) -> None:
        await scene.hire()
        head, second = await scene.defer(new(lock="l", delay=HOUR), new(lock="l"))
        assert await scene.fetch() == []
        await scene.cancel(head)
        assert await scene.state(second) is State.READY
        assert await scene.fetch_ids() == [second]

    async def test_cancelling_a_blocked_head_lets_the_next_run(self, scene: Scene) -> None:
        running = await scene.run(lock="l")
        head, third = await scene.defer(new(lock="l"), new(lock="l"))
        assert await scene.fetch() == []
        await scene.cancel(head)
        await scene.succeed(running)
        assert await scene.fetch_ids() == [third]

    async def test_cancelling_a_head_that_was_woken_lets_the_next_run(self, scene: Scene) -> None:
        running = await scene.run(lock="l")
        head, third = await scene.defer(new(lock="l"), new(lock="l"))
        assert await scene.fetch() == []
        await scene.succeed(running)
        await scene.cancel(head)
        assert await scene.fetch_ids() == [third]

    @pytest.mark.parametrize(
        "changes",
        [
            JobChanges(lock=None),
            JobChanges(lock="another"),
            JobChanges(priority=-1),
        ],
        ids=["without a lock", "with another lock", "of lower priority"],
    )
    async def test_a_head_that_is_moved_away_lets_the_next_run(self, scene: Scene, changes: JobChanges) -> None:
        await scene.hire()
        head, second = await scene.defer(new(lock="l", delay=HOUR), new(lock="l"))
        assert await scene.fetch() == []
        await scene.connector.reschedule([head], changes, now=scene.now)
        assert await scene.fetch_ids() == [second]

    async def test_a_blocked_job_that_is_given_another_lock_runs(self, scene: Scene) -> None:
        await scene.run(lock="l")
        job = await scene.add(lock="l")
        assert await scene.fetch() == []
        await scene.connector.reschedule([job], JobChanges(lock="free"), now=scene.now)
        assert await scene.fetch_ids() == [job]

    async def test_a_job_that_is_given_a_lock_waits_for_it(self, scene: Scene) -> None:
        running = await scene.run(lock="l")
        job = await scene.add()
        await scene.connector.reschedule([job], JobChanges(lock="l"), now=scene.now)
        assert await scene.fetch() == []
        await scene.succeed(running)
        assert await scene.fetch_ids() == [job]

    async def test_a_blocked_job_of_raised_priority_is_next(self, scene: Scene) -> None:
        running = await scene.run(lock="l")
        second, third = await scene.defer(new(lock="l"), new(lock="l"))
        assert await scene.fetch() == []
        await scene.connector.reschedule([third], JobChanges(priority=1), now=scene.now)
        await scene.succeed(running)
        assert await scene.fetch_ids() == [third]
        assert await scene.state(second) is State.BLOCKED

    async def test_a_retry_keeps_its_place_while_it_backs_off(self, scene: Scene) -> None:
        first = await scene.run(lock="l")
        second = await scene.add(lock="l")
        await scene.finish(Outcome.retried(first, boom(), delay=HOUR))
        assert await scene.fetch() == []
        scene.wait(hours=1)
        await scene.hire()
        assert await scene.fetch_ids() == [first.id]
        assert await scene.state(second) is State.BLOCKED

    @pytest.mark.parametrize("delay", [timedelta(0), HOUR])
    async def test_a_retry_with_another_lock_frees_the_old_and_waits_for_the_new(
        self, scene: Scene, delay: timedelta
    ) -> None:
        holder = await scene.run(lock="new")
        first = await scene.run(lock="old")
        second = await scene.add(lock="old")
        assert await scene.fetch() == []
        await scene.finish(Outcome.retried(first, boom(), delay=delay, lock="new"))
        assert await scene.fetch_ids() == [second]
        scene.wait(hours=1)
        await scene.hire()
        assert await scene.fetch() == []
        await scene.succeed(holder)
        assert await scene.fetch_ids() == [first.id]

    async def test_a_retry_without_its_lock_frees_it(self, scene: Scene) -> None:
        first = await scene.run(lock="l")
        second = await scene.add(lock="l")
        assert await scene.fetch() == []
        await scene.finish(Outcome.retried(first, boom(), lock=None))
        assert await scene.fetch_ids() == [first.id, second]

    async def test_a_retry_of_lower_priority_lets_the_next_run_first(self, scene: Scene) -> None:
        first = await scene.run(lock="l")
        second = await scene.add(lock="l")
        assert await scene.fetch() == []
        await scene.finish(Outcome.retried(first, boom(), priority=-1))
        assert await scene.fetch_ids() == [second]

    async def test_a_rescued_job_is_head_of_its_lock_again(self, scene: Scene) -> None:
        first = await scene.run(1, lock="l")
        second = await scene.add(lock="l")
        await scene.hire(2)
        assert await scene.fetch(2) == []
        await scene.lose(1)
        assert await scene.fetch_ids(2) == [first.id]
        assert await scene.state(second) is State.BLOCKED

    async def test_a_job_that_died_for_good_frees_its_lock(self, scene: Scene) -> None:
        await scene.run(1, lock="l", max_losses=1)
        second = await scene.add(lock="l")
        await scene.hire(2)
        assert await scene.fetch(2) == []
        await scene.lose(1)
        assert await scene.fetch_ids(2) == [second]

    async def test_a_released_job_is_head_of_its_lock_again(self, scene: Scene) -> None:
        first = await scene.run(1, lock="l")
        await scene.add(lock="l")
        await scene.hire(2)
        assert await scene.fetch(2) == []
        await scene.leave(1)
        assert await scene.fetch_ids(2) == [first.id]

    async def test_an_ended_job_made_live_again_is_head_of_its_lock_by_its_id(self, scene: Scene) -> None:
        ended = await scene.end(State.FAILED, lock="l")
        second = await scene.add(lock="l")
        await scene.retry(ended.id)
        assert await scene.fetch_ids() == [ended.id]
        assert await scene.state(second) is State.BLOCKED

    async def test_an_ended_job_made_live_again_waits_for_a_running_later_one(self, scene: Scene) -> None:
        ended = await scene.end(State.FAILED, lock="l")
        later = await scene.run(lock="l")
        await scene.retry(ended.id)
        assert await scene.fetch() == []
        await scene.succeed(later)
        assert await scene.fetch_ids() == [ended.id]
