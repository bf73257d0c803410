"""Pausing: tasks, and everything. What holds for queues is in `listing`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pq_core.connector import Pause
from pq_core.errors import InvalidOption
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import START, Scene, new

HOUR = timedelta(hours=1)
EACH: tuple[dict[str, Any], ...] = ({"queue": "q"}, {"task": "t"}, {"everything": True})
"""One of each that may be paused."""
WAITS = {State.READY, State.BLOCKED}
"""Which of the two a job of a paused task is called is found out by fetch."""


class PausingTasks(Case):
    """The verbs `pause` and `resume`, for tasks."""

    async def test_a_paused_task_gives_nothing_until_it_is_resumed(self, scene: Scene) -> None:
        await scene.hire()
        job = await scene.add("t")
        await scene.connector.pause(task="t", now=scene.now)
        assert await scene.fetch() == []
        assert await scene.fetch(queues=["default"]) == []
        assert await scene.state(job) in WAITS
        await scene.connector.resume(task="t", now=scene.now)
        assert await scene.state(job) is State.READY
        assert await scene.fetch_ids() == [job]

    async def test_other_tasks_go_on_from_behind_it(self, scene: Scene) -> None:
        await scene.hire()
        await scene.connector.pause(task="t", now=scene.now)
        ids = await scene.defer(*(new("t", priority=9) for _ in range(30)), new("T"), new("u", priority=-1))
        assert await scene.fetch_ids(limit=3) == ids[-2:]
        await scene.connector.resume(task="t", now=scene.now)
        assert await scene.fetch_ids(limit=30) == ids[:30]

    async def test_many_of_a_paused_task_at_the_head_are_passed_over(self, scene: Scene) -> None:
        await scene.hire()
        await scene.connector.pause(task="t", now=scene.now)
        await scene.defer(*(new("t", priority=9) for _ in range(2500)))
        job = await scene.add("u")
        assert await scene.fetch_ids(limit=5) == [job]
        await scene.connector.resume(task="t", now=scene.now)
        assert await scene.counts() == {State.READY: 2500, State.RUNNING: 1}

    async def test_a_task_is_paused_in_every_queue(self, scene: Scene) -> None:
        await scene.hire()
        await scene.connector.pause(task="t", now=scene.now)
        *held, job = await scene.defer(new("t", queue="a"), new("t", queue="b"), new("u", queue="b"))
        assert await scene.fetch_ids(queues=["a", "b"]) == [job]
        await scene.connector.resume(task="t", now=scene.now)
        assert await scene.fetch_ids(queues=["a", "b"]) == held

    async def test_a_job_that_falls_due_or_is_given_back_waits_too(self, scene: Scene) -> None:
        running = await scene.run(1, task="t")
        await scene.hire(2)
        later = await scene.add("t", delay=HOUR)
        await scene.connector.pause(task="t", now=scene.now)
        assert await scene.leave(1) == {running.id: State.READY}
        scene.wait(hours=1)
        await scene.hire(2)
        assert await scene.fetch(2) == []
        await scene.connector.resume(task="t", now=scene.now)
        assert await scene.fetch_ids(2) == [running.id, later]

    async def test_running_jobs_of_a_paused_task_run_on_and_may_end(self, scene: Scene) -> None:
        job = await scene.run(task="t")
        await scene.connector.pause(task="t", now=scene.now)
        assert await scene.succeed(job) == [job.id]

    async def test_a_job_whose_queue_or_task_is_still_paused_waits_on(self, scene: Scene) -> None:
        await scene.hire()
        job = await scene.add("t", queue="q")
        for kind in EACH:
            await scene.connector.pause(**kind, now=scene.now)
        for kind in (EACH[1], EACH[2], EACH[0]):
            assert await scene.fetch() == []
            await scene.connector.resume(**kind, now=scene.now)
        assert await scene.fetch_ids() == [job]

    async def test_an_ordered_job_keeps_its_place_behind_its_lock(self, scene: Scene) -> None:
        await scene.hire()
        first, second = await scene.defer(new("t", lock="l"), new("u", lock="l"))
        await scene.connector.pause(task="t", now=scene.now)
        for _ in range(2):
            assert await scene.fetch() == []
            await scene.rescue()
        await scene.connector.resume(task="t", now=scene.now)
        assert await scene.fetch_ids() == [first]
        await scene.connector.finish([], now=scene.now)
        assert await scene.state(second) in WAITS

    async def test_the_next_of_its_lock_goes_on_when_it_is_gone(self, scene: Scene) -> None:
        await scene.hire()
        first, second = await scene.defer(new("t", lock="l"), new("u", lock="l"))
        await scene.connector.pause(task="t", now=scene.now)
        assert await scene.fetch() == []
        await scene.cancel(first)
        assert await scene.fetch_ids() == [second]

    @pytest.mark.parametrize("max_losses", [1, 3])
    async def test_a_mutex_job_behind_it_runs(self, scene: Scene, max_losses: int) -> None:
        head = await scene.run(lock="l", queue="other")
        held, job = await scene.defer(
            new("t", lock="l", lock_mode="mutex", max_losses=max_losses),
            new("u", lock="l", lock_mode="mutex", max_losses=max_losses),
        )
        assert await scene.fetch() == []
        await scene.connector.pause(task="t", now=scene.now)
        await scene.succeed(head)
        (running,) = await scene.fetch()
        assert running.id == job
        await scene.succeed(running)
        assert await scene.fetch() == []
        await scene.connector.resume(task="t", now=scene.now)
        assert await scene.fetch_ids() == [held]

    @pytest.mark.parametrize("max_losses", [1, 3])
    async def test_a_mutex_job_that_was_woken_before_the_pause_lets_the_next_one_run(
        self, scene: Scene, max_losses: int
    ) -> None:
        head = await scene.run(lock="l", queue="other")
        _, job, other = await scene.defer(
            new("t", lock="l", lock_mode="mutex", max_losses=max_losses),
            new("u", lock="l", lock_mode="mutex", max_losses=max_losses),
            new("u", priority=-1, max_losses=max_losses),
        )
        assert await scene.fetch_ids(1, limit=1) == ([other] if max_losses == 3 else [])
        await scene.succeed(head)
        await scene.hire(2)
        await scene.connector.pause(task="t", now=scene.now)
        assert await scene.fetch_ids(2, limit=1) == [job]

    async def test_a_paused_job_in_its_last_life_does_not_hold_up_others(self, scene: Scene) -> None:
        await scene.hire()
        await scene.connector.pause(task="t", now=scene.now)
        ids = await scene.defer(*(new("t", max_losses=1) for _ in range(20)), new("u", max_losses=1), new("u"))
        (alone,) = await scene.fetch()
        assert alone.id == ids[-2]
        await scene.succeed(alone)
        assert await scene.fetch_ids() == [ids[-1]]

    async def test_resuming_one_task_leaves_another_paused(self, scene: Scene) -> None:
        await scene.hire()
        t, _ = await scene.defer(new("t"), new("u"))
        await scene.connector.pause(task="t", now=scene.now)
        await scene.connector.pause(task="u", now=scene.now)
        assert await scene.fetch() == []
        await scene.connector.resume(task="t", now=scene.now)
        assert await scene.fetch_ids() == [t]

    async def test_a_queue_of_the_name_of_a_task_is_another_thing(self, scene: Scene) -> None:
        await scene.hire()
        job, _ = await scene.defer(new("x", queue="q"), new("t", queue="x"))
        await scene.connector.pause("x", now=scene.now)
        assert await scene.fetch_ids() == [job]


class PausingAll(Case):
    """The verbs `pause` and `resume`, for everything; and `pauses`."""

    async def test_while_everything_is_paused_nothing_is_claimed(self, scene: Scene) -> None:
        running = await scene.run()
        await scene.connector.pause(everything=True, now=scene.now)
        ids = await scene.defer(new(), new(queue="q"), new(max_losses=1), new(delay=HOUR))
        scene.wait(hours=1)
        await scene.hire()
        fetched = await scene.connector.fetch(1, None, 9, now=scene.now)
        assert (list(fetched.jobs), fetched.again, fetched.solo) == ([], False, False)
        assert await scene.fetch(queues=["q", "default"]) == []
        assert await scene.states(*ids) == [State.READY] * 4
        assert await scene.succeed(running) == [running.id]
        await scene.connector.resume(everything=True, now=scene.now)
        assert await scene.fetch_ids() == [ids[2]]

    async def test_queues_are_not_called_paused_for_that(self, scene: Scene) -> None:
        await scene.add(queue="q")
        await scene.connector.pause(everything=True, now=scene.now)
        await scene.connector.pause(task="work", now=scene.now)
        (queue,) = await scene.connector.queues(now=scene.now)
        assert (queue.name, queue.paused) == ("q", False)

    async def test_what_is_paused_is_listed_by_kind_and_name_with_its_time(self, scene: Scene) -> None:
        assert await scene.connector.pauses(now=scene.now) == []
        await scene.connector.pause(task="b", now=scene.now)
        scene.wait(seconds=1)
        others: list[dict[str, Any]] = [
            {"queue": "x"},
            {"everything": True},
            {"task": "B"},
            {"task": "ä 🐘"},
            {"task": "b"},
        ]
        for kind in others:
            await scene.connector.pause(**kind, now=scene.now)
        listed = await scene.connector.pauses(now=scene.now)
        assert listed == [
            Pause("all", "", scene.now),
            Pause("queue", "x", scene.now),
            Pause("task", "B", scene.now),
            Pause("task", "b", START),
            Pause("task", "ä 🐘", scene.now),
        ]
        await scene.connector.resume(everything=True, now=scene.now)
        await scene.connector.resume(task="b", now=scene.now)
        await scene.connector.resume("B", now=scene.now)
        assert [pause.name for pause in await scene.connector.pauses(now=scene.now)] == ["x", "B", "ä 🐘"]

    @pytest.mark.parametrize("verb", ["pause", "resume"])
    @pytest.mark.parametrize(
        "what",
        [{}, {"queue": "q", "task": "t"}, {"queue": "q", "everything": True}, {"everything": "yes"}],
    )
    async def test_one_thing_must_be_named(self, scene: Scene, verb: str, what: dict[str, Any]) -> None:
        await scene.connector.pause("q", now=scene.now)
        before = await scene.connector.pauses(now=scene.now)
        with pytest.raises(InvalidOption, match="everything"):
            await getattr(scene.connector, verb)(**what, now=scene.now)
        assert await scene.connector.pauses(now=scene.now) == before
