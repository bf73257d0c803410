"""Deferring: what is stored, in which order, and what is refused whole."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pq_core.connector import Connector
from pq_core.errors import InvalidArguments, InvalidJob, WrongConnection
from pq_core.job import MAX_LOCK, MAX_NAME, MAX_PRIORITY, MIN_PRIORITY
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import START, Scene, new

NAMES = [
    "a b\tc\nd",
    "select 1; --'\"\\%$1{}",
    "Größe/日本語/🐘/é vs é",
    "x" * 200,
    "🐘" * MAX_NAME,
]


class Deferring(Case):
    """The verb `defer`."""

    async def test_ids_grow_in_the_order_of_deferring(self, scene: Scene) -> None:
        first = await scene.defer(new("a"), new("b"), new("c"))
        second = await scene.defer(new("d"))
        ids = [*first, *second]
        assert ids == sorted(set(ids))
        assert [(job.id, job.task) for job in await scene.jobs()] == list(zip(ids, "abcd", strict=True))

    async def test_an_empty_batch_stores_nothing(self, scene: Scene) -> None:
        assert await scene.defer() == []
        assert await scene.jobs() == []

    async def test_two_equal_jobs_are_two_jobs(self, scene: Scene) -> None:
        job = new("twin", args={"x": 1})
        first, second = await scene.defer(job, job)
        assert first != second
        assert len(await scene.jobs()) == 2

    async def test_a_batch_of_a_thousand_keeps_its_order(self, scene: Scene) -> None:
        ids = await scene.defer(*(new(args={"n": n}) for n in range(1000)))
        assert ids == sorted(set(ids))
        assert [job.args["n"] for job in await scene.jobs()] == list(range(1000))

    async def test_a_new_job_is_as_it_was_asked_for_and_nothing_has_happened_to_it(self, scene: Scene) -> None:
        job = await scene.job(
            await scene.add(
                "mail.send",
                args={"to": "you", "n": [1, 2]},
                queue="mails",
                priority=-7,
                lock="you",
                lock_mode="mutex",
                max_losses=5,
                metadata={"trace": "abc"},
            )
        )
        assert (job.task, job.args, job.queue, job.priority) == ("mail.send", {"to": "you", "n": [1, 2]}, "mails", -7)
        assert (job.lock, job.lock_mode, job.max_losses, job.metadata) == ("you", "mutex", 5, {"trace": "abc"})
        assert (job.state, job.attempt, job.claim, job.losses) == (State.READY, 0, 0, 0)
        assert (job.created_at, job.scheduled_at) == (scene.now, scene.now)
        assert (job.started_at, job.finished_at, job.worker, job.cancel_requested_at) == (None, None, None, None)
        assert (job.errors, job.result, job.reason) == ([], None, None)

    async def test_what_is_not_asked_for_has_its_default(self, scene: Scene) -> None:
        job = await scene.job(await scene.add("t"))
        assert (job.args, job.metadata, job.queue, job.priority) == ({}, {}, "default", 0)
        assert (job.lock, job.lock_mode, job.max_losses) == (None, "ordered", 3)

    @pytest.mark.parametrize(
        "due, state",
        [
            ({"scheduled_at": START + timedelta(microseconds=1)}, State.SCHEDULED),
            ({"scheduled_at": START}, State.READY),
            ({"scheduled_at": START - timedelta(days=400)}, State.READY),
            ({"delay": timedelta(microseconds=1)}, State.SCHEDULED),
            ({"delay": timedelta(days=36_500)}, State.SCHEDULED),
            ({"delay": timedelta(0)}, State.READY),
        ],
    )
    async def test_a_job_is_scheduled_only_if_it_is_due_later_than_now(
        self, scene: Scene, due: dict[str, Any], state: State
    ) -> None:
        job = await scene.job(await scene.add(**due))
        assert job.state is state
        assert job.scheduled_at == due.get("scheduled_at", START + due.get("delay", timedelta(0)))

    async def test_a_moment_of_another_time_zone_is_the_same_moment(self, scene: Scene) -> None:
        there = timezone(timedelta(hours=5, minutes=45))
        moment = datetime(2031, 5, 7, 1, 2, 3, 456_789, tzinfo=there)
        job = await scene.job(await scene.add(scheduled_at=moment))
        assert job.scheduled_at == moment
        assert job.scheduled_at.utcoffset() is not None

    @pytest.mark.parametrize("name", NAMES)
    async def test_a_name_may_be_any_text(self, scene: Scene, name: str) -> None:
        """drift_27: a queue of 200 characters works everywhere."""
        await scene.hire()
        wanted = await scene.add(name, queue=name, lock=name)
        await scene.add(queue="other")
        (job,) = await scene.fetch(queues=[name])
        assert (job.id, job.task, job.queue, job.lock) == (wanted, name, name, name)
        info = await scene.queue(name)
        assert info is not None
        assert info.counts[State.RUNNING] == 1

    async def test_a_lock_may_have_two_thousand_characters(self, scene: Scene) -> None:
        lock = "🔒" * MAX_LOCK
        job = await scene.run(lock=lock)
        assert job.lock == lock
        assert await scene.add(lock=lock) not in await scene.fetch_ids()

    @pytest.mark.parametrize("priority", [MIN_PRIORITY, -1, 0, 1, MAX_PRIORITY])
    async def test_a_priority_comes_back(self, scene: Scene, priority: int) -> None:
        assert (await scene.job(await scene.add(priority=priority))).priority == priority

    @pytest.mark.parametrize("priority", [2**40, MAX_PRIORITY + 1, MIN_PRIORITY - 1, 1.0, True])
    async def test_a_priority_out_of_range_is_refused_before_it_reaches_the_store(self, priority: Any) -> None:
        """drift_28: no connector sees it."""
        with pytest.raises(InvalidJob) as caught:
            new(priority=priority)
        assert caught.value.field == "priority"

    @pytest.mark.parametrize("batch", [1, 3])
    async def test_a_batch_with_one_bad_job_is_refused_whole_and_its_place_named(
        self, scene: Scene, batch: int
    ) -> None:
        good = [new(args={"n": n}) for n in range(batch - 1)]
        with pytest.raises(InvalidArguments) as caught:
            await scene.defer(*good, new(args={"x": object()}))
        assert caught.value.index == (None if batch == 1 else 2)
        assert caught.value.field == "args"
        assert await scene.jobs() == []

    async def test_the_first_bad_job_of_a_batch_is_the_one_named(self, scene: Scene) -> None:
        bad = new(args={"x": float("nan")})
        with pytest.raises(InvalidArguments) as caught:
            await scene.defer(new(), bad, new(), bad)
        assert caught.value.index == 1

    async def test_metadata_that_cannot_be_stored_is_refused_by_name(self, scene: Scene) -> None:
        with pytest.raises(InvalidJob) as caught:
            await scene.defer(new(), new(metadata={"when": START}))
        assert (caught.value.field, caught.value.index) == ("metadata", 1)
        assert await scene.jobs() == []

    async def test_a_refused_batch_leaves_the_store_in_order(self, scene: Scene) -> None:
        first = await scene.add("first")
        with pytest.raises(InvalidArguments):
            await scene.defer(new("never"), new(args={"x": b""}))
        second = await scene.add("second")
        assert [job.id for job in await scene.jobs()] == [first, second]

    @pytest.mark.parametrize("stranger", [object(), "postgresql://", 7])
    async def test_a_connection_of_another_kind_is_refused(self, connector: Connector, stranger: object) -> None:
        with pytest.raises(WrongConnection):
            await connector.defer([new()], connection=stranger, now=START)
        assert await Scene(connector).jobs() == []
