"""What ends with a run beside the job: its claim on a unique key, its only life, what it says of its progress."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest

from pq_core.job import Job
from pq_core.outcome import Outcome, Progress
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.finishing import HOUR, moment
from pq_testing.conformance.scene import Scene, boom, new

GOES_ON = ["retried", "snoozed", "released"]


def going_on(kind: str, job: Job, delay: timedelta = timedelta(0)) -> Outcome:
    """Make an outcome after which a job lives on."""
    if kind == "retried":
        return Outcome.retried(job, boom(), delay=delay)
    return Outcome.snoozed(job, delay) if kind == "snoozed" else Outcome.released(job, delay)


class Superseding(Case):
    """A run that would wait again, whose unique key a waiting job has by now."""

    @pytest.mark.parametrize("delay", [timedelta(0), HOUR])
    @pytest.mark.parametrize("kind", GOES_ON)
    async def test_a_run_that_would_wait_beside_its_twin_ends_as_cancelled(
        self, scene: Scene, kind: str, delay: timedelta
    ) -> None:
        job = await scene.run(unique_key="k")
        twin = await scene.add(unique_key="k", delay=delay)
        scene.wait(seconds=3)
        assert await scene.finish(going_on(kind, job, HOUR)) == [job.id]
        ended = await scene.job(job.id)
        assert (ended.state, ended.reason) == (State.CANCELLED, f"superseded by job {twin}")
        assert (ended.attempt, ended.finished_at, ended.unique_key) == (1, scene.now, "k")
        assert len(ended.errors) == (kind == "retried")
        assert (await scene.job(twin)).state is (State.SCHEDULED if delay else State.READY)

    @pytest.mark.parametrize("kind", GOES_ON)
    async def test_without_a_twin_the_run_has_its_key_back(self, scene: Scene, kind: str) -> None:
        job = await scene.run(unique_key="k")
        assert await scene.finish(going_on(kind, job)) == [job.id]
        back = await scene.job(job.id)
        assert (back.state, back.unique_key, back.unique_scope) == (State.READY, "k", "waiting")
        other = await scene.add(unique_key="other")
        assert await scene.fetch_ids() == [job.id, other]

    async def test_a_twin_that_runs_or_has_ended_is_in_nobodys_way(self, scene: Scene) -> None:
        job = await scene.run(unique_key="k")
        twin = await scene.run(unique_key="k")
        await scene.finish(Outcome.retried(job, boom()))
        assert await scene.states(job.id, twin.id) == [State.READY, State.RUNNING]
        await scene.succeed(twin)
        (again,) = await scene.fetch()
        await scene.finish(Outcome.snoozed(again, HOUR))
        assert await scene.state(job.id) is State.SCHEDULED

    @pytest.mark.parametrize("end", ["finish", "lose", "leave"])
    async def test_an_expired_twin_is_in_nobodys_way_and_ends(self, scene: Scene, end: str) -> None:
        job = await scene.run(unique_key="k")
        twin = await scene.add(unique_key="k", expires_in=timedelta(seconds=5), lock="l")
        following = await scene.add(lock="l", queue="other")
        await scene.fetch(queues=["other"])
        scene.wait(seconds=5)
        if end == "finish":
            assert await scene.finish(Outcome.retried(job, boom(), delay=HOUR)) == [job.id]
        elif end == "leave":
            assert await scene.leave(1) == {job.id: State.READY}
        else:
            assert await scene.lose(1) == {job.id: State.READY}
        ended = await scene.job(twin)
        assert (ended.state, ended.reason) == (State.CANCELLED, "expired")
        await scene.hire(2)
        assert await scene.fetch_ids(2, queues=["other"]) == [following]

    async def test_of_two_runs_with_one_key_the_older_one_has_it_back(self, scene: Scene) -> None:
        older = await scene.run(unique_key="k")
        younger = await scene.run(unique_key="k")
        outcomes = [Outcome.released(younger), Outcome.released(older)]
        assert await scene.finish(*outcomes) == [older.id, younger.id]
        assert await scene.states(older.id, younger.id) == [State.READY, State.CANCELLED]
        assert (await scene.job(younger.id)).reason == f"superseded by job {older.id}"

    async def test_the_other_outcomes_of_the_call_are_written_as_ever(self, scene: Scene) -> None:
        twice, once = await scene.run(unique_key="a"), await scene.run(unique_key="b")
        plain, done = await scene.run(), await scene.run(unique_key="c")
        twin = await scene.add(unique_key="a")
        outcomes = [Outcome.snoozed(job, HOUR) for job in (plain, once, twice)]
        assert await scene.finish(*outcomes, Outcome.succeeded(done)) == [twice.id, once.id, plain.id, done.id]
        wanted = [State.CANCELLED, State.READY, State.SCHEDULED, State.SCHEDULED, State.SUCCEEDED]
        assert await scene.states(twice.id, twin, once.id, plain.id, done.id) == wanted

    async def test_a_request_to_stop_is_the_reason_of_the_end(self, scene: Scene) -> None:
        job = await scene.run(unique_key="k")
        await scene.add(unique_key="k")
        await scene.cancel(job.id, reason="enough")
        await scene.finish(Outcome.released(job))
        assert (await scene.job(job.id)).reason == "enough"

    async def test_without_keep_no_trace_of_the_superseded_run_is_left(self, scene: Scene) -> None:
        job = await scene.run(unique_key="k")
        twin = await scene.add(unique_key="k")
        assert await scene.finish(attrs.evolve(Outcome.released(job), keep=False)) == [job.id]
        assert [left.id for left in await scene.jobs()] == [twin]

    async def test_the_lock_of_the_superseded_run_is_free(self, scene: Scene) -> None:
        job = await scene.run(unique_key="k", lock="l")
        twin = await scene.add(unique_key="k", lock="l")
        assert await scene.fetch() == []
        await scene.finish(Outcome.retried(job, boom()))
        assert await scene.fetch_ids() == [twin]

    async def test_a_key_of_the_scope_live_is_kept_through_all_of_it(self, scene: Scene) -> None:
        job = await scene.run(unique_key="k", unique_scope="live")
        await scene.finish(Outcome.retried(job, boom()))
        (job,) = await scene.fetch()
        assert await scene.lose(1) == {job.id: State.READY}

    async def test_a_lost_run_ends_as_cancelled_beside_its_twin(self, scene: Scene) -> None:
        job = await scene.run(1, unique_key="k")
        twin = await scene.add(unique_key="k")
        assert await scene.lose(1) == {job.id: State.CANCELLED}
        ended = await scene.job(job.id)
        assert (ended.reason, ended.losses, ended.attempt) == (f"superseded by job {twin}", 1, 1)
        assert [error["type"] for error in ended.errors] == ["WorkerLost"]
        await scene.hire(2)
        assert await scene.fetch_ids(2) == [twin]

    async def test_a_lost_run_without_a_twin_has_its_key_back(self, scene: Scene) -> None:
        older = await scene.run(1, unique_key="k")
        younger = await scene.run(1, unique_key="k")
        assert await scene.lose(1) == {older.id: State.READY, younger.id: State.CANCELLED}

    async def test_a_lost_run_that_is_spent_fails_whatever_its_twin_does(self, scene: Scene) -> None:
        job = await scene.run(1, unique_key="k", max_losses=1)
        await scene.add(unique_key="k")
        assert await scene.lose(1) == {job.id: State.FAILED}

    async def test_a_worker_that_leaves_supersedes_as_well(self, scene: Scene) -> None:
        job = await scene.run(1, unique_key="k")
        alone = await scene.run(1, unique_key="other")
        twin = await scene.add(unique_key="k")
        assert await scene.leave(1) == {job.id: State.CANCELLED, alone.id: State.READY}
        ended = await scene.job(job.id)
        assert (ended.reason, ended.attempt, ended.losses) == (f"superseded by job {twin}", 1, 0)


class AtMostOnce(Case):
    """Jobs that never run again, and how an outcome says that a job is one."""

    async def test_a_lost_job_of_one_life_fails(self, scene: Scene) -> None:
        job = await scene.run(1, delivery="at_most_once")
        assert await scene.lose(1) == {job.id: State.FAILED}
        ended = await scene.job(job.id)
        assert (ended.losses, ended.attempt, ended.delivery) == (1, 1, "at_most_once")
        assert [(error["type"], error["attempt"]) for error in ended.errors] == [("WorkerLost", 1)]

    async def test_a_job_of_one_life_fails_when_its_worker_leaves(self, scene: Scene) -> None:
        job = await scene.run(1, delivery="at_most_once")
        other = await scene.run(1)
        assert await scene.leave(1) == {job.id: State.FAILED, other.id: State.READY}
        ended = await scene.job(job.id)
        assert (ended.losses, ended.attempt, ended.finished_at) == (1, 1, scene.now)
        assert [(error["type"], error["attempt"]) for error in ended.errors] == [("WorkerLost", 1)]

    async def test_a_job_of_one_life_that_was_asked_to_stop_is_cancelled(self, scene: Scene) -> None:
        lost, left = await scene.run(1, delivery="at_most_once"), await scene.run(2, delivery="at_most_once")
        await scene.cancel(lost.id, left.id, reason="enough")
        assert await scene.lose(1) == {lost.id: State.CANCELLED}
        assert await scene.leave(2) == {left.id: State.CANCELLED}
        assert (await scene.job(left.id)).losses == 0

    async def test_the_lock_of_a_lost_job_of_one_life_is_free(self, scene: Scene) -> None:
        await scene.run(1, delivery="at_most_once", lock="l")
        following = await scene.add(lock="l")
        await scene.lose(1)
        await scene.hire(2)
        assert await scene.fetch_ids(2) == [following]

    async def test_a_transactional_job_lives_as_long_as_any_other(self, scene: Scene) -> None:
        job = await scene.run(1, delivery="transactional")
        assert await scene.lose(1) == {job.id: State.READY}
        assert (await scene.job(job.id)).delivery == "transactional"

    async def test_a_release_before_the_start_lets_it_run_later(self, scene: Scene) -> None:
        job = await scene.run(delivery="at_most_once")
        await scene.finish(Outcome.released(job))
        assert await scene.fetch_ids() == [job.id]

    @pytest.mark.parametrize("kind", GOES_ON)
    async def test_an_outcome_may_correct_the_delivery_of_a_job_that_goes_on(self, scene: Scene, kind: str) -> None:
        job, other = await scene.run(1), await scene.run(1)
        corrected = attrs.evolve(going_on(kind, job), delivery="at_most_once")
        await scene.finish(corrected, going_on(kind, other))
        deliveries = [(await scene.job(number)).delivery for number in (job.id, other.id)]
        assert deliveries == ["at_most_once", "at_least_once"]
        await scene.fetch()
        assert await scene.lose(1) == {job.id: State.FAILED, other.id: State.READY}


class Progressing(Case):
    """What runs say of their progress: by heartbeats, and with their outcomes."""

    @staticmethod
    def said(job: Job, fraction: float | None, message: str | None = None) -> Progress:
        """Make a word."""
        return Progress.of(job, {"fraction": fraction, "message": message})

    async def tell(self, scene: Scene, *said: Progress, worker: int = 1) -> list[int]:
        """Send it."""
        return await scene.hire(worker, progress=said)

    async def shown(self, scene: Scene, job: Job) -> tuple[Any, ...] | None:
        """Read what is stored of it."""
        progress = (await scene.job(job.id)).progress
        return progress and (progress["fraction"], progress["message"], moment(progress["at"]))

    async def test_at_first_nothing_is_said(self, scene: Scene) -> None:
        job = await scene.run()
        assert await self.tell(scene) == []
        assert job.progress is None
        assert await self.shown(scene, job) is None

    async def test_a_heartbeat_tells_of_it_with_the_time(self, scene: Scene) -> None:
        job, other = await scene.run(), await scene.run()
        scene.wait(seconds=3)
        assert await self.tell(scene, self.said(job, 0.25, "a 🐘 of four")) == []
        assert await self.shown(scene, job) == (0.25, "a 🐘 of four", scene.now)
        assert await self.shown(scene, other) is None
        scene.wait(seconds=3)
        await self.tell(scene, self.said(other, None, "no idea"), self.said(job, 1))
        assert await self.shown(scene, job) == (1, None, scene.now)
        assert await self.shown(scene, other) == (None, "no idea", scene.now)

    async def test_the_heartbeat_says_as_ever_what_is_to_stop(self, scene: Scene) -> None:
        job = await scene.run()
        await scene.cancel(job.id)
        assert await self.tell(scene, self.said(job, 0.5)) == [job.id]

    async def test_only_a_current_run_is_heard(self, scene: Scene) -> None:
        job, ended = await scene.run(), await scene.run()
        await scene.succeed(ended)
        waiting = await scene.job(await scene.add(delay=HOUR))
        unknown = [attrs.evolve(job, id=number) for number in (0, -1, job.id + 1000, 2**63 - 1)]
        stale = [attrs.evolve(job, claim=claim) for claim in (0, 2)]
        before = await scene.jobs()
        await self.tell(scene, *(self.said(one, 0.5) for one in (*unknown, *stale, ended, waiting)))
        assert await scene.jobs() == before

    async def test_a_stale_word_does_not_hide_a_current_one(self, scene: Scene) -> None:
        job = await scene.run()
        await scene.finish(Outcome.released(job))
        (again,) = await scene.fetch()
        await self.tell(scene, self.said(again, 0.1), self.said(again, 0.2), self.said(job, 0.9))
        assert await self.shown(scene, job) == (0.2, None, scene.now)

    @pytest.mark.parametrize("kind", ["succeeded", "failed", "cancelled", *GOES_ON])
    async def test_an_outcome_brings_the_last_word(self, scene: Scene, kind: str) -> None:
        job = await scene.run()
        await self.tell(scene, self.said(job, 0.25))
        scene.wait(seconds=3)
        outcome = {
            "succeeded": Outcome.succeeded(job),
            "failed": Outcome.failed(job, boom()),
            "cancelled": Outcome.cancelled(job, "no"),
        }.get(kind) or going_on(kind, job)
        await scene.finish(attrs.evolve(outcome, progress=self.said(job, 0.75, "so far").text))
        assert await self.shown(scene, job) == (0.75, "so far", scene.now)

    @pytest.mark.parametrize("kind", ["succeeded", *GOES_ON])
    async def test_an_outcome_that_brings_none_leaves_it(self, scene: Scene, kind: str) -> None:
        job, _ = await scene.run(), await scene.defer(new(), new())
        await self.tell(scene, self.said(job, 0.25))
        said = await self.shown(scene, job)
        scene.wait(seconds=3)
        await scene.finish(Outcome.succeeded(job) if kind == "succeeded" else going_on(kind, job))
        assert await self.shown(scene, job) == said

    async def test_the_next_run_sees_what_the_last_one_said(self, scene: Scene) -> None:
        job = await scene.run(1)
        await self.tell(scene, self.said(job, 0.5, "half"))
        await scene.lose(1)
        await scene.hire(2)
        (again,) = await scene.fetch(2)
        assert again.progress == (await scene.job(job.id)).progress
        assert again.progress["message"] == "half"
