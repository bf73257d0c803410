"""Functions become tasks: their names, their options, and what is refused."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import pq_core as pq
from pq_core.job import MAX_LOSSES


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.InMemoryConnector())


def module_level(a: int) -> int:
    """Return what it is given."""
    return a


def make_task(app: pq.App, **options: Any) -> Any:
    decorate: Any = app.task(**options)
    return decorate(module_level)


class Caller:
    def __call__(self) -> None: ...


def hiding(func: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapper


def polite(func: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapper


def test_calling_a_task_just_calls_the_function(app: pq.App) -> None:
    @app.task
    def add(a: int, b: int) -> int:
        return a + b

    assert add(3, 5) == 8
    assert app.jobs.find() == []


def test_a_task_is_named_after_its_module_and_function(app: pq.App) -> None:
    task = app.task(module_level)
    assert task.name == f"{__name__}.module_level"
    assert app.tasks[task.name] is task


def test_a_task_looks_like_its_function(app: pq.App) -> None:
    task = app.task(module_level)
    assert task.__doc__ == "Return what it is given."
    assert inspect.signature(task) == inspect.signature(module_level)
    assert inspect.unwrap(task) is module_level


def test_options_may_be_left_out(app: pq.App) -> None:
    task = app.task(module_level)
    assert (task.queue, task.priority, task.lock, task.lock_mode) == ("default", 0, None, "ordered")
    assert (task.retry, task.keep, task.middleware, task.aliases) == (None, None, (), ())
    assert (task.max_losses, task.is_async, task.pass_context) == (MAX_LOSSES, False, False)


def test_options_reach_the_job(app: pq.App) -> None:
    @app.task(name="n", queue="q", priority=7, lock="l", lock_mode="mutex", max_losses=1)
    async def task() -> None: ...

    job = task.job()
    assert (job.task, job.queue, job.priority, job.lock, job.lock_mode, job.max_losses) == (
        "n",
        "q",
        7,
        "l",
        "mutex",
        1,
    )
    assert task.is_async


def test_a_task_answers_to_its_aliases(app: pq.App) -> None:
    task = app.task(name="new", aliases=["old", "older"])(module_level)
    assert app.tasks["old"] is app.tasks["older"] is task
    assert list(app.tasks) == ["new"]
    assert "old" in app.tasks
    assert app.tasks.get("oldest") is None


def test_an_async_callable_object_is_an_async_task(app: pq.App) -> None:
    class Fetch:
        async def __call__(self, url: str) -> str:
            return url

    task = app.task(name="fetch")(Fetch())
    assert task.is_async
    assert task.job("x").args == {"url": "x"}


def test_an_unknown_name_is_not_found_and_near_ones_are_told(app: pq.App) -> None:
    app.task(name="mails.send")(module_level)
    with pytest.raises(pq.TaskNotFound, match=r"'mails.sned'; did you mean 'mails.send'"):
        app.tasks["mails.sned"]
    with pytest.raises(pq.TaskNotFound, match="no task at all"):
        pq.App(connector=pq.InMemoryConnector()).tasks["x"]


@pytest.mark.parametrize("taken", [{"name": "a"}, {"name": "b"}, {"name": "c", "aliases": ["a"]}])
def test_a_name_or_alias_belongs_to_one_task(app: pq.App, taken: dict[str, Any]) -> None:
    app.task(name="a", aliases=["b"])(module_level)
    with pytest.raises(pq.TaskAlreadyRegistered, match="is taken by"):
        make_task(app, **taken)
    assert list(app.tasks) == ["a"]


def test_a_task_cannot_have_its_name_as_alias(app: pq.App) -> None:
    with pytest.raises(pq.TaskAlreadyRegistered):
        app.task(name="a", aliases=["a"])(module_level)
    assert len(app.tasks) == 0


@pytest.mark.parametrize(
    "func",
    [lambda: None, functools.partial(module_level, 1), hiding(module_level), Caller()],
    ids=["lambda", "partial", "hidden by a decorator", "callable object"],
)
def test_a_function_without_a_name_of_its_own_is_refused_with_the_way_out(
    app: pq.App, func: Callable[..., Any]
) -> None:
    with pytest.raises(pq.InvalidOption, match=r"functools\.wraps.*name="):
        app.task(func)
    assert app.task(name="given")(func).name == "given"


def test_a_decorator_that_hides_the_name_is_refused_at_the_first_task(app: pq.App) -> None:
    def local_hiding(func: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper() -> Any:
            return func()

        return wrapper

    with pytest.raises(pq.InvalidOption, match=r"local_hiding.<locals>.wrapper was made by a call"):

        @app.task
        @local_hiding
        def task() -> None: ...


def test_a_decorator_that_uses_wraps_keeps_the_name(app: pq.App) -> None:
    assert app.task(polite(module_level)).name == f"{__name__}.module_level"


def test_a_function_may_be_registered_where_it_is_defined(app: pq.App) -> None:
    class Holder:
        @staticmethod
        @app.task
        def inner() -> None: ...

    def deeper() -> pq.Task[[], None]:
        @app.task
        def innermost() -> None: ...

        return innermost

    assert Holder.inner.name.endswith("<locals>.Holder.inner")
    assert deeper().name.endswith("deeper.<locals>.innermost")


@pytest.mark.parametrize(
    "options,why",
    [
        ({"quue": "x"}, "no option 'quue'; its options are aliases, delivery, "),
        ({"queue": ""}, "task 't': queue '' is not"),
        ({"queue": "q" * 501}, "501 characters"),
        ({"priority": 40_000}, "priority 40000"),
        ({"lock": "l" * 2_001}, "2001 characters"),
        ({"lock": "\x00"}, "NUL"),
        ({"lock": "\ud800"}, "surrogate"),
        ({"lock_mode": "loose"}, "lock_mode 'loose'"),
        ({"retry": 0}, "retry 0"),
        ({"name": ""}, "is not a text"),
        ({"name": "n" * 501}, "501 characters"),
        ({"aliases": "old"}, "give a list"),
        ({"aliases": [""]}, "alias ''"),
        ({"keep": "some"}, "keep 'some'"),
        ({"max_losses": 0}, "max_losses 0"),
        ({"middleware": print}, "give a list"),
        ({"middleware": [5]}, "middleware 5"),
    ],
)
def test_an_impossible_option_is_refused_where_the_task_is_declared(
    app: pq.App, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(pq.InvalidOption, match=why):
        make_task(app, **{"name": "t", **options})
    assert len(app.tasks) == 0


def test_middleware_of_the_other_kind_is_refused(app: pq.App) -> None:
    async def surround(call_next: Any, context: pq.JobContext) -> Any:
        return await call_next()

    with pytest.raises(pq.InvalidOption, match=r"middleware .* of task"):
        app.task(middleware=[surround])(module_level)


def test_a_generator_is_refused(app: pq.App) -> None:
    def numbers() -> Any:
        yield 1

    async def more() -> Any:
        yield 1

    for func in (numbers, more):
        with pytest.raises(pq.InvalidOption, match="is a generator"):
            app.task(func)


def test_a_task_with_context_is_called_with_one_and_deferred_without(app: pq.App) -> None:
    @app.task(pass_context=True)
    def task(context: pq.JobContext, a: int) -> int:
        return a

    assert isinstance(task, pq.ContextTask)
    context: Any = object()
    assert task(context, 5) == 5
    assert task.job(5).args == {"a": 5}
