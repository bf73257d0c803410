"""Threads for sync tasks: the worker's own, and daemons.

The threads of asyncio and of anyio keep the process alive until they end, so that one task that never ends would keep a
worker from ever stopping. These do not. There are never more than the worker runs jobs at once.

Calls stand in one line, from which each thread takes the next. Nothing is handed to a thread that could be held up
behind a slow call, and a thread that finds another call goes on with it, without a turn of the event loop between. Two
rules keep that from losing anything:

- While calls stand in line, a thread is on its way to take one: each that takes a call, and leaves others, wakes one.
- A thread tells the event loop of calls that have ended before it sleeps, and before it begins the last call in line,
  which may take long. Until then the one that is on its way does that, when it arrives. So many ends are told at once.

A task may fork. The child has the thread of that task alone; the line is its parent's, and it ends with the task.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from typing import Any, NoReturn
from weakref import WeakSet

import anyio
import attrs

from pq_core.event_loop import call_soon_in_loop

_numbers = itertools.count(1)


@attrs.define(eq=False)
class Call:
    """One call of a function in a thread, and what came of it.

    Attributes:
        function: what is called.
        end: is awaited until it has ended.
        forsaken: whether nobody waits for it any more.
    """

    function: Callable[[], Any]
    end: Any
    value: Any = None
    error: BaseException | None = None
    forsaken: bool = False

    def perform(self) -> None:
        """Call the function, and keep what it returns or raises."""
        try:
            self.value = self.function()
        except BaseException as error:  # noqa: BLE001 - it is raised again where the call is awaited
            self.error = error


class Threads:
    """Threads that take calls from one line, started when first needed. Made in the event loop that awaits them."""

    def __init__(self) -> None:
        self._line: deque[Call] = deque()
        self._ended: deque[Call] = deque()
        self._lock = threading.Lock()
        """Held while threads are counted: by whoever reads or changes what stands below, but for a first look."""
        self._asleep: list[threading.Lock] = []
        """What wakes each thread that sleeps; the one that fell asleep last is woken first."""
        self._coming = False
        """Whether a thread was woken or started, and has not looked into the line yet."""
        self._told = False
        """Whether the event loop was told of ended calls, and has not looked yet."""
        self._closed = False
        self._forked = False
        self._soon = call_soon_in_loop()
        is_asyncio = anyio.get_cancelled_exc_class() is asyncio.CancelledError
        self._new_end: Callable[[], Any] = asyncio.get_running_loop().create_future if is_asyncio else _End
        _all.add(self)

    async def run(self, function: Callable[[], Any]) -> Any:
        """Call `function` in a thread; return what it returns, raise what it raises.

        If the wait is cancelled, a call that has not begun never does, and a thread that is in it ends with it.
        """
        call = Call(function, self._new_end())
        self._line.append(call)
        if not self._coming:
            try:
                self._call_thread()
            except RuntimeError:  # the system gives no more threads
                call.forsaken = True
                raise
        try:
            await call.end
        except BaseException:
            call.forsaken = True
            raise
        if call.error is None:
            return call.value
        try:
            raise call.error
        finally:
            call.error = None  # the error's traceback holds this frame, and this frame the call

    def close(self) -> None:
        """End the threads that sleep; busy ones end when they have nothing to do, or with the process."""
        with self._lock:
            self._closed = True
            while self._asleep:
                self._asleep.pop().release()

    def stay_behind(self) -> None:
        """Leave the calls that wait, and their event loop, to the process that has just forked this one."""
        self._line, self._ended, self._asleep = deque(), deque(), []
        self._lock = threading.Lock()  # another thread may have held the old one
        self._told = self._closed = self._forked = True

    def _call_thread(self) -> bool:
        """See to it that a thread is on its way if anything stands in line; return whether one is. For any thread.

        Raises:
            RuntimeError: one was to be started, and could not.
        """
        with self._lock:
            if self._coming or not self._line:
                return self._coming
            self._coming = True
            if self._asleep:
                self._asleep.pop().release()
                return True
        try:
            threading.Thread(target=self._work, name=f"pq-task-{next(_numbers)}", daemon=True).start()
        except RuntimeError:
            self._coming = False
            raise
        return True

    def _work(self) -> None:
        """Take calls, one after the other, and sleep while there are none: what each thread does."""
        bed = threading.Lock()
        bed.acquire()
        stays = True
        with suppress(RuntimeError):  # the loop has ended: nobody waits any more
            while stays:
                self._coming = False
                self._tell()
                stays = self._perform_all(bed)
                if stays:
                    bed.acquire()
        if self._forked:
            _end(self._ended[-1].error if self._ended else None)

    def _perform_all(self, bed: threading.Lock) -> bool:
        """Take calls until none is left; return whether to sleep then, until woken, or to end."""
        stays = True
        while True:
            call = self._next()
            if call is not None:
                call.perform()
                if call.forsaken:
                    stays = False  # whoever starts and cancels workers would gather threads
                else:
                    self._ended.append(call)
                continue
            self._tell()
            with self._lock:
                if self._line:
                    continue
                if stays and not self._closed:
                    self._asleep.append(bed)
                    return True
                return False

    def _next(self) -> Call | None:
        """Take the next call from the line, and see to it that others do not wait for its end; None: there is none."""
        try:
            call = self._line.popleft()
            while call.forsaken:
                call = self._line.popleft()
        except IndexError:
            return None
        try:
            others_come = bool(self._line) and (self._coming or self._call_thread())
        except RuntimeError:  # as in `run`; the line waits for a thread that there is
            others_come = False
        if not others_come:
            self._tell()
        return call

    def _tell(self) -> None:
        """Have the event loop look at the calls that have ended.

        Raises:
            RuntimeError: it has ended itself.
        """
        if self._ended and not self._told:
            self._told = True
            self._soon(self._look)

    def _look(self) -> None:
        """Let those go on whose calls have ended."""
        self._told = False
        while self._ended:
            end = self._ended.popleft().end
            if not end.done():
                end.set_result(None)


_all: WeakSet[Threads] = WeakSet()


def _stay_behind() -> None:
    for threads in _all:
        threads.stay_behind()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_stay_behind)


def _end(error: BaseException | None) -> NoReturn:
    """End a process that a task has forked and lets return, or raise, where only the task itself should."""
    if error is None or isinstance(error, SystemExit):
        code: Any = getattr(error, "code", None) or 0
        os._exit(code if isinstance(code, int) else 1)
    sys.excepthook(type(error), error, error.__traceback__)
    os._exit(1)


class _End:
    """As much of a future as is needed here, for any event loop."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def __await__(self) -> Generator[Any, Any, None]:
        waiting: Awaitable[None] = self._event.wait()
        yield from waiting.__await__()

    def done(self) -> bool:
        return self._event.is_set()

    def set_result(self, _: None) -> None:
        self._event.set()
