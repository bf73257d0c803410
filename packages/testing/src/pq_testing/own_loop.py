"""The own loop: one event loop of asyncio, reused for the whole session, in which sync tests drain.

`asyncio.run` makes a loop and ends it at each call, which takes longer than a drain does. Each thread has an own loop,
and one more for each drain inside a drain.
"""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from pq_testing import no_loop

T = TypeVar("T")

MOMENT = 1.0
"""Seconds for tasks to end that were cancelled."""

_idle = threading.local()
"""Its attribute `loops`: own loops of this thread in which nothing runs now; the latest used is the last."""
_owners: dict[OwnLoop, threading.Thread] = {}
_stuck: set[asyncio.Task[Any]] = set()
"""Tasks that did not end when cancelled. Were they forgotten, the garbage collector would close them anywhere."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run `coroutine` in an own loop of this thread; return what it returns, raise what it raises.

    A loop that runs in this thread already, of asyncio or trio, is hidden from it, and waits.

    Tasks that it leaves behind go on in the next run, or end at :func:`settle`.
    """
    __tracebackhide__ = True
    loop = _borrow()
    hidden = no_loop.hide()
    try:
        return _run(loop, coroutine)
    finally:
        hidden.restore()
        _idle.loops.append(loop)


def in_a_loop() -> bool:
    """Return whether an event loop of asyncio or trio runs in this thread."""
    return no_loop.in_a_loop()


def is_own(loop: object) -> bool:
    """Return whether `loop` is one of these, which outlives a test."""
    return isinstance(loop, OwnLoop)


def settle() -> list[str]:
    """End, after a test, what is left in own loops; return the names of the tasks that had to be cancelled."""
    names: list[str] = []
    for loop, thread in list(_owners.items()):
        if thread is threading.current_thread():
            if not loop.is_running():
                names += _settle(loop)
        elif not thread.is_alive():
            names += _settle(loop)
            _close(loop)
    return names


def close() -> None:
    """Close all own loops in which nothing runs. They are made anew if needed again."""
    for loop in list(_owners):
        if not loop.is_running():
            _settle(loop)
            _close(loop)


class OwnLoop(asyncio.SelectorEventLoop):
    """An event loop that outlives a test; its threads do not. Virtual time needs its selector, and psycopg does."""

    threads: ThreadPoolExecutor | None = None

    def set_default_executor(self, executor: Any) -> None:
        """Do what every loop does."""
        self.threads = executor
        super().set_default_executor(executor)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        """Do what every loop does."""
        if executor is None and self.threads is None:
            self.set_default_executor(ThreadPoolExecutor(thread_name_prefix="pq-own-loop"))
        return super().run_in_executor(executor, func, *args)


def _borrow() -> OwnLoop:
    loops: list[OwnLoop] | None = getattr(_idle, "loops", None)
    if loops is None:
        loops = _idle.loops = []
    while loops:
        loop = loops.pop()
        if not loop.is_closed():
            return loop
    loop = OwnLoop()
    if not _owners:
        atexit.register(close)  # for who does not run under the plugin; a second registration does no harm
    _owners[loop] = threading.current_thread()
    return loop


def _run(loop: OwnLoop, coroutine: Coroutine[Any, Any, T]) -> T:
    __tracebackhide__ = True
    task = loop.create_task(coroutine)
    try:
        return loop.run_until_complete(task)
    except BaseException as error:
        if not task.done():  # Ctrl-C, or a loop that was stopped
            task.cancel()
            _wait(loop, {task})
        if task.done() and not task.cancelled() and task.exception() is error:
            # Not "from" anything: that would hide which error it was raised in the wake of.
            raise error.with_traceback(_beyond_asyncio(error.__traceback__))  # noqa: B904
        raise


def _beyond_asyncio(trace: TracebackType | None) -> TracebackType | None:
    """Skip the frames between here and the coroutine: how an event loop is run tells a test nothing."""
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").split(".")[0] != "asyncio":
        trace = trace.tb_next
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").split(".")[0] == "asyncio":
        trace = trace.tb_next
    return trace


def _settle(loop: OwnLoop) -> list[str]:
    hidden = no_loop.hide()
    try:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            _wait(loop, tasks)
    finally:
        hidden.restore()
    if loop.threads is not None:
        loop.threads.shutdown(wait=False, cancel_futures=True)
        loop.threads = None
    if any(not task.done() for task in tasks):
        _stuck.update(task for task in tasks if not task.done())
        _close(loop)
    return [_described(task) for task in tasks]


def _wait(loop: OwnLoop, tasks: set[asyncio.Task[Any]]) -> None:
    waiting = loop.create_task(asyncio.wait(tasks, timeout=MOMENT))
    while not waiting.done():
        try:
            loop.run_until_complete(waiting)
        except (KeyboardInterrupt, SystemExit) as error:
            if not any(_raised(task) is error for task in tasks):  # else it stops the loop once more, and is no news
                waiting.cancel()
                raise
    for task in tasks:
        _raised(task)  # nobody asks for it any more


def _raised(task: asyncio.Task[Any]) -> BaseException | None:
    return task.exception() if task.done() and not task.cancelled() else None


def _close(loop: OwnLoop) -> None:
    hidden = no_loop.hide()
    try:
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        hidden.restore()
    del _owners[loop]
    loop.close()


def _described(task: asyncio.Task[Any]) -> str:
    coroutine: Any = task.get_coro()
    return f"{getattr(coroutine, '__qualname__', coroutine)} ({task.get_name()})"
