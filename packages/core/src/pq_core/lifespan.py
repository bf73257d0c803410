"""What surrounds the life of a worker: a context manager of the user's, async or sync."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Any

from pq_core.errors import InvalidOption, shown

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any] | AbstractContextManager[Any]]
"""A function of the worker."""

_WAY_OUT = "write a generator function of the worker, under contextlib.asynccontextmanager or contextlib.contextmanager"


def check_lifespan(lifespan: object) -> None:
    """Refuse what makes no context manager.

    Raises:
        InvalidOption: it is neither None nor a function that may make one.
    """
    if lifespan is None:
        return
    if not callable(lifespan):
        raise InvalidOption(f"worker_lifespan {shown(lifespan)} cannot be called; {_WAY_OUT}")
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(is_it(lifespan) for is_it in kinds):
        raise InvalidOption(f"worker_lifespan {shown(lifespan)} makes no context manager; {_WAY_OUT}")


@asynccontextmanager
async def entered(lifespan: Lifespan | None, worker: Any) -> AsyncGenerator[Any]:
    """Enter the lifespan, give what it gives, and leave it at the end. A sync one must not wait for long.

    Raises:
        InvalidOption: the function has returned no context manager.
    """
    if lifespan is None:
        yield None
        return
    manager: Any = lifespan(worker)
    if hasattr(manager, "__aenter__"):
        async with manager as state:
            yield state
    elif hasattr(manager, "__enter__"):
        with manager as state:
            yield state
    else:
        raise InvalidOption(f"worker_lifespan returned {shown(manager)}, which is no context manager; {_WAY_OUT}")
