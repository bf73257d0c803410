"""The event loop of a worker that has its thread to itself. It ends on time, whatever still runs in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from pq_core.errors import InvalidOption

MOMENT = 1.0
"""Seconds for tasks to end that were cancelled, or whose worker has left."""

_left_behind: set[asyncio.Task[Any]] = set()
"""Tasks that did not end. Were they forgotten, their coroutines would be closed wherever the garbage is collected."""


def run_in_own_loop(main: Callable[[Callable[[], None]], Coroutine[Any, Any, None]]) -> None:
    """Run `main` in a new event loop, which ends as soon as `main` has, or soon after it has called its argument.

    `asyncio.run` would wait for every task, and for the threads of `asyncio.to_thread`, for as long as they take.

    Raises:
        InvalidOption: an event loop runs in this thread already.
        Exception: whatever `main` raises.
    """
    if _in_a_loop():
        raise InvalidOption("an event loop runs here already: `await app.run_worker_async()`, or `worker.run_async()`")
    loop = asyncio.new_event_loop()
    try:
        asyncio.Runner(loop_factory=lambda: loop).run(_until_left(main))
    finally:
        try:
            loop.run_until_complete(_wind_up(loop))
        finally:
            loop.close()


async def _until_left(main: Callable[[Callable[[], None]], Coroutine[Any, Any, None]]) -> None:
    left = asyncio.Event()
    work = asyncio.create_task(main(left.set))
    leaving = asyncio.create_task(left.wait())
    try:
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:  # Ctrl-C, where the worker does not take signals itself
        work.cancel()
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        raise
    await asyncio.wait({work}, timeout=MOMENT)
    if work.done():
        work.result()


async def _wind_up(loop: asyncio.AbstractEventLoop) -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    rest.add(asyncio.create_task(loop.shutdown_asyncgens()))
    _, stuck = await asyncio.wait(rest, timeout=MOMENT)
    _left_behind.update(stuck)


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
