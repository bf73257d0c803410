"""Threads for sync tasks: the worker's own, and daemons.

The threads of asyncio and of anyio keep the process alive until they end, so that one task that never ends would keep a
worker from ever stopping. These do not. There are never more than the worker runs jobs at once.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import anyio
import attrs

from pq_core.event_loop import Caller, call_soon_in_loop

_numbers = itertools.count(1)


@attrs.define(eq=False)
class Call:
    """One call of a function in a thread, and what came of it."""

    function: Callable[[], Any]
    done: anyio.Event = attrs.field(factory=anyio.Event)
    value: Any = None
    error: BaseException | None = None

    def perform(self) -> None:
        """Call the function, and keep what it returns or raises."""
        try:
            self.value = self.function()
        except BaseException as error:  # noqa: BLE001 - it is raised again where the call is awaited
            self.error = error


class Threads:
    """Threads that wait for calls, started when first needed."""

    def __init__(self) -> None:
        self._idle: list[SimpleQueue[Call | None]] = []
        self._soon = call_soon_in_loop()

    async def run(self, function: Callable[[], Any]) -> Any:
        """Call `function` in a thread; return what it returns, raise what it raises.

        If the wait is cancelled, the thread is left to itself, and ends with its call.
        """
        thread = self._idle.pop() if self._idle else self._start()
        call = Call(function)
        thread.put(call)
        try:
            await call.done.wait()
        except BaseException:
            thread.put(None)
            raise
        self._idle.append(thread)
        if call.error is None:
            return call.value
        try:
            raise call.error
        finally:
            call.error = None  # the error's traceback holds this frame, and this frame the call

    def close(self) -> None:
        """End the idle threads; busy ones go on, and end with the process."""
        while self._idle:
            self._idle.pop().put(None)

    def _start(self) -> SimpleQueue[Call | None]:
        calls: SimpleQueue[Call | None] = SimpleQueue()
        threading.Thread(target=_work, args=(calls, self._soon), name=f"pq-task-{next(_numbers)}", daemon=True).start()
        return calls


def _work(calls: SimpleQueue[Call | None], soon: Caller) -> None:
    while (call := calls.get()) is not None:
        call.perform()
        try:
            soon(call.done.set)
        except RuntimeError:  # the loop has ended: nobody waits any more
            return
        del call
