"""From any number of arguments to stored jobs, few at a time, sync and async alike."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import pq_core as pq
from pq_core.defer_middleware import Passage
from pq_core.streaming import BATCH

COUNT = 2 * BATCH + 3


def arguments(count: int = COUNT) -> Iterator[dict[str, int]]:
    for number in range(count):
        yield {"x": number}


class Shop:
    def __init__(self, *, is_async: bool, middleware: Any = ()) -> None:
        self.memory = pq.InMemoryConnector()
        self.app = pq.App(connector=self.memory, defer_middleware=middleware)
        self.is_async = is_async

        @self.app.task(name="work")
        def work(x: int) -> None: ...

        @self.app.task(name="once", unique=pq.Unique(on_conflict="skip"))
        def once(x: int) -> None: ...

        self.work, self.once = work, once

    def stream(self, subject: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.is_async:
            return subject.defer_stream(*args, **kwargs)

        async def call() -> Any:
            return await subject.defer_stream_async(*args, **kwargs)

        return anyio.run(call)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def shop(*, is_async: bool) -> Shop:
    return Shop(is_async=is_async)


def test_a_stream_stores_a_job_for_each_dict_and_says_how_many(shop: Shop) -> None:
    assert shop.stream(shop.work, arguments()) == COUNT
    assert [job.args["x"] for job in shop.memory.jobs.values()] == list(range(COUNT))


def test_an_app_stores_a_stream_of_jobs_of_any_tasks(shop: Shop) -> None:
    jobs = (task.job(x=number) for number in range(BATCH) for task in (shop.work, shop.once))
    assert shop.stream(shop.app, jobs) == 2 * BATCH
    assert [job.task for job in shop.memory.jobs.values()] == ["work", "once"] * BATCH


def test_progress_is_told_batch_by_batch(shop: Shop) -> None:
    told: list[int] = []
    shop.stream(shop.work, arguments(), on_progress=told.append)
    assert told == [BATCH, 2 * BATCH, COUNT]


def test_options_are_those_of_configure(shop: Shop) -> None:
    shop.stream(shop.work.configure(queue="later", lock="one"), arguments(3))
    assert {(job.queue, job.lock) for job in shop.memory.jobs.values()} == {("later", "one")}


def test_jobs_that_give_way_to_one_of_their_key_do_not_count(shop: Shop) -> None:
    assert shop.stream(shop.once, [*arguments(), *arguments(7)]) == COUNT
    assert len(shop.memory.jobs) == COUNT


def test_few_arguments_are_taken_before_the_first_are_stored(shop: Shop) -> None:
    taken: list[int] = []
    ahead: list[int] = []

    def counted() -> Iterator[dict[str, int]]:
        for each in arguments():
            taken.append(each["x"])
            yield each

    shop.stream(shop.work, counted(), on_progress=lambda done: ahead.append(len(taken) - done))
    assert max(ahead) == 0


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"y": 1}, "missing a required argument: 'x'"),
        ({"x": {1}}, "args['x'] = {1} cannot be stored as JSON"),
        ([1], "[1] is not a dict of arguments"),
    ],
    ids=["misfit", "json", "list"],
)
def test_bad_arguments_are_named_by_their_place_and_leave_nothing(shop: Shop, bad: Any, message: str) -> None:
    with pytest.raises(pq.InvalidArguments, match=re.escape(f"job {BATCH + 1} of the batch: {message}")) as caught:
        shop.stream(shop.work, [*arguments(BATCH + 1), bad, *arguments(5)])
    assert caught.value.index == BATCH + 1
    assert shop.memory.jobs == {}


@pytest.mark.parametrize("given", [{"x": 1}, "x", 7, None], ids=repr)
def test_what_is_no_stream_is_refused(shop: Shop, given: Any) -> None:
    with pytest.raises(pq.InvalidJob, match="is not a list"):
        shop.stream(shop.work, given)
    with pytest.raises(pq.InvalidJob, match="is not a list"):
        shop.stream(shop.app, given)


def test_what_is_no_job_is_refused_by_its_place(shop: Shop) -> None:
    with pytest.raises(pq.InvalidJob, match=r"^job 1 of the batch is \{'x': 1\}, not a NewJob") as caught:
        shop.stream(shop.app, [shop.work.job(x=1), {"x": 1}])
    assert caught.value.index == 1
    assert shop.memory.jobs == {}


async def waits(done: int) -> None: ...


@pytest.mark.parametrize("progress", [7, "print", waits], ids=["number", "text", "coroutine"])
def test_progress_that_cannot_be_told_is_refused(shop: Shop, progress: Any) -> None:
    with pytest.raises(pq.InvalidOption, match=r"on_progress .* is no function that can be called with a number"):
        shop.stream(shop.work, arguments(), on_progress=progress)
    assert shop.memory.jobs == {}


def test_an_async_generator_is_read_as_it_comes() -> None:
    shop = Shop(is_async=True)
    closed: list[bool] = []

    async def made() -> AsyncIterator[dict[str, int]]:
        try:
            for each in arguments():
                yield each
        finally:
            closed.append(True)

    assert shop.stream(shop.work, made()) == COUNT
    jobs = (shop.work.job(**each) async for each in made())
    assert shop.stream(shop.app, jobs) == COUNT
    assert closed == [True, True]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("fault", ["in the progress", "in an argument", "a cancellation"])
def test_a_generator_is_closed_by_the_time_that_its_stream_has_failed(backend: str, fault: str) -> None:
    shop = Shop(is_async=True)
    closed: list[str] = []

    async def made(name: str, good: object) -> AsyncIterator[Any]:
        try:
            for _ in range(COUNT):
                yield good
            if fault == "in an argument":
                yield "bad"
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            closed.append(name)

    def stop(_: int) -> None:
        if fault == "in the progress":
            raise RuntimeError

    async def call() -> None:
        for subject, jobs in ((shop.work, made("arguments", {"x": 1})), (shop.app, made("jobs", shop.work.job(x=1)))):
            with pytest.raises((RuntimeError, pq.InvalidJob, TimeoutError)):
                with anyio.fail_after(0.2 if fault == "a cancellation" else 10):
                    await subject.defer_stream_async(jobs, on_progress=stop)
        assert closed == ["arguments", "jobs"]

    anyio.run(call, backend=backend)
    assert shop.memory.jobs == {}


def test_a_transaction_of_the_callers_takes_a_stream_in() -> None:
    shop = Shop(is_async=False)
    with shop.memory.transaction() as transaction:
        shop.work.configure(connection=transaction).defer_stream(arguments())
        assert shop.memory.jobs == {}
    assert len(shop.memory.jobs) == COUNT


def test_middleware_sees_each_batch_as_a_call(*, is_async: bool) -> None:
    told: list[tuple[str, int]] = []

    def watch(jobs: list[pq.NewJob]) -> Passage:
        told.append(("in", len(jobs)))
        deferred = yield jobs
        told.append(("out", len(deferred)))

    shop = Shop(is_async=is_async, middleware=[watch])
    assert shop.stream(shop.work, arguments()) == COUNT
    assert told == [("in", BATCH), ("out", BATCH)] * 2 + [("in", 3), ("out", 3)]


def test_middleware_is_told_of_an_error_of_the_stream(*, is_async: bool) -> None:
    told: list[str] = []

    def watch(jobs: list[pq.NewJob]) -> Passage:
        try:
            yield jobs
        except pq.AlreadyDeferred as error:
            told.append(f"{error.index}")
            raise
        told.append("stored")

    shop = Shop(is_async=is_async, middleware=[watch])
    keyed = shop.work.configure(unique="one")
    with pytest.raises(pq.AlreadyDeferred, match=f"^job {BATCH} of the batch: unique_key 'one' is taken") as caught:
        shop.stream(shop.app, [*(shop.work.job(x=n) for n in range(BATCH - 1)), keyed.job(x=1), keyed.job(x=2)])
    assert caught.value.index == BATCH
    assert told[0] == "stored"
    assert len(told) == 2
    assert shop.memory.jobs == {}
