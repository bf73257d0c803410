"""Concluding: outcomes written in a transaction share its fate, and it can be committed only if they are current."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
import attrs
import pytest

from pq_core.errors import ConnectorError
from pq_core.job import Job
from pq_core.outcome import Outcome
from pq_core.states import State
from pq_testing.conformance.case import Case, Undo
from pq_testing.conformance.scene import Scene, new


class Concluding(Case):
    """The verb `transaction`, and the argument `connection` of `finish`: what transactional jobs stand on."""

    @pytest.fixture
    def lender(self, scene: Scene) -> Any:
        """Give the connector as one that lends transactions."""
        if not self.supports_transactions:
            pytest.skip("supports_transactions is False: this connector lends no transactions")
        return scene.connector

    async def test_an_outcome_is_there_when_the_transaction_has_committed_and_not_before(
        self, scene: Scene, lender: Any
    ) -> None:
        job = await scene.run()
        async with lender.transaction() as connection:
            outcome = Outcome.succeeded(job, {"answer": 42})
            assert await self.finish(scene, connection, outcome) == [job.id]
            assert await scene.state(job.id) is State.RUNNING
        ended = await scene.job(job.id)
        assert (ended.state, ended.result, ended.finished_at) == (State.SUCCEEDED, {"answer": 42}, scene.now)

    async def test_a_rollback_leaves_the_job_running_under_its_claim(self, scene: Scene, lender: Any) -> None:
        job = await scene.run()
        with suppress(Undo):
            async with lender.transaction() as connection:
                assert await self.finish(scene, connection, Outcome.succeeded(job)) == [job.id]
                raise Undo
        assert await scene.job(job.id) == job
        assert await scene.succeed(job) == [job.id]

    async def test_an_exception_leaves_the_block_as_it_is(self, lender: Any) -> None:
        fault = ValueError("mine")
        with pytest.raises(ValueError, match="mine") as caught:
            async with lender.transaction():
                raise fault
        assert caught.value is fault

    async def test_a_job_that_was_given_to_another_worker_cannot_be_ended_by_the_first(
        self, scene: Scene, lender: Any
    ) -> None:
        job = await scene.run()
        await scene.lose(1)
        await scene.hire(2)
        (again,) = await scene.fetch(2)
        with suppress(Undo):
            async with lender.transaction() as connection:
                assert await self.finish(scene, connection, Outcome.succeeded(job, "first")) == []
                raise Undo
        assert await scene.job(job.id) == again
        async with lender.transaction() as connection:
            assert await self.finish(scene, connection, Outcome.succeeded(again, "second")) == [job.id]
        assert (await scene.job(job.id)).result == "second"

    async def test_jobs_deferred_in_it_come_true_together_with_the_end(self, scene: Scene, lender: Any) -> None:
        job = await scene.run()
        with suppress(Undo):
            async with lender.transaction() as connection:
                await lender.defer([new("lost")], connection=connection, now=scene.now)
                await self.finish(scene, connection, Outcome.succeeded(job))
                raise Undo
        assert [each.task for each in await scene.jobs()] == ["work"]
        async with lender.transaction() as connection:
            await lender.defer([new("kept")], connection=connection, now=scene.now)
            await self.finish(scene, connection, Outcome.succeeded(job))
        assert [(each.task, each.state) for each in await scene.jobs()] == [("work", "succeeded"), ("kept", "ready")]

    async def test_without_an_outcome_it_is_a_transaction_all_the_same(self, scene: Scene, lender: Any) -> None:
        async with lender.transaction() as connection:
            await lender.defer([new("a")], connection=connection, now=scene.now)
            assert await scene.jobs() == []
            assert await self.finish(scene, connection) == []
        assert [job.task for job in await scene.jobs()] == ["a"]

    async def test_a_lock_is_free_when_the_transaction_has_committed(self, scene: Scene, lender: Any) -> None:
        job = await scene.run(lock="l")
        following = await scene.add(lock="l")
        assert await scene.fetch() == []
        async with lender.transaction() as connection:
            await self.finish(scene, connection, Outcome.succeeded(job))
            assert await scene.fetch() == []
        assert await scene.fetch_ids() == [following]

    async def test_a_second_outcome_of_the_same_run_is_not_current(self, scene: Scene, lender: Any) -> None:
        job = await scene.run()
        async with lender.transaction() as connection:
            assert await self.finish(scene, connection, Outcome.succeeded(job, 1)) == [job.id]
            assert await self.finish(scene, connection, Outcome.succeeded(job, 2)) == []
        assert (await scene.job(job.id)).result == 1

    async def test_of_several_outcomes_of_a_job_that_of_the_newest_claim_counts(
        self, scene: Scene, lender: Any
    ) -> None:
        job = await scene.run()
        newer = attrs.evolve(job, claim=job.claim + 1)
        async with lender.transaction() as connection:
            assert await self.finish(scene, connection, Outcome.succeeded(job), Outcome.succeeded(newer)) == []
            assert await self.finish(scene, connection, Outcome.succeeded(job)) == [job.id]
            assert await self.finish(scene, connection, Outcome.failed(newer, ValueError("late"))) == []
        assert await scene.state(job.id) is State.SUCCEEDED

    async def test_a_job_that_is_not_kept_leaves_no_trace_when_it_ends_by_it(self, scene: Scene, lender: Any) -> None:
        job = await scene.run()
        async with lender.transaction() as connection:
            await self.finish(scene, connection, Outcome.succeeded(job, keep=False))
        assert await scene.jobs() == []

    async def test_a_job_can_go_on_by_it_as_well(self, scene: Scene, lender: Any) -> None:
        job = await scene.run()
        async with lender.transaction() as connection:
            assert await self.finish(scene, connection, Outcome.released(job)) == [job.id]
        assert await scene.state(job.id) is State.READY
        assert [again.attempt for again in await scene.fetch()] == [1]

    async def test_two_of_them_know_nothing_of_each_other(self, scene: Scene, lender: Any) -> None:
        one, two = await scene.run(), await scene.run()
        with suppress(Undo):
            async with lender.transaction() as first:
                await self.finish(scene, first, Outcome.succeeded(one))
                async with lender.transaction() as second:
                    await self.finish(scene, second, Outcome.succeeded(two))
                raise Undo
        assert await scene.states(one.id, two.id) == [State.RUNNING, State.SUCCEEDED]

    async def test_one_that_has_ended_takes_no_outcome(self, scene: Scene, lender: Any) -> None:
        job = await scene.run()
        async with lender.transaction() as connection:
            pass
        with pytest.raises(ConnectorError):
            await self.finish(scene, connection, Outcome.succeeded(job))
        assert await scene.state(job.id) is State.RUNNING

    async def test_the_twin_lends_them_to_callers_that_cannot_await(self, scene: Scene, lender: Any) -> None:
        kept, undone = await scene.run(), await scene.run()

        def work(job: Job, *, undo: bool) -> None:
            with lender.sync.transaction() as connection:
                lender.sync.defer([new("next")], connection=connection, now=scene.now)
                outcome = Outcome.succeeded(job, "done")
                assert lender.sync.finish([outcome], connection=connection, now=scene.now) == [job.id]
                assert lender.sync.finish([], connection=connection, now=scene.now) == []
                if undo:
                    raise Undo

        await anyio.to_thread.run_sync(lambda: work(kept, undo=False))
        with pytest.raises(Undo):
            await anyio.to_thread.run_sync(lambda: work(undone, undo=True))
        assert await scene.states(kept.id, undone.id) == [State.SUCCEEDED, State.RUNNING]
        assert [job.task for job in await scene.jobs()] == ["work", "work", "next"]
        lender.sync.close()
        lender.sync.open()

    @staticmethod
    async def finish(scene: Scene, connection: object, *outcomes: Outcome) -> list[int]:
        """Write outcomes in a transaction; return the ids whose claim is current."""
        connector: Any = scene.connector
        current: list[int] = await connector.finish(outcomes, connection=connection, now=scene.now)
        return current
