"""What surrounds each call that stores jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

import attrs
import pytest

import pq_core as pq
from pq_core.connector import Deferred
from pq_core.defer_middleware import Passage

Jobs = Sequence[pq.NewJob]


@pytest.fixture
def told() -> list[Any]:
    return []


def marking(told: list[Any], name: str) -> Callable[[list[pq.NewJob]], Passage]:
    def mark(jobs: list[pq.NewJob]) -> Passage:
        told.append((name, "in", len(jobs)))
        marks = [*jobs[0].metadata.get("marks", []), name]
        deferred = yield [attrs.evolve(job, metadata={**job.metadata, "marks": marks}) for job in jobs]
        told.append((name, "out", [each.id for each in deferred]))

    return mark


def app_with(*middleware: Any) -> pq.App:
    app = pq.App(connector=pq.InMemoryConnector(), defer_middleware=middleware)

    @app.task(name="task")
    async def task(x: int = 0) -> None: ...

    return app


ONE: list[Callable[[pq.App], object]] = [
    lambda app: app.tasks["task"].defer(x=1),
    lambda app: asyncio.run(app.tasks["task"].defer_async(x=1)),
    lambda app: app.tasks["task"].configure(queue="q").defer(x=1),
    lambda app: app.configure_task("elsewhere").defer(x=1),
    lambda app: asyncio.run(app.configure_task("elsewhere").defer_async(x=1)),
]
MANY: list[Callable[[pq.App], object]] = [
    lambda app: app.tasks["task"].batch_defer([{"x": 1}, {"x": 2}]),
    lambda app: asyncio.run(app.tasks["task"].batch_defer_async([{"x": 1}, {"x": 2}])),
    lambda app: app.defer_many([app.tasks["task"].job(x=1)] * 2),
    lambda app: asyncio.run(app.defer_many_async([app.tasks["task"].job(x=1)] * 2)),
]


@pytest.mark.parametrize("defer, count", [(each, 1) for each in ONE] + [(each, 2) for each in MANY])
def test_one_generator_surrounds_every_way_to_defer(
    told: list[Any], defer: Callable[[pq.App], object], count: int
) -> None:
    app = app_with(marking(told, "a"), marking(told, "b"))
    defer(app)
    ids = [job.id for job in app.jobs.find()]
    assert told == [("a", "in", count), ("b", "in", count), ("b", "out", ids), ("a", "out", ids)]
    assert [job.metadata for job in app.jobs.find()] == [{"marks": ["a", "b"]}] * count


def test_a_blueprints_tasks_are_surrounded_by_the_middleware_of_the_app_that_includes_it(told: list[Any]) -> None:
    app, blueprint = app_with(marking(told, "a")), pq.Blueprint()

    @blueprint.task(name="own")
    def own() -> None: ...

    app.add_tasks_from(blueprint, namespace="lib")
    own.defer()
    assert app.jobs.get(1).metadata == {"marks": ["a"]}


def test_jobs_stored_in_a_callers_transaction_are_surrounded_too(told: list[Any]) -> None:
    app = app_with(marking(told, "a"))
    assert isinstance(app.connector, pq.InMemoryConnector)
    with app.connector.sync.transaction() as transaction:
        app.tasks["task"].configure(connection=transaction).defer()
    assert app.jobs.get(1).metadata == {"marks": ["a"]}
    assert told == [("a", "in", 1), ("a", "out", [1])]


def test_the_replaced_connector_is_surrounded_and_the_other_left_alone(told: list[Any]) -> None:
    app = app_with(marking(told, "a"))
    with app.replace_connector(pq.InMemoryConnector()) as memory:
        app.tasks["task"].defer()
    assert [job.metadata for job in memory.jobs.values()] == [{"marks": ["a"]}]
    assert app.jobs.find() == []


def test_an_error_of_the_store_reaches_all_middleware_and_the_caller(told: list[Any]) -> None:
    def watch(name: str, jobs: list[pq.NewJob]) -> Passage:
        try:
            yield jobs
        except pq.InvalidJob as error:
            told.append((name, error.field))
            if name == "inner":
                return  # to swallow it is of no use: nothing was stored
            raise

    app = app_with(partial(watch, "outer"), partial(watch, "inner"))
    with pytest.raises(pq.InvalidJob):
        app.defer_many([pq.NewJob(task="task", args={"x": float("nan")})])
    assert told == [("inner", "args"), ("outer", "args")]


def test_an_error_of_a_middleware_stores_nothing_and_ends_those_around_it(told: list[Any]) -> None:
    def around(jobs: list[pq.NewJob]) -> Passage:
        try:
            yield jobs
        finally:
            told.append("ended")

    def refuse(jobs: list[pq.NewJob]) -> Passage:
        if jobs[0].priority > 5:
            raise PermissionError("too urgent")
        yield jobs

    app = app_with(around, refuse)
    with pytest.raises(PermissionError, match="too urgent"):
        app.tasks["task"].configure(priority=6).defer()
    assert told == ["ended"]
    assert app.jobs.find() == []


def test_an_error_that_a_middleware_makes_of_another_is_what_those_around_it_and_the_caller_see(
    told: list[Any],
) -> None:
    def around(jobs: list[pq.NewJob]) -> Passage:
        try:
            yield jobs
        except BaseException as error:
            told.append(type(error))
            raise

    def translate(jobs: list[pq.NewJob]) -> Passage:
        try:
            yield jobs
        except pq.InvalidJob as error:
            raise LookupError("mine") from error

    app = app_with(around, translate)
    with pytest.raises(LookupError, match="mine"):
        app.defer_many([pq.NewJob(task="task", args={"x": float("nan")})])
    assert told == [LookupError]


def empty(jobs: list[pq.NewJob]) -> Passage:
    if not jobs:
        yield jobs


def fewer(jobs: list[pq.NewJob]) -> Passage:
    yield []


def nothing(jobs: list[pq.NewJob]) -> Generator[Any, list[Deferred], None]:
    yield


def others(jobs: list[pq.NewJob]) -> Generator[Any, list[Deferred], None]:
    yield ["job"]


@pytest.mark.parametrize(
    "middleware, complaint",
    [
        (empty, "empty ended without `yield jobs`"),
        (fewer, "fewer was given 1 jobs and yielded \\[\\]"),
        (nothing, "nothing was given 1 jobs and yielded None"),
        (others, "others was given 1 jobs and yielded \\['job'\\]"),
    ],
)
def test_a_middleware_that_yields_not_as_many_jobs_is_refused_and_nothing_stored(
    middleware: Any, complaint: str
) -> None:
    app = app_with(middleware)
    with pytest.raises(pq.InvalidOption, match=f"defer middleware {complaint}"):
        app.tasks["task"].defer()
    assert app.jobs.find() == []


def test_a_middleware_that_yields_twice_is_refused() -> None:
    def twice(jobs: list[pq.NewJob]) -> Passage:
        yield jobs
        yield jobs

    with pytest.raises(pq.InvalidOption, match="twice yields more than once; the jobs are stored"):
        app_with(twice).tasks["task"].defer()


async def coroutine(jobs: list[pq.NewJob]) -> None: ...


async def async_generator(jobs: list[pq.NewJob]) -> Any:
    yield jobs


@pytest.mark.parametrize("given", [[len], [coroutine], [async_generator], [None], fewer, "abc"])
def test_what_is_no_list_of_generator_functions_is_refused_where_it_is_given(given: Any) -> None:
    with pytest.raises(pq.InvalidOption, match="defer_middleware"):
        pq.App(connector=pq.InMemoryConnector(), defer_middleware=given)


def test_an_object_may_be_called_as_a_generator_function() -> None:
    class Marking:
        def __call__(self, jobs: list[pq.NewJob]) -> Passage:
            yield [attrs.evolve(job, priority=7) for job in jobs]

    app = app_with(Marking())
    app.tasks["task"].defer()
    assert app.jobs.get(1).priority == 7
