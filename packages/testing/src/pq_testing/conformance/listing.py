"""Listing: find, count, and the queues with their pauses."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pq_core.connector import JobFilter, QueueInfo
from pq_core.states import ENDED, LIVE, State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import EVERYTHING, Scene, new
from pq_testing.conformance.steering import NOBODY

HOUR = timedelta(hours=1)


class Finding(Case):
    """The verbs `find` and `count`."""

    async def test_live_and_ended_jobs_are_found_alike_in_order_of_id(self, scene: Scene) -> None:
        first = await scene.add(delay=HOUR)
        second = (await scene.end(State.FAILED)).id
        third = (await scene.run()).id
        fourth = (await scene.end()).id
        fifth = await scene.add()
        assert [job.id for job in await scene.jobs()] == [first, second, third, fourth, fifth]

    async def test_pages_follow_each_other_by_the_last_id(self, scene: Scene) -> None:
        ids = await scene.defer(*(new() for _ in range(7)))
        await scene.cancel(ids[1], ids[4])
        found: list[list[int]] = []
        for _ in range(4):
            after = found[-1][-1] if found else 0
            found.append(
                [job.id for job in await scene.connector.find(EVERYTHING, limit=3, after=after, now=scene.now)]
            )
        assert found == [ids[:3], ids[3:6], ids[6:], []]

    async def test_a_page_has_a_hundred_jobs_unless_asked_otherwise(self, scene: Scene) -> None:
        await scene.defer(*(new() for _ in range(130)))
        assert len(await scene.connector.find(EVERYTHING, now=scene.now)) == 100
        assert len(await scene.connector.find(EVERYTHING, limit=120, now=scene.now)) == 120

    async def test_a_page_may_be_empty_but_not_less(self, scene: Scene) -> None:
        await scene.add()
        assert await scene.connector.find(EVERYTHING, limit=0, now=scene.now) == []
        with pytest.raises(ValueError, match="-1"):
            await scene.connector.find(EVERYTHING, limit=-1, now=scene.now)

    async def test_a_page_is_of_those_that_fit(self, scene: Scene) -> None:
        ids = await scene.defer(*(new("even" if n % 2 == 0 else "odd") for n in range(20)))
        page = await scene.connector.find(JobFilter(task="odd"), limit=4, after=ids[4], now=scene.now)
        assert [job.id for job in page] == ids[5:12:2]

    async def test_every_field_of_a_filter_must_fit(self, scene: Scene) -> None:
        a = await scene.add("t1", queue="q1", lock="l1")
        b = await scene.add("t2", queue="q1", lock="l2")
        c = await scene.add("t1", queue="q2", lock="l1")
        d = await scene.add("t1", queue="q1")
        await scene.cancel(c)
        cases: list[tuple[dict[str, Any], list[int]]] = [
            ({}, [a, b, c, d]),
            ({"ids": [c, a, a]}, [a, c]),
            ({"ids": []}, []),
            ({"ids": [*NOBODY, b]}, [b]),
            ({"queue": "q1"}, [a, b, d]),
            ({"queue": "q"}, []),
            ({"task": "t1"}, [a, c, d]),
            ({"task": "T1"}, []),
            ({"lock": "l1"}, [a, c]),
            ({"states": [State.READY]}, [a, b, d]),
            ({"states": [State.CANCELLED, State.READY]}, [a, b, c, d]),
            ({"states": []}, []),
            ({"states": sorted(ENDED)}, [c]),
            ({"queue": "q1", "task": "t1"}, [a, d]),
            ({"queue": "q1", "task": "t1", "lock": "l1"}, [a]),
            ({"ids": [a, b, c], "task": "t1", "states": sorted(LIVE)}, [a]),
        ]
        for fields, wanted in cases:
            which = JobFilter(**fields)
            assert [job.id for job in await scene.connector.find(which, now=scene.now)] == wanted, fields
            assert sum((await scene.connector.count(which, now=scene.now)).values()) == len(wanted), fields

    async def test_locks_of_jobs_without_one_are_not_found(self, scene: Scene) -> None:
        """drift_30: locks are listed by their jobs; jobs without a lock are no trouble."""
        await scene.add()
        job = await scene.add(lock="None")
        assert [found.id for found in await scene.connector.find(JobFilter(lock="None"), now=scene.now)] == [job]
        assert await scene.connector.find(JobFilter(lock="null"), now=scene.now) == []

    async def test_an_unknown_id_is_found_nowhere(self, scene: Scene) -> None:
        """drift_14."""
        await scene.add()
        assert await scene.connector.find(JobFilter(ids=NOBODY), now=scene.now) == []

    async def test_nothing_is_after_the_last(self, scene: Scene) -> None:
        job = await scene.add()
        for after in (job, job + 1, 2**63 - 1, 2**70):
            assert await scene.connector.find(EVERYTHING, after=after, now=scene.now) == []
        assert len(await scene.connector.find(EVERYTHING, after=-(2**70), now=scene.now)) == 1

    async def test_every_state_is_counted_if_only_with_zero(self, scene: Scene) -> None:
        assert await scene.connector.count(EVERYTHING, now=scene.now) == dict.fromkeys(State, 0)

    async def test_each_state_has_its_count(self, scene: Scene) -> None:
        for state in (State.SUCCEEDED, State.FAILED, State.FAILED, State.CANCELLED):
            await scene.end(state)
        await scene.run(lock="l")
        await scene.defer(new(lock="l"), new(lock="l"), new(lock="l"), new(delay=HOUR), new(delay=HOUR))
        assert await scene.fetch() == []
        await scene.add()
        assert await scene.connector.count(EVERYTHING, now=scene.now) == {
            State.SCHEDULED: 2,
            State.READY: 1,
            State.BLOCKED: 3,
            State.RUNNING: 1,
            State.SUCCEEDED: 1,
            State.FAILED: 2,
            State.CANCELLED: 1,
        }
        failed = await scene.connector.count(JobFilter(states=[State.FAILED]), now=scene.now)
        assert failed == dict.fromkeys(State, 0) | {State.FAILED: 2}


class Pausing(Case):
    """The verbs `pause`, `resume` and `queues`."""

    async def test_a_paused_queue_gives_nothing_until_it_is_resumed(self, scene: Scene) -> None:
        await scene.hire()
        job = await scene.add(queue="q")
        await scene.connector.pause("q", now=scene.now)
        assert await scene.fetch() == []
        assert await scene.fetch(queues=["q", "default"]) == []
        assert await scene.state(job) is State.READY
        await scene.connector.resume("q", now=scene.now)
        assert await scene.fetch_ids(queues=["q"]) == [job]

    async def test_other_queues_go_on(self, scene: Scene) -> None:
        await scene.hire()
        await scene.connector.pause("q", now=scene.now)
        _, job = await scene.defer(new(queue="q", priority=9), new(queue="Q"))
        assert await scene.fetch_ids() == [job]

    async def test_running_jobs_run_on_and_may_end(self, scene: Scene) -> None:
        job = await scene.run(queue="q")
        await scene.connector.pause("q", now=scene.now)
        assert await scene.state(job.id) is State.RUNNING
        assert await scene.succeed(job) == [job.id]

    async def test_a_paused_queue_takes_jobs_and_they_fall_due(self, scene: Scene) -> None:
        await scene.hire()
        await scene.connector.pause("q", now=scene.now)
        job = await scene.add(queue="q", delay=timedelta(seconds=1))
        scene.wait(seconds=1)
        assert await scene.fetch() == []
        assert await scene.state(job) is State.READY

    async def test_pausing_twice_and_resuming_what_is_not_paused_are_no_errors(self, scene: Scene) -> None:
        await scene.connector.resume("q", now=scene.now)
        assert await scene.queue("q") is None
        await scene.connector.pause("q", now=scene.now)
        await scene.connector.pause("q", now=scene.now)
        await scene.connector.resume("q", now=scene.now)
        assert await scene.queue("q") is None

    async def test_a_queue_is_listed_while_it_has_live_jobs_or_is_paused(self, scene: Scene) -> None:
        assert await scene.connector.queues(now=scene.now) == []
        await scene.end(queue="ended")
        await scene.add(queue="waiting", delay=HOUR)
        await scene.run(queue="running")
        await scene.connector.pause("paused", now=scene.now)
        listed = await scene.connector.queues(now=scene.now)
        assert [(queue.name, queue.paused) for queue in listed] == [
            ("paused", True),
            ("running", False),
            ("waiting", False),
        ]

    async def test_live_jobs_are_counted_by_queue_and_state(self, scene: Scene) -> None:
        await scene.end(queue="a")
        await scene.run(queue="a", lock="l")
        await scene.defer(new(queue="a", lock="l"), new(queue="b"), new(queue="b", delay=HOUR), new(queue="b"))
        assert await scene.fetch(queues=["a"]) == []
        await scene.connector.pause("b", now=scene.now)
        a, b = await scene.connector.queues(now=scene.now)
        assert live(a) == {State.RUNNING: 1, State.BLOCKED: 1}
        assert live(b) == {State.READY: 2, State.SCHEDULED: 1}
        assert (a.paused, b.paused) == (False, True)

    async def test_a_paused_queue_without_jobs_counts_none(self, scene: Scene) -> None:
        await scene.connector.pause("q", now=scene.now)
        info = await scene.queue("q")
        assert info is not None
        assert live(info) == {}

    async def test_queues_are_sorted_by_code_points(self, scene: Scene) -> None:
        names = ["a", "B", "b", "ä", "Z", "z", "_", "1", "10", "2", "🐘", "\uffee", "a b", "ab", "a-b"]
        await scene.defer(*(new(queue=name) for name in names))
        assert [queue.name for queue in await scene.connector.queues(now=scene.now)] == sorted(names)

    @pytest.mark.parametrize("name", ["x" * 200, "'; --", "日本語 🐘"])
    async def test_a_queue_of_any_name_may_be_paused(self, scene: Scene, name: str) -> None:
        await scene.connector.pause(name, now=scene.now)
        info = await scene.queue(name)
        assert info is not None
        assert info.paused
        await scene.connector.resume(name, now=scene.now)
        assert await scene.queue(name) is None


def live(queue: QueueInfo) -> dict[State, int]:
    """Return its counts without the states that no job is in."""
    return {state: n for state, n in queue.counts.items() if n}
