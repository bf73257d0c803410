"""Pruning and the passing of time: history is forgotten by its age, and every verb believes the `now` it is given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from pq_core.outcome import Outcome
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import Scene, boom, new

DAY = timedelta(days=1)


class Pruning(Case):
    """The verb `prune`."""

    async def test_ended_jobs_older_than_that_are_forgotten(self, scene: Scene) -> None:
        old = await scene.end()
        scene.wait(hours=3)
        young = await scene.end(State.FAILED)
        assert await scene.connector.prune(timedelta(hours=2), now=scene.now) == 1
        assert await scene.jobs() == [young]
        assert await scene.retry(old.id) == {}
        assert await scene.connector.prune(timedelta(hours=2), now=scene.now) == 0

    async def test_the_age_is_exact_and_a_job_of_just_that_age_stays(self, scene: Scene) -> None:
        ended = await scene.end()
        scene.wait(days=2)
        assert await scene.connector.prune(2 * DAY, now=scene.now) == 0
        scene.wait(microseconds=1)
        assert await scene.connector.prune(2 * DAY, now=scene.now) == 1
        assert await scene.jobs() == []
        assert ended.ended

    async def test_none_forgets_none(self, scene: Scene) -> None:
        await scene.end()
        scene.wait(days=4000)
        assert await scene.connector.prune(None, now=scene.now) == 0
        assert len(await scene.jobs()) == 1

    async def test_live_jobs_are_never_forgotten(self, scene: Scene) -> None:
        await scene.run(lock="l")
        await scene.defer(new(lock="l"), new(delay=9000 * DAY), new())
        scene.wait(days=4000)
        assert await scene.connector.prune(timedelta(0), now=scene.now) == 0
        assert len(await scene.jobs()) == 4

    async def test_every_kind_of_end_and_every_day_is_pruned(self, scene: Scene) -> None:
        for state in (State.SUCCEEDED, State.FAILED, State.CANCELLED):
            await scene.end(state)
            scene.wait(days=1)
        for state in (State.SUCCEEDED, State.FAILED, State.CANCELLED):
            await scene.end(state)
            scene.wait(days=40)
        assert await scene.connector.prune(41 * DAY, now=scene.now) == 5
        assert await scene.connector.prune(timedelta(0), now=scene.now) == 1
        assert await scene.jobs() == []

    async def test_a_retried_job_is_not_pruned_with_its_old_end(self, scene: Scene) -> None:
        job = await scene.end(State.FAILED)
        scene.wait(days=10)
        await scene.retry(job.id)
        assert await scene.connector.prune(DAY, now=scene.now) == 0
        await scene.hire()
        (again,) = await scene.fetch()
        await scene.succeed(again)
        assert await scene.connector.prune(DAY, now=scene.now) == 0
        assert await scene.state(job.id) is State.SUCCEEDED

    @pytest.mark.parametrize("days", [0, 3])
    @pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
    async def test_only_jobs_that_ended_so_are_pruned(self, scene: Scene, state: State, days: int) -> None:
        for each in (State.SUCCEEDED, State.FAILED, State.CANCELLED):
            await scene.end(each)
        scene.wait(days=days, seconds=1)
        assert await scene.connector.prune(timedelta(0), states=[], now=scene.now) == 0
        assert await scene.connector.prune(timedelta(0), states=[State.READY, state], now=scene.now) == 1
        assert {job.state for job in await scene.jobs()} == {State.SUCCEEDED, State.FAILED, State.CANCELLED} - {state}
        assert await scene.connector.prune(timedelta(0), states=[state], now=scene.now) == 0
        others = {State.SUCCEEDED, State.FAILED, State.CANCELLED} - {state}
        assert await scene.connector.prune(timedelta(0), states=sorted(others), now=scene.now) == 2

    async def test_a_job_that_ends_on_a_day_that_was_pruned_is_pruned_too(self, scene: Scene) -> None:
        await scene.end(State.FAILED)
        for _ in range(2):
            await scene.end()
            assert await scene.connector.prune(timedelta(0), states=[State.SUCCEEDED], now=scene.at(days=9)) == 1

    async def test_all_states_may_be_named(self, scene: Scene) -> None:
        await scene.end()
        scene.wait(days=3)
        states = [State.CANCELLED, State.FAILED, State.SUCCEEDED]
        assert await scene.connector.prune(DAY, states=states, now=scene.now) == 1

    @pytest.mark.parametrize("states", [None, [State.SUCCEEDED]])
    async def test_in_steps_no_more_are_forgotten_than_the_limit_of_a_day_that_is_not_over(
        self, scene: Scene, states: list[State] | None
    ) -> None:
        for _ in range(5):
            await scene.end()
        scene.wait(hours=1)
        steps = [await scene.connector.prune(timedelta(0), states=states, limit=2, now=scene.now) for _ in range(4)]
        assert steps == [2, 2, 1, 0]

    async def test_in_steps_all_are_forgotten_in_the_end(self, scene: Scene) -> None:
        for day in range(4):
            for _ in range(day):
                await scene.end()
            scene.wait(days=1)
        gone = 0
        while step := await scene.connector.prune(timedelta(0), limit=2, now=scene.now):
            gone += step
        assert gone == 6
        assert await scene.jobs() == []


class TimeTravel(Case):
    """Whatever the wall clock says, the time of a verb is the `now` that it was given."""

    @pytest.mark.parametrize("year", [1990, 2000, 2031, 2400])
    async def test_a_job_may_live_and_end_at_any_time(self, scene: Scene, year: int) -> None:
        scene.now = datetime(year, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)
        job = await scene.run(lock="l")
        scene.wait(microseconds=1)
        await scene.finish(Outcome.retried(job, boom(), delay=DAY))
        scene.wait(days=1)
        await scene.hire()
        (job,) = await scene.fetch()
        scene.wait(days=300)
        await scene.succeed(job)
        ended = await scene.job(job.id)
        assert (ended.state, ended.finished_at, ended.started_at) == (
            State.SUCCEEDED,
            scene.now,
            scene.now - 300 * DAY,
        )

    async def test_jobs_of_one_call_may_end_far_apart_in_time(self, scene: Scene) -> None:
        first = await scene.run()
        scene.wait(days=365 * 20)
        second = await scene.run()
        assert await scene.succeed(first, second) == [first.id, second.id]
        scene.now = datetime(1999, 12, 31, tzinfo=UTC)
        third = await scene.run()
        assert await scene.succeed(third) == [third.id]
        assert [job.id for job in await scene.jobs()] == [first.id, second.id, third.id]

    async def test_a_now_of_another_time_zone_is_the_same_moment(self, scene: Scene) -> None:
        scene.now = scene.now.astimezone(timezone(timedelta(hours=-9, minutes=-30)))
        job = await scene.end()
        assert (job.created_at, job.started_at, job.finished_at) == (scene.now, scene.now, scene.now)

    async def test_a_schedule_of_years_is_kept_to_the_microsecond(self, scene: Scene) -> None:
        await scene.hire()
        job = await scene.add(delay=timedelta(days=3653, microseconds=1))
        scene.wait(days=3653)
        await scene.hire()
        assert await scene.fetch() == []
        scene.wait(microseconds=1)
        assert await scene.fetch_ids() == [job]

    async def test_without_now_the_clock_of_the_store_counts(self, scene: Scene) -> None:
        before = datetime.now(UTC) - timedelta(minutes=5)
        (deferred,) = await scene.connector.defer([new(delay=DAY)])
        job = await scene.job(deferred.id)
        assert before < job.created_at < before + timedelta(minutes=10)
        assert job.scheduled_at == job.created_at + DAY
