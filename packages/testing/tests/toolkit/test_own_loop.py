"""The own loop: reused, nestable, and without traces."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import sniffio
import trio
import trio.lowlevel

from pq_testing import own_loop

FILES = Path("/proc/self/fd")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    own_loop.close()
    yield
    own_loop.close()


async def this_loop() -> asyncio.AbstractEventLoop:
    await asyncio.sleep(0)
    return asyncio.get_running_loop()


def files() -> int:
    gc.collect()
    return len(list(FILES.iterdir()))


needs_proc = pytest.mark.skipif(not FILES.exists(), reason="counts files where Linux lists them")


def test_what_a_coroutine_returns_or_raises_reaches_the_caller() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("mine")

    async def succeed() -> int:
        return 5

    assert own_loop.run(succeed()) == 5
    with pytest.raises(KeyError, match="mine"):
        own_loop.run(fail())
    assert own_loop.run(succeed()) == 5


def test_an_error_still_tells_in_the_wake_of_which_other_it_was_raised() -> None:
    async def fail() -> None:
        try:
            dict[str, int]()["first"]
        except KeyError:
            raise ValueError("second")  # noqa: B904 - that is the case

    with pytest.raises(ValueError, match="second") as raised:
        own_loop.run(fail())

    assert isinstance(raised.value.__context__, KeyError)
    assert not raised.value.__suppress_context__


def test_one_loop_serves_all_runs() -> None:
    loops = {own_loop.run(this_loop()) for _ in range(3)}
    assert len(loops) == 1
    assert own_loop.is_own(loops.pop())


def test_after_it_was_closed_it_is_made_anew() -> None:
    first = own_loop.run(this_loop())
    own_loop.close()
    assert first.is_closed()
    assert not own_loop.run(this_loop()).is_closed()


def test_a_run_inside_a_run_has_a_loop_of_its_own() -> None:
    async def outer() -> tuple[asyncio.AbstractEventLoop, ...]:
        return await this_loop(), own_loop.run(this_loop()), own_loop.run(this_loop()), await this_loop()

    first, inner, inner_again, last = own_loop.run(outer())
    assert first is last
    assert inner is inner_again
    assert inner is not first


def test_a_running_loop_of_asyncio_waits_and_goes_on() -> None:
    async def main() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert own_loop.in_a_loop()
        assert own_loop.is_own(own_loop.run(this_loop()))
        assert asyncio.get_running_loop() is loop
        assert asyncio.current_task() is task
        assert await asyncio.create_task(asyncio.sleep(0, "on")) == "on"

    assert not own_loop.in_a_loop()
    asyncio.run(main())
    assert not own_loop.in_a_loop()


@pytest.mark.parametrize("by_anyio", [False, True])
def test_a_running_loop_of_trio_waits_and_goes_on(by_anyio: bool) -> None:
    async def inner() -> str:
        with anyio.fail_after(5):
            await anyio.to_thread.run_sync(lambda: None)
        return sniffio.current_async_library()

    async def main() -> None:
        assert own_loop.in_a_loop()
        assert own_loop.run(inner()) == "asyncio"
        assert sniffio.current_async_library() == "trio"
        await trio.lowlevel.checkpoint()

    if by_anyio:
        anyio.run(main, backend="trio")
    else:
        trio.run(main)


def test_a_run_sees_the_context_of_its_caller_and_leaves_it_alone() -> None:
    color: ContextVar[str] = ContextVar("color", default="none")

    async def paint() -> str:
        before = color.get()
        color.set("blue")
        return before

    color.set("red")
    assert own_loop.run(paint()) == "red"
    assert color.get() == "red"


def test_a_task_left_behind_goes_on_in_the_next_run_and_is_named_when_it_is_ended() -> None:
    ends: list[str] = []

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("finally")

    kept: list[asyncio.Task[None]] = []

    async def start() -> None:
        kept.append(asyncio.create_task(linger(), name="mine"))

    own_loop.run(start())
    own_loop.run(this_loop())
    assert not kept[0].done()
    (name,) = own_loop.settle()
    assert name.endswith("linger (mine)")
    assert ends == ["finally"]
    assert own_loop.settle() == []


def test_a_task_that_does_not_end_is_given_up_with_its_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_loop, "MOMENT", 0.02)
    release: list[asyncio.Task[None]] = []

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    async def start() -> asyncio.AbstractEventLoop:
        release.append(asyncio.create_task(stubborn()))
        return await this_loop()

    loop = own_loop.run(start())
    assert len(own_loop.settle()) == 1
    assert loop.is_closed()
    assert own_loop.run(this_loop()) is not loop
    assert own_loop.settle() == []


def test_ctrl_c_in_a_task_leaves_the_loop_usable() -> None:
    async def interrupted() -> None:
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        own_loop.run(interrupted())
    assert own_loop.run(asyncio.sleep(0, "usable")) == "usable"
    assert own_loop.settle() == []


def test_ctrl_c_in_the_loop_ends_the_run_and_its_cleaning_up() -> None:
    steps: list[str] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    async def interrupted() -> None:
        asyncio.get_running_loop().call_soon(interrupt)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    with pytest.raises(KeyboardInterrupt):
        own_loop.run(interrupted())
    assert steps == ["cleaned up"]
    assert own_loop.run(asyncio.sleep(0, "usable")) == "usable"
    assert own_loop.settle() == []


def test_ctrl_c_inside_a_nested_run_shows_the_loop_around_again() -> None:
    async def interrupted() -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(KeyboardInterrupt):
            own_loop.run(interrupted())
        assert asyncio.get_running_loop() is loop
        await asyncio.sleep(0)

    asyncio.run(main())


def test_another_thread_has_another_loop_which_ends_after_it() -> None:
    loops = [own_loop.run(this_loop())]
    thread = threading.Thread(target=lambda: loops.append(own_loop.run(this_loop())))
    thread.start()
    thread.join()
    mine, others = loops
    assert mine is not others
    assert not others.is_closed()
    assert own_loop.settle() == []
    assert others.is_closed()
    assert not mine.is_closed()


def test_an_async_generator_left_half_way_is_closed_with_the_loop() -> None:
    ends: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            ends.append("closed")

    held: list[AsyncIterator[int]] = []

    async def start() -> None:
        held.append(numbers())
        await anext(held[0])

    own_loop.run(start())
    assert ends == []
    own_loop.close()
    assert ends == ["closed"]


async def busy() -> None:
    """Do what jobs do: tasks, timers, timeouts, threads of both kinds."""
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(0))
        group.create_task(asyncio.sleep(0.000_01))
    with anyio.move_on_after(5):
        await anyio.lowlevel.checkpoint()


async def with_threads() -> None:
    await asyncio.to_thread(os.getpid)
    await anyio.to_thread.run_sync(os.getpid)


@needs_proc
def test_a_thousand_runs_leave_nothing_behind() -> None:
    own_loop.run(with_threads())  # what is imported and opened once
    own_loop.settle()
    tasks: weakref.WeakSet[asyncio.Task[None]] = weakref.WeakSet()

    async def tracked() -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type] # there is one
        await busy()

    before = files()
    for number in range(1_000):
        own_loop.run(tracked())
        if number % 100 == 0:
            own_loop.run(with_threads())
        assert own_loop.settle() == []
    assert files() == before
    gc.collect()
    assert not tasks
    assert ours() == []
    own_loop.close()
    assert files() == before - 3  # epoll, and the two ends of the alarm clock


def ours() -> list[str]:
    """Name the threads of loops that are still there, after those that are ending have ended."""
    names = ("pq-own-loop", "AnyIO worker thread")
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(names)]
    for thread in threads:
        thread.join(5)
    return [thread.name for thread in threads if thread.is_alive()]


def test_nobody_has_to_close_it() -> None:
    program = "import asyncio; from pq_testing import own_loop; own_loop.run(asyncio.sleep(0))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    assert done.stderr == ""
