"""Code of the user's that surrounds each run of a task.

A middleware is a function of `call_next` and the job's context. It calls ``call_next()``, without arguments, and
returns what that returned, or something else; or it raises. The first one of a list is the outermost. Those of the app
surround those of the task.

Async tasks have async middleware; sync tasks have sync middleware, which runs in the task's thread.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from pq_core.context import JobContext
from pq_core.errors import InvalidOption, shown
from pq_core.given import several

AsyncMiddleware = Callable[[Callable[[], Awaitable[Any]], JobContext], Awaitable[Any]]
SyncMiddleware = Callable[[Callable[[], Any], JobContext], Any]
Middleware = AsyncMiddleware | SyncMiddleware


def is_async_middleware(middleware: Callable[..., Any]) -> bool:
    """Return whether `middleware` surrounds async tasks; otherwise it surrounds sync ones."""
    inner = middleware.func if isinstance(middleware, partial) else middleware
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(getattr(inner, "__call__", None))  # noqa: B004 - an object with an async __call__ is one, too


def check_middleware(middleware: Sequence[Callable[..., Any]], *, is_async: bool, task: str) -> None:
    """Refuse middleware of a task that is not of the task's own kind.

    Raises:
        InvalidOption: one is async and the task is not, or the other way round.
    """
    for each in middleware:
        if not callable(each):
            raise InvalidOption(f"middleware {shown(each)} of task {task!r} cannot be called")
        if is_async_middleware(each) is not is_async:
            kind, wanted = ("sync", "async def") if is_async else ("async", "def")
            raise InvalidOption(
                f"middleware {each!r} of task {task!r} is {kind} and the task is not; write it with `{wanted}`"
            )


def check_common_middleware(middleware: object) -> None:
    """Refuse what is no list of functions.

    Raises:
        InvalidOption: it is none.
    """
    for each in several("middleware", middleware, "a list of functions"):
        if not callable(each):
            raise InvalidOption(f"middleware {shown(each)} of the app cannot be called")


def surround(
    call: Callable[..., Any], common: Sequence[Callable[..., Any]], own: Sequence[Callable[..., Any]], *, is_async: bool
) -> Callable[..., Any]:
    """Return a function of a context, positional and keyword arguments that calls `call` inside all middleware.

    Args:
        call: the task's function.
        common: the app's; those of the other kind are left out.
        own: the task's.
        is_async: the kind of the task. If it is true, what the function returns is to be awaited.
    """
    inwards = [*reversed(own), *(each for each in reversed(common) if is_async_middleware(each) is is_async)]
    if not inwards:
        return partial(_call_bare, call)

    def call_surrounded(context: JobContext, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call_next: Callable[[], Any] = partial(call, *args, **kwargs)
        for each in inwards:
            call_next = partial(each, call_next, context)
        return call_next()

    return call_surrounded


def _call_bare(call: Callable[..., Any], _: JobContext, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return call(*args, **kwargs)
