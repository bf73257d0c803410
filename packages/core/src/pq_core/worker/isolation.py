"""Run a coroutine in a context of its own, inside a task that outlives it.

The runners of jobs live long, which saves a task per job; without this, a context variable that one job sets would
still be set when the next one runs.
"""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import Any


async def isolated(coroutine: Coroutine[Any, Any, Any], context: Context) -> Any:
    """Await `coroutine` with every step of it run in `context`; return what it returns."""
    try:
        waits_for = context.run(coroutine.send, None)
    except StopIteration as end:
        return end.value
    return await resumed(coroutine, waits_for, context)


@types.coroutine
def resumed(coroutine: Coroutine[Any, Any, Any], waits_for: Any, context: Context) -> Generator[Any, Any, Any]:
    """Await the rest of `coroutine`, which has begun in `context` and waits for something; return what it returns."""
    run, send = context.run, coroutine.send
    try:
        while True:
            try:
                answer = yield waits_for
            except BaseException as error:  # noqa: BLE001 - a cancellation among others; it belongs to the coroutine
                waits_for = run(coroutine.throw, error)
            else:
                waits_for = run(send, answer)
    except StopIteration as end:
        return end.value
    finally:
        coroutine.close()
