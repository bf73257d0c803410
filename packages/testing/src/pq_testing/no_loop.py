"""Call sync code inside a running event loop as if none ran.

A sync task that a worker calls in a thread of its own may run an event loop, or use Django's database. In a drain it is
called in the test's thread, where a loop waits for it to return. So that the task finds what it finds in a worker, the
loop is hidden from it: asyncio's running loop and current task, trio's run, and what sniffio says about either.
"""

# ruff: noqa: SLF001 - asyncio has no public way to hide a loop

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, TypeVar

import attrs

T = TypeVar("T")
Variable = ContextVar[str | None]
Places = list[tuple[Context | None, Variable, str]]
"""Where a context variable named the library: in this context (None) or another."""

_NONE = -1
"""No file descriptor."""


def call(function: Callable[[], T]) -> T:
    """Call `function` as if no event loop ran in this thread; return what it returns, raise what it raises.

    Inside, `asyncio.run`, `anyio.run` and `trio.run` work, `asyncio.get_running_loop` raises, and Django's check for
    async code passes. The loop around waits meanwhile, as for every sync call, whatever runs inside.

    `function` may carry a context of its own, as ``functools.partial(context.run, ...)`` does: it is hidden there too.
    Not hidden are hooks for async generators, and loops other than those of asyncio and trio.
    """
    hidden = hide(_context_of(function))
    try:
        return function()
    finally:
        hidden.restore()


def in_a_loop() -> bool:
    """Return whether an event loop of asyncio or trio runs in this thread."""
    return asyncio._get_running_loop() is not None or in_trio()


def in_trio() -> bool:
    """Return whether trio runs in this thread, and is not hidden."""
    return bool(_run_of_trio())


@attrs.define
class Hidden:
    """What was hidden."""

    loop: asyncio.AbstractEventLoop | None
    task: asyncio.Task[Any] | None
    run_of_trio: dict[str, Any]
    wakeup_fd: int
    library: str | None
    variables: Places

    def restore(self) -> None:
        """Show it again. Loops that were run meanwhile must have ended."""
        if self.loop is not None:
            # Since Python 3.14 only the running loop has a current task: first the loop, then the task.
            asyncio._set_running_loop(self.loop)
            if self.task is not None:
                _enter(self.loop, self.task)
        if self.run_of_trio:
            _context_of_trio().__dict__.update(self.run_of_trio)
            if self.wakeup_fd != _NONE:
                signal.set_wakeup_fd(self.wakeup_fd, warn_on_full_buffer=False)
        if self.library is not None:
            sys.modules["sniffio"].thread_local.name = self.library
        for context, variable, value in self.variables:
            _set(context, variable, value)


def hide(context: Context | None = None) -> Hidden:
    """Hide the running event loop, if there is one, until :meth:`Hidden.restore` is called.

    Args:
        context: another context beside the current one in which no event loop may be seen.
    """
    loop = asyncio._get_running_loop()
    task = None
    if loop is not None:
        task = asyncio.current_task(loop)
        if task is not None:
            _leave(loop, task)
        asyncio._set_running_loop(None)
    run_of_trio, wakeup_fd = _run_of_trio(), _NONE
    if run_of_trio:
        run_of_trio = dict(run_of_trio)
        _context_of_trio().__dict__.clear()
        if threading.current_thread() is threading.main_thread():
            wakeup_fd = signal.set_wakeup_fd(_NONE)  # it warns of another trio's
    library, variables = _hide_from_sniffio(context)
    return Hidden(loop, task, run_of_trio, wakeup_fd, library, variables)


def _hide_from_sniffio(context: Context | None) -> tuple[str | None, Places]:
    sniffio: Any = sys.modules.get("sniffio")
    if sniffio is None:
        return None, []
    library = sniffio.thread_local.name
    if library is not None:
        sniffio.thread_local.name = None
    variable: Variable = sniffio.current_async_library_cvar
    variables: Places = []
    if (value := variable.get()) is not None:
        variables.append((None, variable, value))
    if context is not None and (value := context.get(variable)) is not None:
        variables.append((context, variable, value))
    for place, _, _ in variables:
        _set(place, variable, None)
    return library, variables


def _set(context: Context | None, variable: Variable, value: str | None) -> None:
    if context is None:
        variable.set(value)
    else:
        context.run(variable.set, value)


def _context_of(function: object) -> Context | None:
    owner = getattr(getattr(function, "func", None), "__self__", None)
    return owner if isinstance(owner, Context) else None


def _run_of_trio() -> dict[str, Any]:
    return {} if "trio" not in sys.modules else _context_of_trio().__dict__


def _context_of_trio() -> Any:
    from trio._core._run import GLOBAL_RUN_CONTEXT

    return GLOBAL_RUN_CONTEXT


_tasks: Any = asyncio.tasks

if sys.version_info >= (3, 12):

    def _leave(loop: asyncio.AbstractEventLoop, _: asyncio.Task[Any]) -> None:
        _tasks._swap_current_task(loop, None)

    def _enter(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        _tasks._swap_current_task(loop, task)

else:

    def _leave(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        _tasks._leave_task(loop, task)

    def _enter(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        _tasks._enter_task(loop, task)
