"""Virtual time: sleeps and timeouts of jobs take the time of the test's clock, and no real one.

Only code within :func:`flowing`, and tasks that it starts, live in virtual time. A timeout around the drain, the test's
own tasks and a server in the same event loop keep real time. When nothing is ready any more and no answer is on its way
(see :mod:`pq_testing.in_flight`), the time jumps to where the next sleeper wakes, and the clock with it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import selectors
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import attrs

from pq_core.errors import InvalidOption
from pq_testing import no_loop
from pq_testing.clock import Clock
from pq_testing.errors import DrainError
from pq_testing.in_flight import InFlight

MOST_JUMPS = 10_000
"""Jumps beyond `until` after which what still sleeps counts as sleeping for ever."""
_LONGEST_WAIT = 3600.0
_FRAMES = 8
_PATCHED = ("time", "call_at", "run_in_executor", "_selector")

_here: ContextVar[Flow | None] = ContextVar("pq_virtual_time", default=None)
_flows: WeakKeyDictionary[asyncio.AbstractEventLoop, Flow] = WeakKeyDictionary()


@contextmanager
def flowing(clock: Clock, until: datetime | None = None) -> Generator[None]:
    """Let code inside, and the tasks that it starts, live in virtual time, which moves `clock`.

    While an answer of PostgreSQL is awaited, or a function runs in a thread, the time stands still. A timeout then
    fires when nothing has come for that long in reality, so that a query which never ends does not outlast it.

    A sleeper that wakes after `until` wakes nevertheless, and the clock goes with it. When the block is left, what
    still sleeps goes on in real time for the rest of its sleep.

    Args:
        clock: the test's.
        until: how far the test lets the time go; None: for ever.

    Raises:
        InvalidOption: no event loop runs here whose time can be virtual.
        DrainError: tasks inside sleep again and again, far beyond `until`.
    """
    if no_loop.in_trio():
        with _flowing_in_trio(clock):
            yield
        return
    loop = _loop()
    flow = _flows.get(loop)
    if flow is None:
        flow = Flow(loop, clock)
        flow.start()
    elif flow.clock is not clock:
        raise InvalidOption("another clock lets the time of this event loop flow already; use one clock per event loop")
    stay = Stay(asyncio.current_task(), until)
    flow.stays.append(stay)
    token = _here.set(flow)
    try:
        yield
    except asyncio.CancelledError:
        if not stay.cut_off:
            raise
    finally:
        with suppress(ValueError):  # left in another context than it was entered
            _here.reset(token)
        flow.stays.remove(stay)
        if not flow.stays:
            flow.stop()
    if stay.cut_off:
        stay.uncancel()
        raise DrainError(_endless(until))


def timers(loop: asyncio.AbstractEventLoop) -> list[asyncio.TimerHandle]:
    """Return the timers of this loop that are to go off in virtual time."""
    flow = _flows.get(loop)
    return [] if flow is None else flow.timers


@contextmanager
def in_real_time() -> Generator[None]:
    """Let timers that are set inside keep real time, also where time is virtual."""
    token = _here.set(None)
    try:
        yield
    finally:
        _here.reset(token)


@attrs.define(eq=False)
class Stay:
    """One block of code that lives in virtual time."""

    task: asyncio.Task[Any] | None
    until: datetime | None
    cut_off: bool = False

    def cut(self) -> None:
        """Cancel the block: it does not end."""
        if self.task is not None and not self.cut_off:
            self.cut_off = True
            self.task.cancel()

    def uncancel(self) -> None:
        """Take the cancellation back: an error is raised in its place."""
        if self.task is not None:
            self.task.uncancel()


class Flow:
    """Virtual time in one event loop."""

    def __init__(self, loop: asyncio.SelectorEventLoop, clock: Clock) -> None:
        self.clock = clock
        self.stays: list[Stay] = []
        self._loop = loop
        self._selector: selectors.BaseSelector = vars(loop)["_selector"]
        self._in_flight = InFlight(self._selector, self._inside)
        self._real_time: Callable[[], float] = loop.time
        self._call_at_real: Callable[..., asyncio.TimerHandle] = loop.call_at
        self._run_in_executor: Callable[..., asyncio.Future[Any]] = loop.run_in_executor
        self._before: dict[str, Any] = {}
        self._time = loop.time()
        self._anchor = (self._time, clock.now())
        self._sleepers: list[tuple[float, int, _Sleeper]] = []
        self._numbers = itertools.count()
        self._waited = 0.0
        self._late = 0
        self._jumping = False

    @property
    def timers(self) -> list[asyncio.TimerHandle]:
        """What is to go off."""
        return [handle for _, _, handle in self._sleepers if not handle.cancelled()]

    def start(self) -> None:
        """Take the loop's time over; only this loop's."""
        instance: dict[str, Any] = self._loop.__dict__
        self._before = {name: instance[name] for name in _PATCHED if name in instance}
        instance.update(
            time=self.time,
            call_at=self.call_at,
            run_in_executor=self.run_in_executor,
            _selector=_Selector(self._selector, self.wait),
        )
        self.clock.on_move.append(self._clock_moved)
        _flows[self._loop] = self

    def stop(self) -> None:
        """Give the loop its own time back. Who still sleeps wakes after the rest of its sleep, in real time."""
        del _flows[self._loop]
        self._in_flight.close()
        with suppress(ValueError):  # a clock that was closed has forgotten whom it moves
            self.clock.on_move.remove(self._clock_moved)
        instance: dict[str, Any] = self._loop.__dict__
        for name in _PATCHED:
            instance.pop(name, None)
        instance.update(self._before)
        for when, _, handle in sorted(self._sleepers):
            if not handle.cancelled():
                handle.alarm = self._loop.call_later(max(0.0, when - self._time), _wake, handle)
        self._sleepers.clear()

    def time(self) -> float:
        """Stand in for `loop.time`."""
        return self._time if _here.get() is self else self._real_time()

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Stand in for `loop.call_at`."""
        if _here.get() is not self:
            return self._call_at_real(when, callback, *args, context=context)
        if _asked_by_psycopg():
            # It looks after its socket every tenth of a second: that must not make a slow reply move the clock.
            when = self._real_time() + when - self._time
            return self._call_at_real(when, callback, *args, context=context)
        handle = _Sleeper(when, callback, args, self._loop, context)
        heapq.heappush(self._sleepers, (when, next(self._numbers), handle))
        return handle

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Stand in for `loop.run_in_executor`."""
        future = self._run_in_executor(executor, func, *args)
        if _here.get() is self:
            self._in_flight.watch_call(future)
        return future

    def wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Stand in for the selector's `select`, which the loop calls when it has run all that was ready.

        Args:
            timeout: seconds until the next timer in real time; 0: something is ready already; None: there is no timer.
        """
        wakes = self._next_wake()
        events = self._selector.select(timeout if wakes is None else 0)
        if wakes is not None and not events and (timeout is None or timeout > 0):
            patience = self._patience(wakes)
            if patience <= 0:
                self._jump(wakes)
                return []
            began = monotonic()
            events = self._selector.select(patience if timeout is None else min(patience, timeout))
            self._waited += monotonic() - began
        if events:
            self._in_flight.take_note(events)
            self._waited = 0.0
        return events

    def _next_wake(self) -> float | None:
        while self._sleepers and self._sleepers[0][2].cancelled():
            heapq.heappop(self._sleepers)
        if not self._sleepers or self._moment(self._sleepers[0][0]) is None:
            return None
        return self._sleepers[0][0]

    def _patience(self, wakes: float) -> float:
        """Return for how many seconds to listen before the time may jump."""
        rest = min(wakes - self._time - self._waited, _LONGEST_WAIT)
        if rest > 0:
            if self._in_flight.certain():
                return rest
            rest = min(rest, self._in_flight.may_come())
        if rest <= 0:
            self._waited = 0.0
        return rest

    def _jump(self, wakes: float) -> None:
        self._time = max(self._time, wakes)
        moment = self._moment(self._time)
        if moment is not None and moment > self.clock.now():
            self._jumping = True
            try:
                self.clock.move_to(moment)
            finally:
                self._jumping = False
            self._check_end(moment)
        while self._sleepers and self._sleepers[0][0] <= self._time:
            self._loop.call_soon(_wake, heapq.heappop(self._sleepers)[2])

    def _check_end(self, moment: datetime) -> None:
        limits = [stay.until for stay in self.stays]
        self._late = self._late + 1 if all(limit is not None and moment > limit for limit in limits) else 0
        if self._late > MOST_JUMPS:
            for stay in self.stays:
                stay.cut()

    def _moment(self, time: float) -> datetime | None:
        """Return which moment of the clock a time of the loop is; None if it is none that a clock can tell."""
        began, moment = self._anchor
        try:
            return moment + timedelta(seconds=time - began)
        except (OverflowError, ValueError):  # a sleep without an end
            return None

    def _clock_moved(self, moment: datetime) -> None:
        if not self._jumping:  # the test, or a job, has moved it: who sleeps has slept that much longer
            before = self._moment(self._time)
            assert before is not None  # noqa: S101 - the clock has stood there
            self._time += (moment - before).total_seconds()

    def _inside(self, context: Context) -> bool:
        return context.get(_here) is self


class _Sleeper(asyncio.TimerHandle):
    """A timer in virtual time."""

    alarm: asyncio.TimerHandle | None = None
    """Wakes it, once it sleeps on in real time."""

    def cancel(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
        super().cancel()


class _Selector:
    """The selector of a loop, with another `select`."""

    def __init__(self, selector: selectors.BaseSelector, select: Callable[[float | None], Any]) -> None:
        self._selector = selector
        self.select = select

    def __getattr__(self, name: str) -> Any:
        return getattr(self._selector, name)


def _wake(handle: asyncio.TimerHandle) -> None:
    if not handle.cancelled():
        handle._run()  # noqa: SLF001 - in its context, and errors go to the loop's exception handler


def _asked_by_psycopg() -> bool:
    frame = sys._getframe(2)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - documented in spite of its name
    for _ in range(_FRAMES):
        if frame.f_globals.get("__name__") == "psycopg.waiting":
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def _loop() -> asyncio.SelectorEventLoop:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise InvalidOption("virtual time needs a running event loop: enter it inside a coroutine") from None
    if not isinstance(loop, asyncio.SelectorEventLoop):
        raise InvalidOption(
            f"the time of {type(loop).__module__}.{type(loop).__qualname__} cannot be virtual, only that of asyncio's "
            "SelectorEventLoop: drain in a sync test, or let this test run in that loop (with anyio: anyio_backend = "
            '("asyncio", {"use_uvloop": False}))'
        )
    return loop


def _endless(until: datetime | None) -> str:
    return (
        f"a job has woken {MOST_JUMPS:,} times after until={until}, and sleeps again: it has no end, so it was "
        "cancelled. Let it end, or do not run it in this drain"
    )


@contextmanager
def _flowing_in_trio(clock: Clock) -> Generator[None]:
    """Let `clock` tell the time of trio's MockClock, whose time flows already."""
    import trio.testing

    trios = trio.lowlevel.current_clock()
    if not isinstance(trios, trio.testing.MockClock) or (trios.rate == 0 and trios.autojump_threshold == float("inf")):
        raise InvalidOption(
            "under trio, the time flows if the test runs with trio's own MockClock: give it to trio.run(..., "
            "clock=trio.testing.MockClock(autojump_threshold=0)), or with anyio write a fixture "
            'anyio_backend that returns ("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})'
        )
    began, moment = trios.current_time(), clock.now()

    def read() -> datetime:
        return moment + timedelta(seconds=trios.current_time() - began)

    def jump(there: datetime) -> None:
        ahead = (there - read()).total_seconds()
        if ahead > 0:
            trios.jump(ahead)

    clock.on_move.append(jump)
    clock.follow(read)
    try:
        yield
    finally:
        clock.follow(None)
        with suppress(ValueError):
            clock.on_move.remove(jump)
