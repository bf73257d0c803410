"""Unique keys in transactions: they are taken, and given back, with the jobs."""

from __future__ import annotations

from contextlib import suppress

import pytest

from pq_core.connector import Deferred
from pq_core.errors import AlreadyDeferred
from pq_core.states import State
from pq_testing.conformance.case import Case, Transactions, Undo
from pq_testing.conformance.scene import Scene, new
from pq_testing.conformance.uniqueness import HOUR, defer, is_free, meet


class KeysInTransactions(Case):
    """Keys that are taken in the caller's transaction."""

    async def test_a_rollback_leaves_keys_and_periods_free(self, scene: Scene, transactions: Transactions) -> None:
        with suppress(Undo):
            async with transactions.begin() as connection:
                await defer(scene, new(unique_key="k", unique_period=HOUR), connection=connection)
                raise Undo
        assert await is_free(scene)

    async def test_a_commit_takes_them(self, scene: Scene, transactions: Transactions) -> None:
        async with transactions.begin() as connection:
            (deferred,) = await defer(scene, new(unique_key="k", unique_period=HOUR), connection=connection)
        assert await meet(scene, on_conflict="skip") == Deferred(deferred.id, "skipped")
        await scene.cancel(deferred.id)
        assert not await is_free(scene)

    async def test_a_transaction_meets_its_own_jobs(self, scene: Scene, transactions: Transactions) -> None:
        async with transactions.begin() as connection:
            (first,) = await defer(scene, new(unique_key="k", args={"n": 1}), connection=connection)
            with pytest.raises(AlreadyDeferred) as caught:
                await defer(scene, new(unique_key="k"), connection=connection)
            again = new(unique_key="k", args={"n": 2}, on_conflict="replace")
            assert await defer(scene, again, connection=connection) == [Deferred(first.id, "replaced")]
        assert caught.value.job_id == first.id
        assert [(job.id, job.args) for job in await scene.jobs()] == [(first.id, {"n": 2})]

    async def test_a_refused_batch_does_not_break_the_transaction(
        self, scene: Scene, transactions: Transactions
    ) -> None:
        await scene.add(unique_key="k")
        async with transactions.begin() as connection:
            for jobs in ([new(unique_key="k")], [new("never"), new(unique_key="n"), new(unique_key="k")]):
                with pytest.raises(AlreadyDeferred):
                    await defer(scene, *jobs, connection=connection)
            await defer(scene, new("after", unique_key="n"), connection=connection)
        assert [job.task for job in await scene.jobs()] == ["work", "after"]

    async def test_a_savepoint_rolled_back_gives_its_keys_back(self, scene: Scene, transactions: Transactions) -> None:
        async with transactions.begin() as connection:
            (first,) = await defer(scene, new(unique_key="a", args={"n": 1}), connection=connection)
            with suppress(Undo):
                async with transactions.savepoint(connection):
                    fresh = new("never", unique_key="b", unique_period=HOUR)
                    again = new(unique_key="a", args={"n": 2}, on_conflict="replace")
                    await defer(scene, fresh, again, connection=connection)
                    raise Undo
            (second,) = await defer(scene, new("kept", unique_key="b"), connection=connection)
        assert second.status == "new"
        assert [(job.id, job.args) for job in await scene.jobs()] == [(first.id, {"n": 1}), (second.id, {})]

    @pytest.mark.parametrize("commit", [True, False])
    async def test_a_job_that_a_transaction_replaces_is_not_claimed_before_its_end(
        self, scene: Scene, transactions: Transactions, *, commit: bool
    ) -> None:
        await scene.hire()
        first = await scene.add(unique_key="k", args={"n": 1})
        with suppress(Undo):
            async with transactions.begin() as connection:
                again = new(unique_key="k", args={"n": 2}, on_conflict="replace")
                assert await defer(scene, again, connection=connection) == [Deferred(first, "replaced")]
                assert (await scene.job(first)).args == {"n": 1}
                # It may well say `again`, for as long as the transaction is open.
                assert [*(await scene.connector.fetch(1, None, 10, now=scene.now)).jobs] == []
                if not commit:
                    raise Undo
        (job,) = await scene.fetch()
        assert (job.id, job.args) == (first, {"n": 2 if commit else 1})

    async def test_an_expired_job_is_ended_by_the_commit(self, scene: Scene, transactions: Transactions) -> None:
        late = await scene.add(unique_key="k", expires_at=scene.now)
        for commit in (False, True):
            with suppress(Undo):
                async with transactions.begin() as connection:
                    (deferred,) = await defer(scene, new(unique_key="k"), connection=connection)
                    assert deferred.status == "new"
                    if not commit:
                        raise Undo
            job = await scene.job(late)
            assert (job.state, job.finished_at) == ((State.CANCELLED, scene.now) if commit else (State.READY, None))
