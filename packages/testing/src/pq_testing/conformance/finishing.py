"""Finishing: what becomes of a run, and the fence that keeps old runs out."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs
import pytest

from pq_core.connector import JobChanges
from pq_core.job import MAX_ERRORS
from pq_core.outcome import Outcome
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import Scene, boom, new

HOUR = timedelta(hours=1)


class Finishing(Case):
    """Outcomes that end a job."""

    async def test_an_empty_list_of_outcomes_is_no_error(self, scene: Scene) -> None:
        assert await scene.finish() == []

    async def test_a_job_that_succeeded_has_its_result_and_its_time(self, scene: Scene) -> None:
        job = await scene.run()
        scene.wait(seconds=3)
        assert await scene.finish(Outcome.succeeded(job, {"sum": 3})) == [job.id]
        ended = await scene.job(job.id)
        assert (ended.state, ended.result, ended.finished_at) == (State.SUCCEEDED, {"sum": 3}, scene.now)
        assert (ended.attempt, ended.claim, ended.errors, ended.reason) == (1, 1, [], None)
        assert ended.ended

    async def test_a_job_that_returned_nothing_has_no_result(self, scene: Scene) -> None:
        assert (await scene.end()).result is None

    async def test_a_job_that_failed_has_its_error(self, scene: Scene) -> None:
        job = await scene.run()
        scene.wait(seconds=3)
        assert await scene.finish(Outcome.failed(job, boom("no luck"))) == [job.id]
        ended = await scene.job(job.id)
        assert (ended.state, ended.finished_at, ended.result) == (State.FAILED, scene.now, None)
        (error,) = ended.errors
        assert (error["type"], error["message"], error["attempt"]) == ("ValueError", "no luck", 1)
        assert "no luck" in error["traceback"]
        assert moment(error["at"]) == scene.now
        assert set(error) == {"type", "message", "traceback", "attempt", "at"}

    async def test_a_run_may_end_as_cancelled_for_a_reason(self, scene: Scene) -> None:
        """drift_11: cancelled is an outcome like any other."""
        job = await scene.run()
        assert await scene.finish(Outcome.cancelled(job, "no more")) == [job.id]
        ended = await scene.job(job.id)
        assert (ended.state, ended.reason, ended.finished_at) == (State.CANCELLED, "no more", scene.now)
        assert ended.errors == []

    @pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
    async def test_an_ended_job_tells_who_ran_it_and_when(self, scene: Scene, state: State) -> None:
        ended = await scene.end(state, worker=5)
        assert (ended.worker, ended.started_at) == (5, scene.now)

    @pytest.mark.parametrize("kind", ["succeeded", "failed", "cancelled"])
    async def test_without_keep_no_trace_is_left(self, scene: Scene, kind: str) -> None:
        """drift_36."""
        job = await scene.run(queue="gone")
        outcome = {
            "succeeded": Outcome.succeeded(job, keep=False),
            "failed": Outcome.failed(job, boom(), keep=False),
            "cancelled": Outcome.cancelled(job, "no", keep=False),
        }[kind]
        assert await scene.finish(outcome) == [job.id]
        assert await scene.jobs() == []
        assert await scene.counts() == {}
        assert await scene.queue("gone") is None
        assert await scene.retry(job.id) == {}
        assert await scene.finish(outcome) == []

    async def test_many_outcomes_are_written_in_one_call_and_answered_sorted(self, scene: Scene) -> None:
        await scene.hire()
        await scene.defer(*(new() for _ in range(300)))
        jobs = await scene.fetch(limit=300)
        assert await scene.succeed(*reversed(jobs)) == [job.id for job in jobs]
        assert await scene.counts() == {State.SUCCEEDED: 300}

    async def test_each_of_many_outcomes_does_its_own(self, scene: Scene) -> None:
        await scene.hire()
        await scene.defer(*(new() for _ in range(6)))
        a, b, c, d, e, f = await scene.fetch()
        await scene.finish(
            Outcome.released(f),
            Outcome.failed(b, boom()),
            Outcome.snoozed(e, HOUR),
            Outcome.succeeded(a, 1),
            Outcome.retried(d, boom(), delay=HOUR),
            Outcome.cancelled(c, "no"),
        )
        wanted = [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.SCHEDULED, State.SCHEDULED, State.READY]
        assert await scene.states(*(job.id for job in (a, b, c, d, e, f))) == wanted

    async def test_any_worker_or_none_may_write_an_outcome(self, scene: Scene) -> None:
        job = await scene.run(1)
        scene.wait(days=1)
        assert await scene.succeed(job) == [job.id]


class Fencing(Case):
    """An outcome counts only while its claim is current; any other changes nothing and is no error."""

    @pytest.mark.parametrize("second", ["succeeded", "failed", "retried", "released", "snoozed", "cancelled"])
    async def test_a_second_finish_of_the_same_claim_changes_nothing(self, scene: Scene, second: str) -> None:
        """drift_09."""
        job = await scene.run()
        await scene.finish(Outcome.succeeded(job, "first"))
        before = await scene.jobs()
        scene.wait(seconds=1)
        outcome = {
            "succeeded": Outcome.succeeded(job, "second"),
            "failed": Outcome.failed(job, boom()),
            "retried": Outcome.retried(job, boom()),
            "released": Outcome.released(job),
            "snoozed": Outcome.snoozed(job, HOUR),
            "cancelled": Outcome.cancelled(job, "late", keep=False),
        }[second]
        assert await scene.finish(outcome) == []
        assert await scene.jobs() == before

    async def test_of_two_outcomes_of_a_job_in_one_call_the_first_counts(self, scene: Scene) -> None:
        job = await scene.run()
        assert await scene.finish(Outcome.failed(job, boom()), Outcome.succeeded(job, 1)) == [job.id]
        ended = await scene.job(job.id)
        assert (ended.state, ended.result, len(ended.errors)) == (State.FAILED, None, 1)

    async def test_a_stale_outcome_before_a_current_one_does_not_spoil_it(self, scene: Scene) -> None:
        job = await scene.run()
        stale = Outcome.failed(attrs.evolve(job, claim=0), boom())
        assert await scene.finish(stale, Outcome.succeeded(job)) == [job.id]
        assert await scene.state(job.id) is State.SUCCEEDED

    @pytest.mark.parametrize("offset", [-1, 1, 1000])
    async def test_an_outcome_of_another_claim_changes_nothing(self, scene: Scene, offset: int) -> None:
        job = await scene.run()
        assert await scene.finish(Outcome.succeeded(attrs.evolve(job, claim=job.claim + offset))) == []
        assert await scene.job(job.id) == job

    async def test_an_outcome_of_an_unknown_job_is_no_error(self, scene: Scene) -> None:
        """drift_12."""
        job = await scene.run()
        unknown = [attrs.evolve(job, id=job_id) for job_id in (0, -1, job.id + 1000, 2**63 - 1)]
        assert await scene.succeed(*unknown, job) == [job.id]

    @pytest.mark.parametrize("delay", [timedelta(0), HOUR])
    async def test_a_job_that_waits_cannot_be_finished(self, scene: Scene, delay: timedelta) -> None:
        """drift_10."""
        waiting = await scene.job(await scene.add(delay=delay))
        assert await scene.succeed(waiting) == []
        assert await scene.job(waiting.id) == waiting

    async def test_after_a_release_the_old_claim_is_lost(self, scene: Scene) -> None:
        job = await scene.run()
        await scene.finish(Outcome.released(job))
        assert await scene.succeed(job) == []
        assert await scene.state(job.id) is State.READY
        (again,) = await scene.fetch()
        assert (again.attempt, again.claim) == (1, 2)
        assert await scene.succeed(job) == []
        assert await scene.succeed(again) == [job.id]

    async def test_after_a_rescue_the_old_claim_is_lost(self, scene: Scene) -> None:
        job = await scene.run(1)
        await scene.lose(1)
        assert await scene.succeed(job) == []
        await scene.hire(2)
        (again,) = await scene.fetch(2)
        assert await scene.finish(Outcome.failed(job, boom("late"))) == []
        assert (await scene.job(job.id)).worker == 2
        assert await scene.succeed(again) == [job.id]

    async def test_until_its_rescue_a_job_of_a_dead_worker_may_still_be_finished(self, scene: Scene) -> None:
        await scene.hire(1, lease=10)
        await scene.add()
        (job,) = await scene.fetch(1)
        scene.wait(seconds=60)
        assert await scene.succeed(job) == [job.id]
        assert await scene.rescue() == {}

    async def test_an_ended_job_made_live_again_does_not_know_its_old_claim(self, scene: Scene) -> None:
        job = await scene.run()
        await scene.finish(Outcome.failed(job, boom()))
        await scene.retry(job.id)
        (again,) = await scene.fetch()
        assert (again.attempt, again.claim) == (1, 2)
        assert await scene.succeed(job) == []
        assert await scene.succeed(again) == [job.id]

    async def test_a_stale_outcome_does_not_free_the_lock(self, scene: Scene) -> None:
        job = await scene.run(lock="l")
        await scene.add(lock="l")
        await scene.succeed(attrs.evolve(job, claim=0))
        assert await scene.fetch() == []

    async def test_a_reschedule_in_between_does_not_revive_a_claim(self, scene: Scene) -> None:
        job = await scene.run()
        await scene.finish(Outcome.snoozed(job, HOUR))
        await scene.connector.reschedule([job.id], JobChanges(delay=timedelta(0)), now=scene.now)
        assert await scene.succeed(job) == []


class GoingOn(Case):
    """Outcomes after which a job lives on."""

    @pytest.mark.parametrize("delay, state", [(timedelta(0), State.READY), (HOUR, State.SCHEDULED)])
    async def test_a_retried_job_is_due_after_the_delay_and_keeps_its_error(
        self, scene: Scene, delay: timedelta, state: State
    ) -> None:
        job = await scene.run()
        scene.wait(seconds=3)
        assert await scene.finish(Outcome.retried(job, boom("try again"), delay=delay)) == [job.id]
        waiting = await scene.job(job.id)
        assert (waiting.state, waiting.scheduled_at) == (state, scene.now + delay)
        assert (waiting.attempt, waiting.claim, waiting.losses) == (1, 1, 0)
        assert (waiting.worker, waiting.started_at, waiting.finished_at) == (None, None, None)
        assert [(error["message"], error["attempt"]) for error in waiting.errors] == [("try again", 1)]
        assert moment(waiting.errors[0]["at"]) == scene.now

    async def test_a_retried_job_runs_again_when_it_is_due(self, scene: Scene) -> None:
        job = await scene.run()
        await scene.finish(Outcome.retried(job, boom(), delay=timedelta(seconds=10)))
        scene.wait(seconds=9)
        assert await scene.fetch() == []
        scene.wait(seconds=1)
        (again,) = await scene.fetch()
        assert (again.id, again.attempt, again.claim) == (job.id, 2, 2)

    async def test_a_retry_may_name_queue_priority_and_lock(self, scene: Scene) -> None:
        job = await scene.run(lock="old")
        await scene.finish(Outcome.retried(job, boom(), queue="slow", priority=-3, lock="new"))
        waiting = await scene.job(job.id)
        assert (waiting.queue, waiting.priority, waiting.lock) == ("slow", -3, "new")
        assert await scene.fetch(queues=["default"]) == []
        assert await scene.fetch_ids(queues=["slow"]) == [job.id]

    async def test_a_retry_that_names_nothing_changes_nothing_else(self, scene: Scene) -> None:
        job = await scene.run(queue="q", priority=4, lock="l", lock_mode="mutex", args={"x": 1}, metadata={"m": 1})
        await scene.finish(Outcome.retried(job, boom()))
        waiting = await scene.job(job.id)
        assert (waiting.queue, waiting.priority, waiting.lock, waiting.lock_mode) == ("q", 4, "l", "mutex")
        assert (waiting.args, waiting.metadata, waiting.created_at) == ({"x": 1}, {"m": 1}, job.created_at)

    async def test_a_priority_of_zero_is_a_priority(self, scene: Scene) -> None:
        job = await scene.run(priority=4)
        await scene.finish(Outcome.retried(job, boom(), priority=0))
        assert (await scene.job(job.id)).priority == 0

    @pytest.mark.parametrize("delay, state", [(timedelta(0), State.READY), (HOUR, State.SCHEDULED)])
    @pytest.mark.parametrize("kind", ["snoozed", "released"])
    async def test_a_snoozed_or_released_job_gets_its_attempt_back_but_not_its_claim(
        self, scene: Scene, kind: str, delay: timedelta, state: State
    ) -> None:
        job = await scene.run()
        scene.wait(seconds=3)
        outcome = Outcome.snoozed(job, delay) if kind == "snoozed" else Outcome.released(job, delay)
        assert await scene.finish(outcome) == [job.id]
        waiting = await scene.job(job.id)
        assert (waiting.state, waiting.scheduled_at) == (state, scene.now + delay)
        assert (waiting.attempt, waiting.claim, waiting.losses, waiting.errors) == (0, 1, 0, [])
        assert (waiting.worker, waiting.started_at, waiting.finished_at) == (None, None, None)

    async def test_the_last_ten_errors_are_kept_the_oldest_first(self, scene: Scene) -> None:
        job = await scene.run()
        started = scene.now
        for n in range(MAX_ERRORS + 3):
            await scene.finish(Outcome.retried(job, boom(f"error {n}")))
            scene.wait(seconds=1)
            (job,) = await scene.fetch()
        await scene.finish(Outcome.failed(job, boom("the last")))
        ended = await scene.job(job.id)
        messages = [f"error {n}" for n in range(4, MAX_ERRORS + 3)]
        assert [error["message"] for error in ended.errors] == [*messages, "the last"]
        assert [error["attempt"] for error in ended.errors] == list(range(5, MAX_ERRORS + 5))
        assert [moment(error["at"]) for error in ended.errors] == [
            started + timedelta(seconds=n) for n in range(4, MAX_ERRORS + 4)
        ]
        assert ended.attempt == MAX_ERRORS + 4

    async def test_an_error_of_any_text_is_stored(self, scene: Scene) -> None:
        await scene.hire()
        await scene.defer(new(), new())
        bad, good = await scene.fetch()
        error = ValueError("nul \x00, half \ud83d, 🐘, 'quoted' \\ {braces}, " + "x" * 20_000)
        assert await scene.finish(Outcome.failed(bad, error), Outcome.succeeded(good)) == [bad.id, good.id]
        (stored,) = (await scene.job(bad.id)).errors
        assert stored["message"].startswith("nul , half ?, 🐘, 'quoted' \\ {braces}, xxx")


def moment(text: str) -> datetime:
    """Read the `at` of an error, which is to be ISO 8601 in UTC."""
    found = datetime.fromisoformat(text)
    assert found.utcoffset() == timedelta(0), f"{text} is not in UTC"
    return found
