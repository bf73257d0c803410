"""Sync code called inside an event loop as if none ran."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import sniffio
import trio
import trio.lowlevel

from pq_testing import no_loop, own_loop

Main = Callable[[], Coroutine[Any, Any, None]]
LOOPS: dict[str, Callable[[Main], None]] = {
    "none": lambda main: _drive(main()),
    "asyncio": lambda main: asyncio.run(main()),
    "trio": trio.run,
    "anyio on asyncio": anyio.run,
    "anyio on trio": lambda main: anyio.run(main, backend="trio"),
    "the own loop": lambda main: own_loop.run(main()),
    "the own loop in trio": lambda main: trio.run(_in_own_loop, main),
    "the own loop in asyncio": lambda main: asyncio.run(_in_own_loop(main)),
}


def _drive(coroutine: Coroutine[Any, Any, None]) -> None:
    with pytest.raises(StopIteration):
        coroutine.send(None)


async def _in_own_loop(main: Main) -> None:
    own_loop.run(main())


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Main], None]:
    return LOOPS[request.param]


async def library() -> str:
    await anyio.lowlevel.checkpoint()
    return sniffio.current_async_library()


def anything_running() -> list[str]:
    """Name what tells that a loop runs."""
    signs = []
    for sign in (asyncio.get_running_loop, asyncio.current_task, sniffio.current_async_library, trio.current_time):
        try:
            sign()
        except (RuntimeError, sniffio.AsyncLibraryNotFoundError):
            continue
        signs.append(sign.__name__)
    return signs


def where() -> tuple[object, ...]:
    """Tell everything that names the loop around."""
    loop = asyncio._get_running_loop()
    in_trio = trio.lowlevel.in_trio_run()
    return (
        loop,
        loop and asyncio.current_task(),
        in_trio and trio.lowlevel.current_task(),
        sniffio.thread_local.name,
        sniffio.current_async_library_cvar.get(),
        anything_running(),
    )


def test_a_call_sees_no_loop_and_then_all_is_as_it_was(run: Callable[[Main], None]) -> None:
    async def main() -> None:
        before = where()
        assert no_loop.call(anything_running) == []
        assert where() == before

    run(main)


def test_a_call_may_run_loops_of_every_kind(run: Callable[[Main], None]) -> None:
    async def main() -> None:
        before = where()
        assert no_loop.call(lambda: asyncio.run(library())) == "asyncio"
        assert no_loop.call(lambda: anyio.run(library)) == "asyncio"
        assert no_loop.call(lambda: anyio.run(library, backend="trio")) == "trio"
        assert no_loop.call(lambda: trio.run(library)) == "trio"
        assert no_loop.call(lambda: own_loop.run(library())) == "asyncio"
        assert where() == before

    run(main)


def test_the_loop_around_goes_on_after_an_error(run: Callable[[Main], None]) -> None:
    def fail() -> None:
        raise KeyError("of the call")

    async def main() -> None:
        before = where()
        with pytest.raises(KeyError, match="of the call"):
            no_loop.call(fail)
        assert where() == before
        if before[-1]:
            assert await library() == sniffio.current_async_library()

    run(main)


def test_a_call_in_a_context_of_its_own_sees_no_loop_either(run: Callable[[Main], None]) -> None:
    async def main() -> None:
        context = copy_context()
        named = context.get(sniffio.current_async_library_cvar)
        assert no_loop.call(partial(context.run, anyio.run, library)) == "asyncio"
        assert context.get(sniffio.current_async_library_cvar) == named

    run(main)


def test_what_a_call_returns_and_sets_is_kept() -> None:
    color: ContextVar[str] = ContextVar("color")
    assert no_loop.call(partial(color.set, "red")) is not None
    assert color.get() == "red"


def test_a_loop_around_is_seen_unless_it_is_hidden(run: Callable[[Main], None], request: pytest.FixtureRequest) -> None:
    async def main() -> None:
        assert no_loop.in_a_loop() == (request.node.callspec.params["run"] != "none")
        assert no_loop.in_trio() == ("trio" in anything_running() or trio.lowlevel.in_trio_run())
        assert not no_loop.call(no_loop.in_a_loop)

    run(main)


def test_django_lets_a_call_use_its_database() -> None:
    pytest.importorskip("django")
    from django.core.exceptions import SynchronousOnlyOperation
    from django.utils.asyncio import async_unsafe

    @async_unsafe
    def query() -> str:
        return "rows"

    async def main() -> None:
        with pytest.raises(SynchronousOnlyOperation):
            query()
        assert no_loop.call(query) == "rows"

    asyncio.run(main())


def test_trio_hears_of_signals_again_after_a_call() -> None:
    async def main() -> None:
        fd = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        no_loop.call(lambda: trio.run(library))
        after = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        assert after == fd != -1

    trio.run(main)
