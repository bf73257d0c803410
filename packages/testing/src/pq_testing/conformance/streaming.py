"""Streaming: any number of jobs, made while others are sent, all or none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import pytest
from anyio import to_thread

from pq_core.answers import Deferred
from pq_core.errors import AlreadyDeferred, InvalidArguments
from pq_core.job import NewJob
from pq_core.streaming import BATCH, Tell, can_stream, stream, stream_async
from pq_testing.conformance.case import Case, Transactions
from pq_testing.conformance.scene import Scene, new

SEVERAL = 2 * BATCH + 3
"""Jobs that make three batches, of which the last is a short one."""
Pass = Callable[[Iterable[NewJob], Tell], Any]


def jobs(count: int = SEVERAL) -> Iterator[NewJob]:
    """Yield jobs that know their place."""
    for place in range(count):
        yield new("work", args={"n": place})


class Streaming(Case):
    """What is given to a connector as a stream: through `defer_batches` if it has that, else `defer`."""

    @pytest.fixture(params=["async", "sync"])
    def send(self, request: pytest.FixtureRequest, scene: Scene) -> Iterator[Pass]:
        """Send a stream through the connector, or its twin in another thread."""
        twin = scene.connector.sync

        async def awaited(given: Iterable[NewJob], tell: Tell) -> None:
            await stream_async(scene.connector, given, tell)

        async def called(given: Iterable[NewJob], tell: Tell) -> None:
            await to_thread.run_sync(lambda: stream(twin, given, tell))

        if request.param == "async":
            yield awaited
            return
        twin.open()
        yield called
        twin.close()

    async def test_a_stream_is_stored_in_its_order_and_told_of_batch_by_batch(self, scene: Scene, send: Pass) -> None:
        told: list[list[Deferred]] = []
        await send(jobs(), told.append)
        assert [len(answers) for answers in told] == [BATCH, BATCH, 3]
        stored = await scene.jobs()
        assert [answer.id for answers in told for answer in answers] == [job.id for job in stored]
        assert [job.args["n"] for job in stored] == list(range(SEVERAL))

    async def test_an_empty_stream_stores_nothing(self, scene: Scene, send: Pass) -> None:
        told: list[Any] = []
        await send([], told.append)
        assert told == []
        assert await scene.jobs() == []

    async def test_an_error_while_jobs_are_made_leaves_none(self, scene: Scene, send: Pass) -> None:
        def ends_badly() -> Iterator[NewJob]:
            yield from jobs()
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            await send(ends_badly(), lambda _: None)
        assert await scene.jobs() == []

    async def test_an_error_of_who_is_told_leaves_none(self, scene: Scene, send: Pass) -> None:
        if not (self.supports_transactions or can_stream(scene.connector)):
            pytest.skip("supports_transactions is False: all is stored when the first is told of")
        told: list[Any] = []

        def tell(answers: list[Deferred]) -> None:
            told.append(answers)
            if len(told) == 2:
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            await send(jobs(), tell)
        assert await scene.jobs() == []

    async def test_a_bad_job_of_a_later_batch_is_named_by_its_place_in_the_stream_and_leaves_none(
        self, scene: Scene, send: Pass
    ) -> None:
        bad = new(args={"x": {1}})
        with pytest.raises(InvalidArguments, match=f"^job {BATCH + 7} of the batch: args") as caught:
            await send([*jobs(BATCH + 7), bad, *jobs(5)], lambda _: None)
        assert caught.value.index == BATCH + 7
        assert await scene.jobs() == []

    async def test_a_bad_job_that_is_a_batch_alone_is_named_too(self, scene: Scene, send: Pass) -> None:
        with pytest.raises(InvalidArguments) as caught:
            await send([*jobs(BATCH), new(args={"x": {1}})], lambda _: None)
        assert caught.value.index == BATCH
        assert await scene.jobs() == []

    async def test_a_key_that_an_earlier_batch_has_taken_refuses_the_stream(self, scene: Scene, send: Pass) -> None:
        keyed = new(unique_key="k")
        with pytest.raises(AlreadyDeferred) as caught:
            await send([keyed, *jobs(BATCH), keyed], lambda _: None)
        assert caught.value.index == BATCH + 1
        assert await scene.jobs() == []

    async def test_a_job_gives_way_to_one_of_an_earlier_batch(self, scene: Scene, send: Pass) -> None:
        keyed = new(unique_key="k", on_conflict="skip")
        told: list[Deferred] = []
        await send([keyed, *jobs(BATCH), keyed], told.extend)
        assert [answer.status for answer in told] == ["new"] * (BATCH + 1) + ["skipped"]
        assert told[-1].id == told[0].id
        assert len(await scene.jobs()) == BATCH + 1

    async def test_a_stream_may_be_awaited(self, scene: Scene) -> None:
        async def made() -> AsyncIterator[NewJob]:
            for job in jobs(BATCH + 1):
                yield job

        told: list[Deferred] = []
        await stream_async(scene.connector, made(), told.extend)
        assert [job.id for job in await scene.jobs()] == [answer.id for answer in told]

    async def test_a_stream_shares_the_fate_of_a_transaction(self, scene: Scene, transactions: Transactions) -> None:
        told: list[Deferred] = []
        async with transactions.begin() as connection:
            await stream_async(scene.connector, jobs(BATCH + 1), told.extend, connection)
            assert await scene.jobs() == []
        assert [job.id for job in await scene.jobs()] == [answer.id for answer in told]
        with pytest.raises(KeyError):
            await self.rolled_back(scene, transactions)
        assert len(await scene.jobs()) == BATCH + 1

    async def rolled_back(self, scene: Scene, transactions: Transactions) -> None:
        """Store a stream in a transaction that comes to nothing."""
        async with transactions.begin() as connection:
            await stream_async(scene.connector, jobs(BATCH + 1), lambda _: None, connection)
            raise KeyError
