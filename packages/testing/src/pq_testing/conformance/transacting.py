"""Transacting: jobs deferred in the caller's transaction share its fate."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest

from pq_core.errors import ConnectorError, InvalidArguments
from pq_core.job import NewJob
from pq_core.states import State
from pq_testing.conformance.case import Case, Transactions, Undo
from pq_testing.conformance.scene import Scene, new


class Transacting(Case):
    """The argument `connection` of `defer`."""

    async def test_jobs_exist_when_the_transaction_has_committed_and_not_before(
        self, scene: Scene, transactions: Transactions
    ) -> None:
        await scene.hire()
        async with transactions.begin() as connection:
            ids = await self.defer(scene, connection, new("a"), new("b"))
            assert await scene.jobs() == []
            assert await scene.fetch() == []
        assert [job.task for job in await scene.jobs()] == ["a", "b"]
        assert await scene.fetch_ids() == ids

    async def test_a_rollback_leaves_no_job(self, scene: Scene, transactions: Transactions) -> None:
        await scene.hire()
        with suppress(Undo):
            async with transactions.begin() as connection:
                await self.defer(scene, connection, new(), new(lock="l"))
                raise Undo
        assert await scene.jobs() == []
        assert await scene.counts() == {}
        assert await scene.connector.queues(now=scene.now) == []
        assert await scene.fetch() == []

    async def test_ids_after_a_rollback_still_grow(self, scene: Scene, transactions: Transactions) -> None:
        first = lost = await scene.add()
        with suppress(Undo):
            async with transactions.begin() as connection:
                (lost,) = await self.defer(scene, connection, new())
                raise Undo
        second = await scene.add()
        assert first < second
        assert first < lost
        assert [job.id for job in await scene.jobs()] == [first, second]

    async def test_a_savepoint_rolled_back_takes_only_its_own_jobs(
        self, scene: Scene, transactions: Transactions
    ) -> None:
        async with transactions.begin() as connection:
            await self.defer(scene, connection, new("before"))
            with suppress(Undo):
                async with transactions.savepoint(connection):
                    await self.defer(scene, connection, new("inside"))
                    raise Undo
            async with transactions.savepoint(connection):
                await self.defer(scene, connection, new("kept"))
            await self.defer(scene, connection, new("after"))
        assert [job.task for job in await scene.jobs()] == ["before", "kept", "after"]

    async def test_savepoints_nest(self, scene: Scene, transactions: Transactions) -> None:
        async with transactions.begin() as connection:
            with suppress(Undo):
                async with transactions.savepoint(connection):
                    await self.defer(scene, connection, new("outer"))
                    async with transactions.savepoint(connection):
                        await self.defer(scene, connection, new("inner"))
                    raise Undo
            async with transactions.savepoint(connection):
                with suppress(Undo):
                    async with transactions.savepoint(connection):
                        await self.defer(scene, connection, new("lost"))
                        raise Undo
                await self.defer(scene, connection, new("kept"))
        assert [job.task for job in await scene.jobs()] == ["kept"]

    async def test_a_rollback_takes_released_savepoints_with_it(self, scene: Scene, transactions: Transactions) -> None:
        with suppress(Undo):
            async with transactions.begin() as connection:
                async with transactions.savepoint(connection):
                    await self.defer(scene, connection, new())
                raise Undo
        assert await scene.jobs() == []

    async def test_two_transactions_know_nothing_of_each_other(self, scene: Scene, transactions: Transactions) -> None:
        with suppress(Undo):
            async with transactions.begin() as one:
                await self.defer(scene, one, new("lost"))
                async with transactions.begin() as two:
                    await self.defer(scene, two, new("kept"))
                assert [job.task for job in await scene.jobs()] == ["kept"]
                raise Undo
        assert [job.task for job in await scene.jobs()] == ["kept"]

    async def test_an_older_id_that_is_committed_late_is_fetched_all_the_same(
        self, scene: Scene, transactions: Transactions
    ) -> None:
        await scene.hire()
        async with transactions.begin() as connection:
            (late,) = await self.defer(scene, connection, new("late"))
            for n in range(5):
                early = await scene.add(f"early {n}")
                assert late < early
                assert await scene.fetch_ids() == [early]
        assert await scene.fetch_ids() == [late]

    async def test_an_older_id_that_is_committed_late_is_head_of_its_lock_only_from_then_on(
        self, scene: Scene, transactions: Transactions
    ) -> None:
        """Order holds among committed jobs."""
        await scene.hire()
        async with transactions.begin() as connection:
            (late,) = await self.defer(scene, connection, new(lock="l"))
            await scene.add(lock="l")
            (job,) = await scene.fetch()
            assert job.id != late
            third = await scene.add(lock="l")
        assert await scene.fetch() == []
        await scene.succeed(job)
        assert await scene.fetch_ids() == [late]
        assert await scene.state(third) is State.BLOCKED

    async def test_every_field_is_stored_as_outside_of_a_transaction(
        self, scene: Scene, transactions: Transactions
    ) -> None:
        job = new(args={"x": [1e22, -0.0]}, queue="q", priority=3, lock="l", lock_mode="mutex", metadata={"m": 1})
        later = new(delay=timedelta(hours=1))
        async with transactions.begin() as connection:
            a, b = await self.defer(scene, connection, job, later)
        c, d = await scene.defer(job, later)
        plain = {job.id: job for job in await scene.jobs()}
        for inside, outside in ((a, c), (b, d)):
            assert repr(plain[inside]).replace(f"id={inside},", "") == repr(plain[outside]).replace(
                f"id={outside},", ""
            )

    async def test_a_refused_job_does_not_break_the_transaction(self, scene: Scene, transactions: Transactions) -> None:
        async with transactions.begin() as connection:
            await self.defer(scene, connection, new("before"))
            with pytest.raises(InvalidArguments) as caught:
                await self.defer(scene, connection, new("never"), new(args={"x": float("nan")}))
            await self.defer(scene, connection, new("after"))
        assert caught.value.index == 1
        assert [job.task for job in await scene.jobs()] == ["before", "after"]

    async def test_an_empty_batch_is_no_error(self, scene: Scene, transactions: Transactions) -> None:
        async with transactions.begin() as connection:
            assert await self.defer(scene, connection) == []

    async def test_a_transaction_that_has_ended_is_refused(self, scene: Scene, transactions: Transactions) -> None:
        async with transactions.begin() as connection:
            pass
        with pytest.raises(ConnectorError):
            await self.defer(scene, connection, new())
        assert await scene.jobs() == []

    @staticmethod
    async def defer(scene: Scene, connection: object, *jobs: NewJob) -> list[int]:
        """Defer in a transaction; return the ids."""
        answer = await scene.connector.defer(jobs, connection=connection, now=scene.now)
        return [deferred.id for deferred in answer]
