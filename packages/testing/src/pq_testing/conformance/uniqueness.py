"""Uniqueness: of one key there is one job at a time, in its scope, and what becomes of a second one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pq_core.connector import Deferred
from pq_core.errors import AlreadyDeferred
from pq_core.job import NewJob
from pq_core.outcome import Outcome
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import Scene, boom, new

HOUR = timedelta(hours=1)


async def defer(scene: Scene, *jobs: NewJob, connection: object = None) -> list[Deferred]:
    """Store jobs; return what became of each."""
    return await scene.connector.defer(jobs, connection=connection, now=scene.now)


async def meet(scene: Scene, key: str = "k", **fields: Any) -> Deferred:
    """Defer one more job of a key; return what became of it."""
    (deferred,) = await defer(scene, new(unique_key=key, **fields))
    return deferred


async def is_free(scene: Scene, key: str = "k", **fields: Any) -> bool:
    """Whether a key is free: a job that takes it for a moment is purged, if so."""
    deferred = await meet(scene, key, on_conflict="skip", **fields)
    if deferred.status == "new":
        assert await scene.connector.purge([deferred.id], now=scene.now) == [deferred.id]
    return deferred.status == "new"


class Uniqueness(Case):
    """Jobs with a unique key."""

    async def test_a_job_keeps_its_key_and_its_scope(self, scene: Scene) -> None:
        ids = await scene.defer(new(unique_key="größe 'k'"), new(unique_key="k", unique_scope="live"), new())
        jobs = [await scene.job(job_id) for job_id in ids]
        assert [job.unique_key for job in jobs] == ["größe 'k'", "k", None]
        assert [job.unique_scope for job in jobs] == ["waiting", "live", None]

    async def test_a_second_job_of_a_key_is_refused_and_told_who_has_it(self, scene: Scene) -> None:
        first = await scene.add("first", unique_key="k")
        with pytest.raises(AlreadyDeferred) as caught:
            await scene.add("second", unique_key="k")
        assert (caught.value.job_id, caught.value.field, caught.value.index) == (first, "unique_key", None)
        assert "'k'" in str(caught.value)
        assert [job.task for job in await scene.jobs()] == ["first"]

    async def test_another_key_is_free(self, scene: Scene) -> None:
        await scene.add(unique_key="k")
        assert await is_free(scene, "K")
        assert await is_free(scene, "k ")

    @pytest.mark.parametrize("where", [0, 2])
    async def test_a_batch_in_which_a_key_is_taken_is_refused_whole(self, scene: Scene, where: int) -> None:
        taken = await scene.add(unique_key="k", unique_period=HOUR)
        jobs = [new(args={"n": n}, unique_key=f"z {n}", unique_period=HOUR) for n in range(3)]
        jobs[where] = new(unique_key="k")
        with pytest.raises(AlreadyDeferred) as caught:
            await defer(scene, *jobs, new(), new(unique_key="k", on_conflict="replace", args={"never": 1}))
        assert (caught.value.job_id, caught.value.index) == (taken, where)
        assert [(job.id, job.args) for job in await scene.jobs()] == [(taken, {})]
        assert await is_free(scene, "z 1")

    async def test_the_first_job_of_a_batch_whose_key_is_taken_is_the_one_named(self, scene: Scene) -> None:
        b, a = await scene.defer(new(unique_key="b"), new(unique_key="a"))
        with pytest.raises(AlreadyDeferred) as caught:
            await defer(scene, new(), new(unique_key="b"), new(unique_key="a"))
        assert (caught.value.job_id, caught.value.index) == (b, 1)
        assert a != b

    async def test_of_one_key_in_a_batch_the_later_meets_the_earlier(self, scene: Scene) -> None:
        answers = await defer(
            scene,
            new(unique_key="k", args={"n": 1}),
            new(),
            new(unique_key="k", args={"n": 2}, on_conflict="skip"),
            new(unique_key="k", args={"n": 3}, on_conflict="replace"),
            new(unique_key="k", args={"n": 4}, unique_scope="live"),
        )
        assert [answer.status for answer in answers] == ["new", "new", "skipped", "replaced", "new"]
        first, plain, skipped, replaced, live = (answer.id for answer in answers)
        assert first == skipped == replaced
        assert [(job.id, job.args) for job in await scene.jobs()] == [
            (first, {"n": 3}),
            (plain, {}),
            (live, {"n": 4}),
        ]

    async def test_a_batch_that_meets_itself_is_refused_and_names_no_job_that_never_was(self, scene: Scene) -> None:
        with pytest.raises(AlreadyDeferred) as caught:
            await defer(scene, new(unique_key="k"), new(unique_key="k"))
        assert (caught.value.job_id, caught.value.index) == (0, 1)
        assert await scene.jobs() == []

    async def test_ids_keep_the_order_of_the_batch_whatever_the_keys(self, scene: Scene) -> None:
        keys = ["m", "z", None, "a", "ä", "B", None, "b"]
        answers = await defer(scene, *(new(args={"key": key}, unique_key=key) for key in keys))
        ids = [answer.id for answer in answers]
        assert ids == sorted(set(ids))
        assert [job.args["key"] for job in await scene.jobs()] == keys

    async def test_a_job_that_gives_way_is_skipped_and_the_other_stays_as_it_is(self, scene: Scene) -> None:
        first = await scene.add(unique_key="k", args={"n": 1})
        before = await scene.job(first)
        scene.wait(minutes=1)
        assert await meet(scene, args={"n": 2}, priority=9, delay=HOUR, on_conflict="skip") == Deferred(
            first, "skipped"
        )
        assert await scene.jobs() == [before]

    async def test_waiting_jobs_have_the_key_and_running_ones_have_not(self, scene: Scene) -> None:
        scheduled = await scene.add(unique_key="s", delay=HOUR)
        running = await scene.run(unique_key="r", lock="l")
        blocked = await scene.add(unique_key="b", lock="l")
        assert await scene.fetch() == []
        assert await scene.states(scheduled, running.id, blocked) == [State.SCHEDULED, State.RUNNING, State.BLOCKED]
        assert [await is_free(scene, key) for key in "srb"] == [False, True, False]

    async def test_live_jobs_have_the_key_until_they_end(self, scene: Scene) -> None:
        job = await scene.run(unique_key="k", unique_scope="live")
        assert not await is_free(scene, unique_scope="live")
        await scene.finish(Outcome.retried(job, boom(), delay=timedelta(minutes=1)))
        assert not await is_free(scene, unique_scope="live")
        scene.wait(minutes=1)
        (job,) = await scene.fetch()
        assert not await is_free(scene, unique_scope="live")
        await scene.succeed(job)
        assert await is_free(scene, unique_scope="live")

    async def test_keys_of_the_two_scopes_do_not_see_each_other(self, scene: Scene) -> None:
        await scene.add(unique_key="k", unique_period=HOUR)
        assert await is_free(scene, unique_scope="live")
        await scene.add(unique_key="k", unique_scope="live", unique_period=HOUR)
        await scene.add(unique_key="l", unique_scope="live", unique_period=HOUR)
        assert await is_free(scene, "l")

    @pytest.mark.parametrize("scope", ["waiting", "live"])
    async def test_an_ended_job_has_no_key(self, scene: Scene, scope: Any) -> None:
        for state in (State.SUCCEEDED, State.FAILED, State.CANCELLED):
            await scene.end(state, unique_key="k", unique_scope=scope)
        await scene.cancel(await scene.add(unique_key="k", unique_scope=scope, delay=HOUR))
        assert await is_free(scene, unique_scope=scope)

    async def test_a_job_that_waits_again_has_its_key_again(self, scene: Scene) -> None:
        job = await scene.run(unique_key="k")
        await scene.finish(Outcome.retried(job, boom(), delay=HOUR))
        assert await meet(scene, on_conflict="skip") == Deferred(job.id, "skipped")


class Replacing(Case):
    """What becomes of a waiting job when a new one takes its place."""

    async def test_it_does_what_the_new_one_was_to_do_and_stays_the_job_that_it_was(self, scene: Scene) -> None:
        first = await scene.add(
            "old", args={"n": 1}, queue="q", lock="l", metadata={"m": 1}, unique_key="k", max_losses=5, priority=3
        )
        before = await scene.job(first)
        scene.wait(minutes=1)
        there = scene.at(hours=2)
        fields: dict[str, Any] = {"args": {"n": 2}, "metadata": {"m": 2}, "version": 4, "priority": 7}
        newer = new(
            "new",
            queue="other",
            lock="o",
            scheduled_at=there,
            expires_in=HOUR * 9,
            unique_key="k",
            on_conflict="replace",
            **fields,
        )
        assert await defer(scene, newer) == [Deferred(first, "replaced")]
        (after,) = await scene.jobs()
        assert (after.task, after.args, after.metadata, after.version, after.priority) == ("new", *fields.values())
        assert (after.state, after.scheduled_at, after.expires_at) == (State.SCHEDULED, there, scene.at(hours=9))
        assert (after.queue, after.lock, after.max_losses, after.unique_key) == ("q", "l", 5, "k")
        assert (after.created_at, after.attempt) == (before.created_at, 0)

    async def test_its_time_is_that_of_the_new_one(self, scene: Scene) -> None:
        await scene.hire(lease=10_000)
        job = await scene.add(unique_key="k", delay=HOUR)
        assert await scene.fetch() == []
        await meet(scene, on_conflict="replace")
        assert (await scene.job(job)).scheduled_at == scene.now
        assert await scene.state(job) is State.READY
        await meet(scene, on_conflict="replace", delay=HOUR)
        assert await scene.state(job) is State.SCHEDULED
        assert await scene.fetch() == []
        scene.wait(hours=1)
        assert await scene.fetch_ids() == [job]

    async def test_a_job_between_two_runs_keeps_its_attempts_and_errors(self, scene: Scene) -> None:
        job = await scene.run(unique_key="k", args={"n": 1})
        await scene.finish(Outcome.retried(job, boom("first"), delay=HOUR))
        assert (await meet(scene, args={"n": 2}, on_conflict="replace")).status == "replaced"
        (again,) = await scene.fetch()
        assert (again.id, again.attempt, again.args) == (job.id, 2, {"n": 2})
        assert [error["message"] for error in again.errors] == ["first"]

    async def test_a_running_job_is_left_alone(self, scene: Scene) -> None:
        job = await scene.run(unique_key="k", unique_scope="live", args={"n": 1})
        assert await meet(scene, unique_scope="live", args={"n": 2}, on_conflict="replace") == Deferred(
            job.id, "skipped"
        )
        assert (await scene.job(job.id)).args == {"n": 1}

    async def test_a_blocked_job_runs_when_its_lock_is_free(self, scene: Scene) -> None:
        first = await scene.run(lock="l")
        second = await scene.add(lock="l", unique_key="k")
        assert await scene.fetch() == []
        await meet(scene, args={"n": 2}, on_conflict="replace")
        assert await scene.fetch() == []
        await scene.succeed(first)
        (job,) = await scene.fetch()
        assert (job.id, job.args) == (second, {"n": 2})

    async def test_a_job_that_steps_back_lets_the_next_of_its_lock_go_first(self, scene: Scene) -> None:
        running = await scene.run(lock="l", priority=9)
        first = await scene.add(lock="l", priority=5, unique_key="k")
        second = await scene.add(lock="l")
        assert await scene.fetch() == []
        await scene.succeed(running)
        await meet(scene, on_conflict="replace", priority=-1, delay=HOUR)
        assert await scene.fetch_ids() == [second]
        assert await scene.state(first) is State.SCHEDULED

    async def test_a_mutex_job_that_is_put_off_lets_another_of_its_lock_go(self, scene: Scene) -> None:
        running = await scene.run(lock="l", lock_mode="mutex")
        first = await scene.add(lock="l", lock_mode="mutex", unique_key="k")
        second = await scene.add(lock="l", lock_mode="mutex")
        assert await scene.fetch() == []
        await scene.succeed(running)  # The first may go now. What the second is called is up to the store.
        await meet(scene, on_conflict="replace", delay=HOUR)
        assert await scene.state(first) is State.SCHEDULED
        assert await scene.fetch_ids() == [second]


class KeptPeriods(Case):
    """Keys that are taken for a time, whatever becomes of the job."""

    @pytest.mark.parametrize("scope", ["waiting", "live"])
    async def test_a_key_is_taken_until_the_period_is_over_to_the_microsecond(self, scene: Scene, scope: Any) -> None:
        job = await scene.end(unique_key="k", unique_scope=scope, unique_period=HOUR)
        scene.now += HOUR - timedelta(microseconds=1)
        with pytest.raises(AlreadyDeferred) as caught:
            await scene.add(unique_key="k", unique_scope=scope)
        assert caught.value.job_id == job.id
        assert await meet(scene, unique_scope=scope, on_conflict="replace") == Deferred(job.id, "skipped")
        scene.now += timedelta(microseconds=1)
        assert await is_free(scene, unique_scope=scope)

    async def test_it_counts_from_when_the_key_was_taken_last(self, scene: Scene) -> None:
        for _ in range(3):
            job = await scene.add(unique_key="k", unique_period=HOUR)
            await scene.cancel(job)
            assert not await is_free(scene)
            scene.now += HOUR
        scene.now -= timedelta(microseconds=1)
        assert not await is_free(scene)

    async def test_a_job_that_waits_longer_has_its_key_longer(self, scene: Scene) -> None:
        job = await scene.add(unique_key="k", unique_period=HOUR, delay=HOUR * 3)
        scene.now += HOUR * 2
        assert await meet(scene, on_conflict="skip", unique_period=HOUR) == Deferred(job, "skipped")
        await scene.cancel(job)
        assert await is_free(scene)

    async def test_who_waits_is_replaced_and_the_period_is_not_prolonged(self, scene: Scene) -> None:
        job = await scene.add(unique_key="k", unique_period=HOUR)
        scene.wait(minutes=59)
        assert (await meet(scene, on_conflict="replace", unique_period=HOUR)).status == "replaced"
        await scene.cancel(job)
        assert not await is_free(scene)
        scene.wait(minutes=1)
        assert await is_free(scene)

    async def test_the_jobs_of_a_batch_meet_it_too(self, scene: Scene) -> None:
        job = await scene.end(unique_key="k", unique_period=HOUR)
        answers = await defer(
            scene, new(), new(unique_key="k", on_conflict="skip"), new(unique_key="k", on_conflict="replace")
        )
        assert answers[1:] == [Deferred(job.id, "skipped"), Deferred(job.id, "skipped")]
        taken, free = await defer(
            scene,
            new(unique_key="a", unique_period=HOUR),
            new(unique_key="b"),
        )
        await scene.cancel(taken.id, free.id)
        assert not await is_free(scene, "a")
        assert await is_free(scene, "b")

    async def test_a_batch_may_be_the_first_to_take_keys_for_a_time(self, scene: Scene) -> None:
        taken, free = await defer(scene, new(unique_key="a", unique_period=HOUR), new(unique_key="b"))
        await scene.cancel(taken.id, free.id)
        assert not await is_free(scene, "a")
        assert await is_free(scene, "b")


class LateStarters(Case):
    """A job that was not started in time is not in the way, even where nobody has ended it yet."""

    @pytest.mark.parametrize("on_conflict", ["raise", "skip", "replace"])
    async def test_an_expired_job_has_no_key(self, scene: Scene, on_conflict: Any) -> None:
        late = await scene.add(unique_key="k", expires_at=scene.now, lock="l")
        deferred = await meet(scene, on_conflict=on_conflict)
        assert deferred.status == "new"
        ended = await scene.job(late)
        assert (ended.state, ended.reason, ended.finished_at) == (State.CANCELLED, "expired", scene.now)

    async def test_in_a_batch_neither(self, scene: Scene) -> None:
        late, other = await scene.defer(new(unique_key="k", expires_at=scene.now), new(unique_key="o"))
        with pytest.raises(AlreadyDeferred):
            await defer(scene, new(unique_key="k"), new(unique_key="o"))
        assert await scene.states(late, other) == [State.READY, State.READY]
        answers = await defer(scene, new(unique_key="k"), new(unique_key="o", on_conflict="skip"))
        assert [answer.status for answer in answers] == ["new", "skipped"]
        assert await scene.state(late) is State.CANCELLED

    async def test_who_is_refused_for_the_period_of_the_key_does_not_end_it(self, scene: Scene) -> None:
        late = await scene.add(unique_key="k", unique_period=HOUR, expires_at=scene.now)
        with pytest.raises(AlreadyDeferred):
            await meet(scene, on_conflict="raise")
        assert await scene.state(late) is State.READY
        assert await meet(scene, on_conflict="skip") == Deferred(late, "skipped")
        assert await scene.state(late) is State.CANCELLED

    async def test_a_job_that_has_run_before_does_not_expire(self, scene: Scene) -> None:
        job = await scene.run(unique_key="k", expires_at=scene.at(minutes=1))
        await scene.finish(Outcome.retried(job, boom(), delay=HOUR))
        scene.wait(minutes=2)
        assert await meet(scene, on_conflict="skip") == Deferred(job.id, "skipped")


class RevivingTwins(Case):
    """Retrying ended jobs whose key may be taken."""

    async def test_a_job_whose_key_is_taken_stays_as_it_is_and_is_not_in_the_answer(self, scene: Scene) -> None:
        """drift_04: beside a waiting twin."""
        ended, plain = await scene.end(unique_key="k"), await scene.end()
        await scene.add(unique_key="k")
        assert await scene.retry(ended.id, plain.id) == {plain.id: State.READY}
        assert await scene.job(ended.id) == ended

    @pytest.mark.parametrize("scope", ["waiting", "live"])
    async def test_of_two_ended_twins_the_older_comes_back(self, scene: Scene, scope: Any) -> None:
        a, b = await scene.end(unique_key="k", unique_scope=scope), await scene.end(unique_key="k", unique_scope=scope)
        assert await scene.retry(b.id, a.id) == {a.id: State.READY}
        assert await scene.states(a.id, b.id) == [State.READY, State.SUCCEEDED]

    async def test_a_job_that_comes_back_has_its_key_again_though_a_period_runs(self, scene: Scene) -> None:
        ended = await scene.end(unique_key="k", unique_period=HOUR)
        assert await scene.retry(ended.id) == {ended.id: State.READY}
        scene.now += HOUR
        assert await meet(scene, on_conflict="skip") == Deferred(ended.id, "skipped")

    async def test_a_running_twin_is_in_the_way_only_where_the_scope_is_live(self, scene: Scene) -> None:
        waiting, live = await scene.end(unique_key="k"), await scene.end(unique_key="k", unique_scope="live")
        await scene.run(unique_key="k")
        await scene.run(unique_key="k", unique_scope="live")
        assert await scene.retry(waiting.id, live.id) == {waiting.id: State.READY}
