"""How a task of the event loop is stopped at a point, told to go on, and left there for ever.

A hand's coroutine is driven by hand: it is sent on only while the hand may run. To stop it costs the event loop
nothing, and to leave it there is to stop sending: the task ends, the coroutine stays as it is, and no timeout can wake
it.
"""
# ruff: noqa: D102 - what each method does, `Parking` says

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

import anyio.to_thread
import attrs

from pq_testing import virtual_time

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import trio

PATIENCE = 100
"""Turns of the event loop in which others may go on and on before a hand that waits is left waiting."""
CLOSINGS = 100
"""Awaits in the `finally` blocks of a frozen coroutine that are given up before it is."""
Driven = Coroutine[Any, Any, Any]


@attrs.frozen
class Halt:
    """What a coroutine yields in order to be stopped; never seen by the event loop."""

    place: str


class Parking(Protocol):
    """What stands between hands and one kind of event loop."""

    def running(self) -> Any:
        """Return the context in which tasks can be started; none outlives it that is not stuck."""
        ...

    def start(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Any:
        """Run a function in a task of its own; return the task."""
        ...

    def wait(self, place: Place) -> Generator[Any, Any, None]:
        """Wait in this task until `place` is opened. Raises the task's cancellation."""
        ...

    def open(self, place: Place) -> None:
        """Let the task that waits at `place` go on."""
        ...

    def is_turn(self, trap: Any) -> bool:
        """Return whether a task that yields this only lets others run, and waits for nothing."""
        ...

    def others_ready(self) -> bool:
        """Return whether anything else in the event loop could run now."""
        ...

    def when_quiet(self, call: Callable[[], None], patience: float) -> None:
        """Call when nothing runs in the loop; if replies are awaited, `patience` seconds later. Only once at a time."""
        ...

    def never_mind(self) -> None:
        """Forget the last :meth:`when_quiet`."""
        ...

    def forget(self, task: Any) -> None:
        """Let no timer of a task go off: its worker is dead."""
        ...

    def stop_listening(self, job: Driven | None) -> None:
        """Wait for no replies to a dead job: time would not jump while they are in flight."""
        ...

    def stuck(self) -> bool:
        """Return whether nothing in the event loop will ever wake anything again."""
        ...


class Place:
    """Where a task waits, or nothing."""

    __slots__ = ("gate",)

    def __init__(self) -> None:
        self.gate: Any = None


class Buried(BaseException):
    """Raised in a frozen coroutine in order to end it."""


def bury(coroutine: Driven) -> None:
    """Close a coroutine that was frozen. Its `finally` blocks run, and do not get what they await there.

    That of a job ends in silence: neither its worker's journal nor its retry strategy hears of it.
    """
    journal = logging.getLogger("pq_core.worker")
    silent, journal.disabled = journal.disabled, True
    try:
        with suppress(BaseException):  # whatever it thinks of it, it is dead
            coroutine.throw(Buried())
        _close(coroutine)
    finally:
        journal.disabled = silent


def return_threads(tasks: Iterable[Any]) -> None:
    """Give back what dead tasks have borrowed of the threads that anyio lends in this loop: there are forty in all."""
    limiter = anyio.to_thread.current_default_thread_limiter()
    for task in tasks:
        with suppress(RuntimeError):  # it has none
            limiter.release_on_behalf_of(task)


def _close(coroutine: Driven) -> None:
    for _ in range(CLOSINGS):
        try:
            coroutine.close()
        except RuntimeError:  # it awaits something, or raised this itself: the next close() shows which
            continue
        except BaseException:  # noqa: BLE001 - as above
            return
        return


@types.coroutine
def stepped(coroutine: Driven, park: Callable[[int], Awaitable[None]]) -> Generator[Any, Any, Any]:
    """Await `coroutine`, and stop after each of its suspensions; return what it returns.

    Args:
        coroutine: is sent what the event loop answers, and thrown what it throws.
        park: is awaited when a suspension has ended, with its number, from 1. A cancellation that comes meanwhile is
            the coroutine's.
    """
    number = 0
    answer: Any = None
    error: BaseException | None = None
    try:
        while True:
            waits_for = coroutine.send(answer) if error is None else coroutine.throw(error)
            number += 1
            answer = error = None
            try:
                answer = yield waits_for
            except GeneratorExit:
                raise
            except BaseException as raised:  # noqa: BLE001 - a cancellation among others; it belongs to the coroutine
                error = raised
            try:
                yield from park(number).__await__()
            except Buried as end:
                with suppress(BaseException):  # until Python 3.13, close() does not reach into async generators
                    coroutine.throw(end)
                _close(coroutine)
                return None
            except GeneratorExit:
                raise
            except BaseException as raised:  # noqa: BLE001 - likewise
                error = raised
    except StopIteration as end:
        return end.value
    finally:
        coroutine.close()


class AsyncioParking:
    """Hands under asyncio.

    Args:
        adopt: is given the coroutine of each task that a task here starts, with the task; returns what is to run.
    """

    def __init__(self, adopt: Callable[[Driven, Any], Driven]) -> None:
        self._loop: Any = asyncio.get_running_loop()
        self._adopt = adopt
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending: asyncio.Handle | None = None
        self._turns = 0
        self._factory: Any = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        self._factory = self._loop.get_task_factory()
        self._loop.set_task_factory(self._make_task)
        try:
            yield
        finally:
            self._loop.set_task_factory(self._factory)
            self.never_mind()
            await self._end()

    def start(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Any:
        task = asyncio.Task(function(), loop=self._loop)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def wait(self, place: Place) -> Generator[Any, Any, None]:
        place.gate = gate = self._loop.create_future()
        try:
            yield from gate
        finally:
            place.gate = None

    def open(self, place: Place) -> None:
        if place.gate is not None and not place.gate.done():
            place.gate.set_result(None)

    def is_turn(self, trap: Any) -> bool:
        return trap is None

    def others_ready(self) -> bool:
        return bool(getattr(self._loop, "_ready", True))

    def when_quiet(self, call: Callable[[], None], patience: float) -> None:
        self.never_mind()
        self._turns = 0
        self._pending = self._loop.call_soon(self._look, call, patience)

    def never_mind(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def forget(self, task: Any) -> None:
        for timer in self._timers():
            owner = getattr(getattr(timer, "_callback", None), "__self__", None)
            if task in (getattr(owner, "_task", None), getattr(owner, "_host_task", None)):
                timer.cancel()

    def stop_listening(self, job: Driven | None) -> None:
        """Remove the readers of the connections of psycopg that the job holds."""
        if job is None or "psycopg" not in sys.modules:
            return
        from pq_testing.backends.held import held_sockets

        for socket in held_sockets(job):
            self._loop.remove_reader(socket)
            self._loop.remove_writer(socket)

    def stuck(self) -> bool:
        """Return whether nothing can wake anything in this loop any more, but another thread."""
        return not (self.others_ready() or self._timers() or self._io()) and threading.active_count() == 1

    def _make_task(self, loop: Any, coroutine: Any, **options: Any) -> Any:
        parent = asyncio.current_task(loop)  # none, if Ctrl-C has stopped the loop, and it is to be tidied up
        adopted = self._adopt(coroutine, parent) if asyncio.iscoroutine(coroutine) else coroutine
        return (
            asyncio.Task(adopted, loop=loop, **options)
            if self._factory is None
            else self._factory(loop, adopted, **options)
        )

    def _look(self, call: Callable[[], None], patience: float) -> None:
        self._pending = None
        self._turns += 1
        if self.others_ready() and self._turns < PATIENCE:
            self._pending = self._loop.call_soon(self._look, call, patience)
        elif patience and self._io():
            with virtual_time.in_real_time():
                self._pending = self._loop.call_later(patience, call)
        else:
            call()

    def _io(self) -> bool:
        """Return whether the loop listens to anything but itself."""
        with suppress(AttributeError):
            return len(self._loop._selector.get_map()) > 1  # noqa: SLF001 - as above
        return True

    def _timers(self) -> list[asyncio.TimerHandle]:
        return [
            timer
            for timer in (*getattr(self._loop, "_scheduled", ()), *virtual_time.timers(self._loop))
            if not timer.cancelled()
        ]

    async def _end(self) -> None:
        """Cancel what still runs, because the drain was cancelled or has failed."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)


class TrioParking:
    """Hands under trio."""

    def __init__(self) -> None:
        import trio.testing

        self._trio = trio
        self._nursery: trio.Nursery | None = None
        self._asked = 0

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        try:
            async with self._trio.open_nursery() as self._nursery:
                try:
                    yield
                finally:
                    self._nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            # The hands raise nothing: it is the one error of what runs them, and no group of the test's making.
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None
            raise

    def start(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Any:
        assert self._nursery is not None  # noqa: S101 - tasks are started inside running()
        self._nursery.start_soon(function)

    def wait(self, place: Place) -> Generator[Any, Any, None]:
        place.gate = self._trio.lowlevel.current_task()

        def abort(_: Any) -> Any:
            place.gate = None
            return self._trio.lowlevel.Abort.SUCCEEDED

        yield from self._trio.lowlevel.wait_task_rescheduled(abort).__await__()

    def open(self, place: Place) -> None:
        task, place.gate = place.gate, None
        if task is not None:
            self._trio.lowlevel.reschedule(task)

    def is_turn(self, trap: Any) -> bool:
        return type(trap).__name__ != "WaitTaskRescheduled"

    def others_ready(self) -> bool:
        return True

    def when_quiet(self, call: Callable[[], None], patience: float) -> None:  # noqa: ARG002 - replies take part in trio's own answer
        assert self._nursery is not None  # noqa: S101 - as above
        self._asked += 1
        self._nursery.start_soon(self._look, call, self._asked)

    def never_mind(self) -> None:
        self._asked += 1

    def forget(self, task: Any) -> None:
        """Do nothing: a deadline cancels what is in its scope, and that has ended."""

    def stop_listening(self, job: Driven | None) -> None:
        """Do nothing: psycopg's connections are asyncio's."""

    def stuck(self) -> bool:
        """Return False: trio does not tell."""
        return False

    async def _look(self, call: Callable[[], None], number: int) -> None:
        await self._trio.testing.wait_all_tasks_blocked()
        if number == self._asked:
            call()
