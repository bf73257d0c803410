"""Steering by hand: cancel, retry and reschedule."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from pq_core.connector import JobChanges
from pq_core.errors import InvalidJob
from pq_core.outcome import Outcome
from pq_core.states import ENDED, State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import START, Scene, boom, new

HOUR = timedelta(hours=1)
NOBODY = (0, -1, 2**63 - 1, 2**63, 2**70, -(2**70))
"""Ids that no job has."""
EACH_ENDED = [pytest.param(state, id=state) for state in sorted(ENDED)]


class Cancelling(Case):
    """The verb `cancel`."""

    async def test_a_waiting_job_ends_as_cancelled_at_once(self, scene: Scene) -> None:
        """drift_16, drift_17: a waiting job just ends, and the row says when and why."""
        await scene.run(lock="l")
        blocked = await scene.add(lock="l")
        assert await scene.fetch() == []
        ready, scheduled = await scene.defer(new(), new(delay=HOUR))
        scene.wait(seconds=3)
        answer = await scene.cancel(scheduled, blocked, ready, reason="enough")
        assert list(answer.items()) == [(job, State.CANCELLED) for job in (blocked, ready, scheduled)]
        for job in (ready, blocked, scheduled):
            ended = await scene.job(job)
            assert (ended.state, ended.reason, ended.finished_at) == (State.CANCELLED, "enough", scene.now)
            assert (ended.attempt, ended.claim, ended.worker, ended.started_at) == (0, 0, None, None)
        assert await scene.fetch() == []

    async def test_without_a_reason_there_is_one(self, scene: Scene) -> None:
        job = await scene.add()
        await scene.cancel(job)
        assert (await scene.job(job)).reason == "cancelled by request"

    async def test_a_running_job_is_asked_to_stop(self, scene: Scene) -> None:
        job = await scene.run()
        scene.wait(seconds=3)
        assert await scene.cancel(job.id, reason="enough") == {job.id: State.RUNNING}
        asked = await scene.job(job.id)
        assert (asked.state, asked.cancel_requested_at, asked.reason) == (State.RUNNING, scene.now, "enough")
        assert (asked.claim, asked.worker, asked.finished_at) == (job.claim, job.worker, None)

    async def test_the_first_request_counts_and_a_second_is_answered(self, scene: Scene) -> None:
        job = await scene.run()
        await scene.cancel(job.id, reason="first")
        before = await scene.job(job.id)
        scene.wait(seconds=3)
        assert await scene.cancel(job.id, reason="second") == {job.id: State.RUNNING}
        assert await scene.job(job.id) == before

    @pytest.mark.parametrize("kind", ["retried", "snoozed", "released"])
    async def test_a_job_asked_to_stop_that_would_go_on_ends_as_cancelled(self, scene: Scene, kind: str) -> None:
        """drift_08."""
        job = await scene.run()
        await scene.cancel(job.id, reason="enough")
        scene.wait(seconds=3)
        outcome = {
            "retried": Outcome.retried(job, boom(), delay=HOUR),
            "snoozed": Outcome.snoozed(job, HOUR),
            "released": Outcome.released(job),
        }[kind]
        assert await scene.finish(outcome) == [job.id]
        ended = await scene.job(job.id)
        assert (ended.state, ended.reason, ended.finished_at) == (State.CANCELLED, "enough", scene.now)
        assert (ended.attempt, ended.claim, ended.worker) == (1, 1, job.worker)
        assert [error["message"] for error in ended.errors] == (["boom"] if kind == "retried" else [])

    @pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
    async def test_a_job_asked_to_stop_that_ends_by_itself_ends_as_it_says(self, scene: Scene, state: State) -> None:
        job = await scene.run()
        await scene.cancel(job.id)
        outcome = {
            State.SUCCEEDED: Outcome.succeeded(job, 1),
            State.FAILED: Outcome.failed(job, boom()),
            State.CANCELLED: Outcome.cancelled(job, "stopped"),
        }[state]
        assert await scene.finish(outcome) == [job.id]
        assert await scene.state(job.id) is state

    @pytest.mark.parametrize("state", EACH_ENDED)
    async def test_an_ended_job_is_left_alone(self, scene: Scene, state: State) -> None:
        """drift_15."""
        ended = await scene.end(state)
        scene.wait(seconds=3)
        assert await scene.cancel(ended.id, reason="late") == {}
        assert await scene.job(ended.id) == ended

    async def test_unknown_doubled_or_no_ids_may_be_cancelled(self, scene: Scene) -> None:
        """drift_13."""
        job = await scene.add()
        assert await scene.cancel() == {}
        answer = await scene.connector.cancel([*NOBODY, job, job], now=scene.now)
        assert [(found.id, found.state) for found in answer] == [(job, State.CANCELLED)]

    async def test_many_are_cancelled_in_one_call_and_answered_sorted(self, scene: Scene) -> None:
        ids = await scene.defer(*(new(lock=f"lock {n % 7}") for n in range(300)))
        assert list(await scene.cancel(*reversed(ids))) == ids
        assert await scene.counts() == {State.CANCELLED: 300}

    async def test_a_cancelled_job_is_gone_from_its_queue(self, scene: Scene) -> None:
        await scene.cancel(await scene.add(queue="q"))
        assert await scene.queue("q") is None

    async def test_a_reason_of_any_text_is_stored(self, scene: Scene) -> None:
        a, b = await scene.add(), (await scene.run(queue="q")).id
        await scene.cancel(a, b, reason="nul \x00 and half \ud83d 🐘 '")
        for job in (a, b):
            assert (await scene.job(job)).reason == "nul  and half ? 🐘 '"


class Reviving(Case):
    """The verb `retry`: ended jobs made live again."""

    @pytest.mark.parametrize("state", EACH_ENDED)
    async def test_an_ended_job_is_ready_and_as_new_but_for_its_claim_and_errors(
        self, scene: Scene, state: State
    ) -> None:
        """drift_06: an ended job of any kind may be retried. drift_07: the row is the same for all of them."""
        ended = await scene.end(state, args={"x": 1}, lock="l", priority=2, queue="q", metadata={"m": 1})
        scene.wait(seconds=3)
        assert await scene.retry(ended.id) == {ended.id: State.READY}
        job = await scene.job(ended.id)
        assert (job.state, job.attempt, job.claim, job.losses) == (State.READY, 0, 1, 0)
        assert (job.scheduled_at, job.created_at) == (scene.now, ended.created_at)
        assert (job.result, job.reason, job.worker, job.started_at) == (None, None, None, None)
        assert (job.finished_at, job.cancel_requested_at, job.errors) == (None, None, ended.errors)
        assert (job.args, job.lock, job.priority, job.queue) == ({"x": 1}, "l", 2, "q")
        assert (job.metadata, job.max_losses, job.lock_mode, job.task) == ({"m": 1}, 3, "ordered", "work")
        (again,) = await scene.fetch()
        assert (again.id, again.attempt, again.claim) == (job.id, 1, 2)

    async def test_a_job_cancelled_while_it_ran_forgets_the_request(self, scene: Scene) -> None:
        job = await scene.run()
        await scene.cancel(job.id)
        await scene.finish(Outcome.released(job))
        await scene.retry(job.id)
        (again,) = await scene.fetch()
        assert (again.cancel_requested_at, again.reason) == (None, None)
        assert await scene.hire() == []
        await scene.finish(Outcome.retried(again, boom()))
        assert await scene.state(job.id) is State.READY

    async def test_a_job_that_lost_its_workers_has_all_lives_again(self, scene: Scene) -> None:
        job = await scene.run(1, max_losses=1)
        await scene.lose(1)
        await scene.retry(job.id)
        back = await scene.job(job.id)
        assert (back.losses, [error["type"] for error in back.errors]) == (0, ["WorkerLost"])

    async def test_live_jobs_are_left_alone(self, scene: Scene) -> None:
        """drift_05."""
        running = await scene.run(lock="l")
        await scene.add(lock="l")
        await scene.defer(new(delay=HOUR))
        await scene.fetch()
        await scene.add()
        before = await scene.jobs()
        scene.wait(seconds=3)
        assert await scene.retry(*(job.id for job in before)) == {}
        assert await scene.jobs() == before
        assert await scene.succeed(running) == [running.id]

    async def test_unknown_doubled_or_no_ids_may_be_retried(self, scene: Scene) -> None:
        ended = await scene.end()
        assert await scene.retry() == {}
        answer = await scene.connector.retry([*NOBODY, ended.id, ended.id], now=scene.now)
        assert [(found.id, found.state) for found in answer] == [(ended.id, State.READY)]
        assert len(await scene.jobs()) == 1

    async def test_many_are_retried_in_one_call_and_answered_sorted(self, scene: Scene) -> None:
        ids = await scene.defer(*(new(lock=f"lock {n % 7}") for n in range(300)))
        await scene.cancel(*ids)
        assert list(await scene.retry(*reversed(ids))) == ids
        assert await scene.counts() == {State.READY: 300}

    async def test_a_job_may_end_and_be_retried_over_and_over(self, scene: Scene) -> None:
        job = await scene.run()
        for claim in (2, 3, 4):
            await scene.finish(Outcome.failed(job, boom()))
            scene.wait(days=1)
            await scene.retry(job.id)
            await scene.hire()
            (job,) = await scene.fetch()
            assert (job.attempt, job.claim, len(job.errors)) == (1, claim, claim - 1)


class Rescheduling(Case):
    """The verb `reschedule`: waiting jobs changed."""

    @pytest.mark.parametrize(
        "changes, due, state",
        [
            (JobChanges(delay=HOUR), HOUR, State.SCHEDULED),
            (JobChanges(delay=timedelta(0)), timedelta(0), State.READY),
            (JobChanges(scheduled_at=START + HOUR), HOUR, State.SCHEDULED),
            (JobChanges(scheduled_at=START), timedelta(0), State.READY),
            (JobChanges(scheduled_at=START - HOUR), -HOUR, State.READY),
        ],
    )
    @pytest.mark.parametrize("delay", [timedelta(0), timedelta(days=3)])
    async def test_a_time_decides_between_scheduled_and_ready(
        self, scene: Scene, delay: timedelta, changes: JobChanges, due: timedelta, state: State
    ) -> None:
        job = await scene.add(delay=delay)
        assert await self.change(scene, changes, job) == {job: state}
        found = await scene.job(job)
        assert (found.state, found.scheduled_at) == (state, START + due)

    async def test_a_blocked_job_may_be_scheduled(self, scene: Scene) -> None:
        job = await self.blocked(scene)
        assert await self.change(scene, JobChanges(delay=HOUR), job) == {job: State.SCHEDULED}

    async def test_without_a_time_a_blocked_job_is_ready_until_fetch_finds_out_anew(self, scene: Scene) -> None:
        job = await self.blocked(scene)
        assert await self.change(scene, JobChanges(queue="other"), job) == {job: State.READY}
        assert await scene.fetch() == []
        assert await scene.state(job) is State.BLOCKED

    async def test_without_a_time_any_other_keeps_its_state_and_time(self, scene: Scene) -> None:
        ready, scheduled = await scene.defer(new(), new(delay=HOUR))
        scene.wait(seconds=3)
        answer = await self.change(scene, JobChanges(priority=5), scheduled, ready)
        assert list(answer.items()) == [(ready, State.READY), (scheduled, State.SCHEDULED)]
        assert (await scene.job(ready)).scheduled_at == START
        assert (await scene.job(scheduled)).scheduled_at == START + HOUR

    async def test_a_due_job_that_no_fetch_has_seen_stays_scheduled_without_a_time(self, scene: Scene) -> None:
        job = await scene.add(delay=HOUR)
        scene.wait(hours=2)
        assert await self.change(scene, JobChanges(priority=5), job) == {job: State.SCHEDULED}

    async def test_queue_priority_and_lock_are_changed_and_nothing_else(self, scene: Scene) -> None:
        wanted = await scene.add(args={"x": 1}, lock="old", lock_mode="mutex", metadata={"m": 1})
        before = await scene.job(wanted)
        await self.change(scene, JobChanges(queue="slow", priority=-9, lock="new"), wanted)
        job = await scene.job(wanted)
        assert (job.queue, job.priority, job.lock) == ("slow", -9, "new")
        assert (job.args, job.metadata, job.lock_mode) == ({"x": 1}, {"m": 1}, "mutex")
        assert (job.scheduled_at, job.created_at, job.attempt) == (before.scheduled_at, before.created_at, 0)
        assert await scene.queue("default") is None

    async def test_a_priority_of_zero_and_no_lock_are_changes(self, scene: Scene) -> None:
        job = await scene.add(priority=5, lock="l")
        await self.change(scene, JobChanges(priority=0, lock=None), job)
        assert ((await scene.job(job)).priority, (await scene.job(job)).lock) == (0, None)

    async def test_no_change_at_all_is_answered(self, scene: Scene) -> None:
        job = await scene.add(lock="l", priority=2)
        before = await scene.job(job)
        assert await self.change(scene, JobChanges(), job) == {job: State.READY}
        assert await scene.job(job) == before

    async def test_the_order_follows_the_new_priority(self, scene: Scene) -> None:
        await scene.hire()
        first, second = await scene.defer(new(), new())
        await self.change(scene, JobChanges(priority=1), second)
        assert await scene.fetch_ids() == [second, first]

    async def test_running_and_ended_jobs_are_left_alone(self, scene: Scene) -> None:
        await scene.end(State.FAILED)
        running = await scene.run()
        before = await scene.jobs()
        changes = JobChanges(queue="other", priority=9, lock="l", delay=timedelta(0))
        assert await self.change(scene, changes, *(job.id for job in before)) == {}
        assert await scene.jobs() == before
        assert await scene.succeed(running) == [running.id]

    async def test_unknown_doubled_or_no_ids_may_be_rescheduled(self, scene: Scene) -> None:
        job = await scene.add()
        assert await self.change(scene, JobChanges(priority=1)) == {}
        answer = await scene.connector.reschedule([*NOBODY, job, job], JobChanges(priority=1), now=scene.now)
        assert [(found.id, found.state) for found in answer] == [(job, State.READY)]

    @pytest.mark.parametrize(
        "changes, field",
        [
            ({"scheduled_at": START, "delay": HOUR}, None),
            ({"scheduled_at": datetime(2031, 1, 1)}, "scheduled_at"),  # noqa: DTZ001 - naive is the case
            ({"scheduled_at": "tomorrow"}, "scheduled_at"),
            ({"delay": timedelta(seconds=-1)}, "delay"),
            ({"delay": timedelta.max}, "delay"),
            ({"queue": ""}, "queue"),
            ({"queue": "nul\x00"}, "queue"),
            ({"queue": "x" * 501}, "queue"),
            ({"queue": "\ud83d"}, "queue"),
            ({"priority": 32_768}, "priority"),
            ({"priority": 1.5}, "priority"),
            ({"lock": ""}, "lock"),
            ({"lock": "x" * 2001}, "lock"),
        ],
    )
    async def test_a_change_that_no_job_may_have_is_refused(
        self, scene: Scene, changes: dict[str, Any], field: str | None
    ) -> None:
        job = await scene.add()
        before = await scene.job(job)
        with pytest.raises(InvalidJob) as caught:
            await scene.connector.reschedule([job], JobChanges(**changes), now=scene.now)
        assert field in {None, caught.value.field}
        assert await scene.job(job) == before

    async def test_a_waiting_job_that_has_run_before_keeps_its_past(self, scene: Scene) -> None:
        job = await scene.run()
        await scene.finish(Outcome.retried(job, boom(), delay=HOUR))
        await self.change(scene, JobChanges(delay=timedelta(0)), job.id)
        back = await scene.job(job.id)
        assert (back.state, back.attempt, back.claim, len(back.errors)) == (State.READY, 1, 1, 1)

    @staticmethod
    async def change(scene: Scene, changes: JobChanges, *ids: int) -> dict[int, State]:
        """Reschedule jobs; return their states after it, in the order of the answer."""
        return {found.id: found.state for found in await scene.connector.reschedule(ids, changes, now=scene.now)}

    @staticmethod
    async def blocked(scene: Scene) -> int:
        """Make a job that is blocked."""
        await scene.run(lock="l")
        job = await scene.add(lock="l")
        assert await scene.fetch() == []
        assert await scene.state(job) is State.BLOCKED
        return job
