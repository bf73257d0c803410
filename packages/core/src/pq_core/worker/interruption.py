"""How one runner is cancelled and its neighbours are not, and how it knows that it was.

Each as its event loop is used to. Under asyncio the cancellation is raised once, and code that tidies up may await;
under trio every await of the task is cancelled that is not shielded.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import attrs

T = TypeVar("T")


@attrs.frozen
class Interruption:
    """The cancellation of one task of the event loop.

    Attributes:
        begin: cancels it.
        felt: returns something true once it was cancelled, by `begin` or by anybody else. It should then run nothing
            more: asyncio counts cancellations for the life of a task, and code such as `asyncio.timeout` goes by them.
    """

    begin: Callable[[], object]
    felt: Callable[[], object]


def interruption_of_this_task(scope: anyio.CancelScope) -> Interruption:
    """Return the interruption of the task that runs here, and that has just entered `scope`."""
    if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - async code runs in a task
        return Interruption(task.cancel, task.cancelling)
    return Interruption(scope.cancel, lambda: scope.cancel_called)


def everything_is_cancelled() -> bool:
    """Return whether a scope around this task is cancelled: the worker ends, it is not the task alone."""
    return anyio.current_effective_deadline() == -math.inf


async def within(seconds: float, work: Awaitable[T], over: Callable[[], bool]) -> T:
    """Await `work`, and cancel it when the time is up, as an interruption does; return what it returns all the same.

    Args:
        seconds: in the time of the event loop.
        work: what to await.
        over: is called when the time is up; returns whether to cancel.

    Raises:
        BaseException: what `work` raises.
        TimeoutError: under trio, if it was cancelled.
    """
    if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
        with _Alarm(seconds, over):
            return await work
    with anyio.CancelScope(deadline=anyio.current_time() + seconds) as scope:
        try:
            return await work
        finally:
            if scope.cancel_called:
                over()
    raise TimeoutError


class _Alarm:
    """Cancels a task of asyncio, unless it is left before."""

    def __init__(self, seconds: float, over: Callable[[], bool]) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - async code runs in a task
        self._task = task
        self._over = over
        self._rang = False
        self._timer = asyncio.get_running_loop().call_later(seconds, self._ring)

    def __enter__(self) -> None:
        """Do nothing: it runs already."""

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._rang:
            self._task.uncancel()

    def _ring(self) -> None:
        if self._over():
            self._rang = True
            self._task.cancel()
