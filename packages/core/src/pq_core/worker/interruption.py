"""How one runner is cancelled and its neighbours are not, and how it knows that it was.

Each as its event loop is used to. Under asyncio the cancellation is raised once, and code that tidies up may await;
under trio every await of the task is cancelled that is not shielded.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import anyio
import attrs


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
