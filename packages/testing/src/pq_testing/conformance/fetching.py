"""Fetching: who gets which jobs, in which order, and how many of each queue."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

import anyio
import pytest

from pq_core.connector import Connector
from pq_core.errors import LeaseLost
from pq_core.job import Job
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import START, Scene, fetch_out, new


class Fetching(Case):
    """The verb `fetch`."""

    async def test_a_worker_that_is_not_known_gets_an_error_and_nothing_changes(self, scene: Scene) -> None:
        """drift_29."""
        job = await scene.add()
        with pytest.raises(LeaseLost):
            await scene.fetch(99)
        assert await scene.state(job) is State.READY

    async def test_a_lease_holds_until_just_before_its_end(self, scene: Scene) -> None:
        job = await scene.add()
        await scene.hire(lease=10)
        scene.wait(seconds=9, microseconds=999_999)
        assert await scene.fetch_ids() == [job]

    async def test_a_worker_whose_lease_has_run_out_gets_an_error(self, scene: Scene) -> None:
        job = await scene.add()
        await scene.hire(lease=10)
        scene.wait(seconds=10)
        with pytest.raises(LeaseLost):
            await scene.fetch()
        assert await scene.state(job) is State.READY

    @pytest.mark.parametrize("limit", [0, -1])
    async def test_a_limit_below_one_is_an_error(self, connector: Connector, limit: int) -> None:
        await Scene(connector).hire()
        with pytest.raises(ValueError, match=str(limit)):
            await connector.fetch(1, None, limit, now=START)

    async def test_a_claimed_job_runs_under_its_worker_and_counts_the_attempt(self, scene: Scene) -> None:
        wanted = await scene.add()
        scene.wait(seconds=5)
        await scene.hire(7)
        (job,) = await scene.fetch(7)
        assert (job.id, job.state, job.attempt, job.claim) == (wanted, State.RUNNING, 1, 1)
        assert (job.worker, job.started_at, job.finished_at) == (7, scene.now, None)
        assert (job.created_at, job.scheduled_at) == (START, START)

    async def test_a_claimed_job_is_as_find_then_shows_it(self, scene: Scene) -> None:
        job = await scene.run(args={"x": 1}, priority=3, lock="l", metadata={"m": 1})
        assert job == await scene.job(job.id)

    async def test_the_highest_priority_is_first_and_then_the_lowest_id(self, scene: Scene) -> None:
        await scene.hire()
        a, b, c, d, e = await scene.defer(*(new(priority=p) for p in (0, 5, 0, 5, -32_768)))
        f = await scene.add(priority=32_767)
        assert await scene.fetch_ids() == [f, b, d, a, c, e]

    async def test_one_answer_has_the_first_to_run_first(self, scene: Scene) -> None:
        await scene.hire()
        await scene.defer(*(new(priority=n % 3, queue=f"q{n % 2}", lock=f"l{n}" if n % 5 else None) for n in range(40)))
        fetched = await scene.connector.fetch(1, None, 40, now=scene.now)
        order = [(-job.priority, job.id) for job in fetched.jobs]
        assert len(order) > 1
        assert order == sorted(order)

    async def test_a_limit_takes_the_first_ones(self, scene: Scene) -> None:
        await scene.hire()
        low, high, middle = await scene.defer(new(priority=0), new(priority=2), new(priority=1))
        assert await scene.fetch_ids(limit=2) == [high, middle]
        assert await scene.fetch_ids(limit=2) == [low]

    async def test_priority_counts_across_queues(self, scene: Scene) -> None:
        await scene.hire()
        ids = await scene.defer(new(queue="a"), new(queue="b", priority=1), new(queue="a", priority=2), new(queue="b"))
        order = [await scene.fetch_ids(queues=["a", "b"], limit=1) for _ in ids]
        assert order == [[ids[2]], [ids[1]], [ids[0]], [ids[3]]]

    async def test_no_more_than_the_limit_is_claimed_in_one_call(self, scene: Scene) -> None:
        await scene.hire()
        await scene.defer(*(new() for _ in range(5)))
        fetched = await scene.connector.fetch(1, None, 3, now=scene.now)
        assert len(fetched.jobs) <= 3

    async def test_all_of_many_jobs_can_be_had(self, scene: Scene) -> None:
        await scene.hire()
        ids = await scene.defer(*(new() for _ in range(700)))
        assert await scene.fetch_ids(limit=1000) == ids

    async def test_only_the_queues_asked_for_are_served(self, scene: Scene) -> None:
        await scene.hire()
        a, b, c = await scene.defer(*(new(queue=name) for name in "abc"))
        assert await scene.fetch_ids(queues=["a", "c"]) == [a, c]
        assert await scene.fetch_ids(queues=["B", "b ", "bb", "%", "_"]) == []
        assert await scene.fetch_ids(queues=["b"]) == [b]

    async def test_none_serves_every_queue(self, scene: Scene) -> None:
        await scene.hire()
        ids = await scene.defer(*(new(queue=name) for name in "zay"))
        assert await scene.fetch_ids(queues=None) == ids

    async def test_an_empty_list_of_queues_gives_nothing(self, scene: Scene) -> None:
        await scene.hire()
        await scene.add()
        fetched = await scene.connector.fetch(1, [], 5, now=scene.now)
        assert (list(fetched.jobs), fetched.again) == ([], False)

    async def test_the_queues_a_worker_told_of_do_not_bind_what_it_fetches(self, scene: Scene) -> None:
        await scene.hire(queues=["a"])
        job = await scene.add(queue="b")
        assert await scene.fetch_ids(queues=["b"]) == [job]

    async def test_a_claimed_job_is_claimed_by_nobody_else(self, scene: Scene) -> None:
        await scene.hire(1)
        await scene.hire(2)
        jobs = await scene.defer(new(), new(), new())
        assert await scene.fetch_ids(1, limit=2) == jobs[:2]
        assert await scene.fetch_ids(2) == jobs[2:]
        assert await scene.fetch_ids(1) == []

    @pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
    async def test_an_ended_job_is_never_claimed(self, scene: Scene, state: State) -> None:
        await scene.end(state)
        scene.wait(days=1)
        await scene.hire()
        assert await scene.fetch_ids() == []

    async def test_a_job_is_not_claimed_before_it_is_due(self, scene: Scene) -> None:
        await scene.hire()
        job = await scene.add(delay=timedelta(seconds=10))
        scene.wait(seconds=9, microseconds=999_999)
        assert await scene.fetch_ids() == []
        scene.wait(microseconds=1)
        assert await scene.fetch_ids() == [job]

    async def test_a_due_job_takes_its_place_by_priority_and_id_not_by_when_it_fell_due(self, scene: Scene) -> None:
        await scene.hire()
        late = await scene.add(delay=timedelta(seconds=20))
        soon = await scene.add(delay=timedelta(seconds=10))
        ready = await scene.add()
        scene.wait(seconds=30)
        assert await scene.fetch_ids() == [late, soon, ready]

    @pytest.mark.parametrize("queues", [["other"], []])
    async def test_due_jobs_of_every_queue_become_ready(self, scene: Scene, queues: list[str]) -> None:
        await scene.hire()
        due = await scene.add(queue="a", delay=timedelta(seconds=1))
        later = await scene.add(queue="a", delay=timedelta(seconds=2))
        scene.wait(seconds=1)
        await scene.fetch(queues=queues)
        assert await scene.states(due, later) == [State.READY, State.SCHEDULED]

    async def test_next_in_says_when_the_next_job_of_any_queue_falls_due(self, scene: Scene) -> None:
        await scene.hire()
        assert (await scene.connector.fetch(1, ["a"], 1, now=scene.now)).next_in is None
        await scene.add(queue="b", delay=timedelta(seconds=30))
        await scene.add(queue="c", delay=timedelta(seconds=12.5))
        assert (await scene.connector.fetch(1, ["a"], 1, now=scene.now)).next_in == pytest.approx(12.5)
        scene.wait(seconds=12.5)
        assert (await scene.connector.fetch(1, ["a"], 1, now=scene.now)).next_in == pytest.approx(17.5)
        scene.wait(seconds=17.5)
        assert (await scene.connector.fetch(1, ["a"], 1, now=scene.now)).next_in is None

    async def test_every_fetch_grows_the_claim_and_the_attempt(self, scene: Scene) -> None:
        job = await scene.run()
        for attempt in (2, 3):
            await scene.leave()
            await scene.hire()
            (job,) = await scene.fetch()
            assert (job.attempt, job.claim) == (1, attempt)

    async def test_again_is_not_said_when_nothing_is_left(self, scene: Scene) -> None:
        await scene.hire()
        await scene.defer(new(lock="l"), new(lock="l"), new(), new(queue="paused"))
        await scene.connector.pause("paused", now=scene.now)
        fetched = await fetch_out(scene.connector, 1, None, 100, scene.now)
        assert (len(fetched.jobs), fetched.again) == (2, False)

    async def test_workers_that_fetch_at_once_share_the_jobs(self, scene: Scene) -> None:
        ids = await scene.defer(*(new() for _ in range(60)))
        claimed: list[Job] = []

        async def work(worker: int) -> None:
            await scene.hire(worker)
            while jobs := await scene.fetch(worker, limit=7):
                claimed.extend(jobs)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as workers:
                for worker in range(1, 5):
                    workers.start_soon(work, worker)
        assert sorted(job.id for job in claimed) == ids


class Sharing(Case):
    """How many jobs of each queue one call of `fetch` may claim."""

    @pytest.mark.parametrize("limit", [1, 2, 3, 4, 8])
    async def test_one_call_claims_no_more_of_a_queue_than_its_share(self, scene: Scene, limit: int) -> None:
        await scene.hire()
        await scene.defer(*(new(queue=queue) for queue in "abcd" for _ in range(10)))
        await self.no_queue_has_more_than(scene, list("abcd"), limit, max(1, ceil(2 * limit / 4)))

    async def test_queues_given_twice_count_once(self, scene: Scene) -> None:
        await scene.hire()
        await scene.defer(*(new(queue="a") for _ in range(10)))
        assert len(await scene.fetch(queues=["a", "a", "a", "a"], limit=8)) == 8
        fetched = await scene.connector.fetch(1, ["a", "a", "a", "a"], 2, now=scene.now)
        assert len(fetched.jobs) == 2

    async def test_empty_and_paused_queues_count_when_they_are_named(self, scene: Scene) -> None:
        await scene.hire()
        await scene.connector.pause("paused", now=scene.now)
        await scene.defer(*(new(queue=queue) for queue in ("a", "paused") for _ in range(10)))
        await self.no_queue_has_more_than(scene, ["a", "paused", "empty", "nowhere"], 8, 4)

    async def test_what_a_share_left_is_had_by_fetching_again(self, scene: Scene) -> None:
        await scene.hire()
        await scene.defer(*(new(queue="a") for _ in range(10)))
        fetched = await scene.connector.fetch(1, list("abcd"), 8, now=scene.now)
        assert fetched.again
        assert len(fetched.jobs) + len(await scene.fetch(queues=list("abcd"), limit=8 - len(fetched.jobs))) == 8

    async def test_a_queue_full_of_high_priority_leaves_room_for_the_others(self, scene: Scene) -> None:
        await scene.hire()
        await scene.defer(*(new(queue="greedy", priority=9) for _ in range(50)))
        await scene.defer(*(new(queue=queue) for queue in "abc"))
        jobs = await scene.fetch(queues=["greedy", "a", "b", "c"], limit=8)
        assert len(jobs) == 8
        assert {job.queue for job in jobs} == {"greedy", "a", "b", "c"}

    async def test_of_every_queue_only_those_with_ready_jobs_count(self, scene: Scene) -> None:
        await scene.hire()
        await scene.defer(*(new(queue=queue, delay=timedelta(days=1)) for queue in "xyz"))
        await scene.defer(*(new(queue=queue) for queue in "ab" for _ in range(10)))
        assert len(await scene.fetch(queues=None, limit=8)) == 8
        await scene.defer(*(new(queue=queue) for queue in "cd" for _ in range(10)))
        await self.no_queue_has_more_than(scene, None, 8, 4)

    @staticmethod
    async def no_queue_has_more_than(scene: Scene, queues: list[str] | None, limit: int, share: int) -> None:
        fetched = await scene.connector.fetch(1, queues, limit, now=scene.now)
        claimed = [job.queue for job in fetched.jobs]
        assert claimed
        assert max(map(claimed.count, claimed)) <= share
