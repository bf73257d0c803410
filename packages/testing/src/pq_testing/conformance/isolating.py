"""Isolation: nobody's hands reach into the store."""

from __future__ import annotations

from pq_core.connector import JobFilter
from pq_core.job import Job
from pq_core.outcome import Outcome
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import EVERYTHING, Scene, boom, new


class Isolating(Case):
    """Values are copies, on the way in and on the way out."""

    async def test_changing_arguments_after_defer_changes_nothing_stored(self, scene: Scene) -> None:
        """drift_25."""
        args = {"items": [1]}
        metadata = {"tags": ["a"]}
        job = new(args=args, metadata=metadata)
        wanted = await scene.defer(job)
        args["items"].append(2)
        metadata["tags"].append("b")
        (stored,) = await scene.jobs()
        assert ([stored.id], stored.args, stored.metadata) == (wanted, {"items": [1]}, {"tags": ["a"]})

    async def test_a_task_that_changes_its_arguments_gets_them_fresh_at_the_next_attempt(self, scene: Scene) -> None:
        """drift_26."""
        job = await scene.run(args={"items": [1]})
        job.args["items"].append(2)
        job.args["more"] = True
        await scene.finish(Outcome.retried(job, boom()))
        (again,) = await scene.fetch()
        assert again.args == {"items": [1]}

    async def test_what_find_returns_may_be_changed_freely(self, scene: Scene) -> None:
        job = await scene.run(args={"x": [1]}, metadata={"m": [1]})
        await scene.finish(Outcome.retried(job, boom("first")))
        (job,) = await scene.fetch()
        await scene.finish(Outcome.succeeded(job, {"r": [1]}))
        spoil(await scene.job(job.id))
        fresh = await scene.job(job.id)
        assert (fresh.args, fresh.metadata, fresh.result) == ({"x": [1]}, {"m": [1]}, {"r": [1]})
        assert [error["message"] for error in fresh.errors] == ["first"]

    async def test_two_readers_share_nothing(self, scene: Scene) -> None:
        job = await scene.run(args={"x": [1]})
        (one,) = await scene.connector.find(JobFilter(ids=[job.id]), now=scene.now)
        (two,) = await scene.connector.find(JobFilter(ids=[job.id]), now=scene.now)
        one.args["x"].append(2)
        assert two.args == job.args == {"x": [1]}

    async def test_an_error_of_an_outcome_is_copied(self, scene: Scene) -> None:
        job = await scene.run()
        outcome = Outcome.failed(job, boom())
        await scene.finish(outcome)
        assert outcome.error is not None
        outcome.error["message"] = "changed"
        assert (await scene.job(job.id)).errors[0]["message"] == "boom"

    async def test_writing_an_outcome_does_not_change_it(self, scene: Scene) -> None:
        job = await scene.run()
        outcome = Outcome.failed(job, boom())
        before = dict(outcome.error or {})
        await scene.finish(outcome)
        assert outcome.error == before

    async def test_counts_and_queues_are_copies(self, scene: Scene) -> None:
        await scene.add()
        counts = await scene.connector.count(EVERYTHING, now=scene.now)
        before = dict(counts)
        counts.clear()
        assert await scene.connector.count(EVERYTHING, now=scene.now) == before
        assert len(await scene.connector.queues(now=scene.now)) == 1


def spoil(job: Job) -> None:
    """Change all that can be changed in a job."""
    job.args["x"].append("spoilt")
    job.metadata["m"].append("spoilt")
    job.result["r"].append("spoilt")
    job.errors[0]["message"] = "spoilt"
    job.errors.append({"message": "spoilt"})
