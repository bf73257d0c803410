"""The threads in which sync tasks run."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from pq_core.worker.threads import Threads

pytestmark = pytest.mark.anyio
Until = Callable[[Callable[[], object]], Any]


@pytest.fixture
def threads(anyio_backend: str) -> Iterator[Threads]:
    made: list[Threads] = []

    class Late:
        """Threads are made in the event loop, which a fixture is not in."""

        def __getattr__(self, name: str) -> Any:
            if not made:
                made.append(Threads())
            return getattr(made[0], name)

    yield Late()  # type: ignore[misc]
    for each in made:
        each.close()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def _change_threads_often() -> Iterator[None]:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Hold back the starts of threads; whoever calls what stands in here starts them."""
    held: list[Callable[[], None]] = []
    start = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread,
        "start",
        lambda thread: held.append(partial(start, thread)) if thread.name.startswith("pq-task") else start(thread),
    )
    return held


def _has(items: list[Any], count: int) -> bool:
    return len(items) == count


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def refuse(*_: object) -> None:
    raise RuntimeError("can't start new thread")


async def test_a_thread_that_nobody_waits_for_any_more_ends_with_its_call(
    threads: Threads, until: Until, gate: threading.Event
) -> None:
    """An app that starts and cancels workers would gather threads, and in tests no stage could tell of a standstill."""
    called: list[threading.Thread] = []

    def call() -> None:
        called.append(threading.current_thread())
        gate.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(threads.run, call)
        await until(lambda: called)
        group.cancel_scope.cancel()
    assert called[0].is_alive()
    gate.set()
    await until(lambda: not called[0].is_alive())


async def test_a_call_that_nobody_waits_for_any_more_never_begins(
    threads: Threads, starts: list[Callable[[], None]]
) -> None:
    called: list[str] = []
    async with anyio.create_task_group() as group:
        group.start_soon(threads.run, lambda: called.append("forsaken"))
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    async with anyio.create_task_group() as group:
        group.start_soon(threads.run, lambda: called.append("awaited"))
        await anyio.wait_all_tasks_blocked()
        for start in starts:
            start()
    assert called == ["awaited"]


@pytest.mark.usefixtures("_change_threads_often")
async def test_no_call_waits_for_a_slow_one_before_or_beside_it(
    threads: Threads, gate: threading.Event, until: Until
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it with a failure
    order = random.Random(seed)
    for round_ in range(40):
        ended: list[int] = []

        async def quick(number: int, ended: list[int] = ended) -> None:
            ended.append(await threads.run(lambda: number))

        gate.clear()
        async with anyio.create_task_group() as group:
            calls: list[Any] = [partial(quick, number) for number in range(12)] + [partial(threads.run, gate.wait)] * 4
            order.shuffle(calls)
            for call in calls:
                group.start_soon(call)
            await until(partial(_has, ended, 12))
            assert sorted(ended) == list(range(12)), round_
            gate.set()


async def test_a_call_that_comes_while_all_threads_are_busy_has_one_of_its_own(
    threads: Threads, until: Until, gate: threading.Event
) -> None:
    began: list[threading.Thread] = []

    def hold() -> None:
        began.append(threading.current_thread())
        gate.wait()

    async with anyio.create_task_group() as group:
        for count in range(1, 6):
            group.start_soon(threads.run, hold)
            await until(partial(_has, began, count))
        gate.set()
    assert len(set(began)) == 5


async def test_quick_calls_need_few_threads_and_few_turns_of_the_event_loop(threads: Threads) -> None:
    users: set[int] = set()
    told: list[int] = []
    made: Any = threads._look
    soon = threads._soon

    def count(act: Callable[[], None]) -> None:
        told.append(1)
        soon(act)

    made.__self__._soon = count
    for _ in range(20):
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(threads.run, lambda: users.add(threading.get_ident()))
    assert len(users) < 25
    assert len(told) < 500


@pytest.mark.usefixtures("_change_threads_often")
async def test_each_call_gets_its_own_answer(threads: Threads) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it with a failure
    order = random.Random(seed)

    def square(number: int, seconds: float) -> int:
        if seconds:
            time.sleep(seconds)
        if number % 7 == 0:
            raise ValueError(number)
        return number * number

    async def one_after_the_other(numbers: range) -> None:
        for number in numbers:
            seconds = order.choice([0, 0, 0, 0.0005])
            if number % 7:
                assert await threads.run(partial(square, number, seconds)) == number * number
            else:
                with pytest.raises(ValueError, match=f"^{number}$"):
                    await threads.run(partial(square, number, seconds))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for first in range(0, 1600, 100):
                group.start_soon(one_after_the_other, range(first, first + 100))


async def test_an_error_keeps_its_own_traceback_and_nothing_keeps_the_error(threads: Threads) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as raised:
        await threads.run(fail)
    assert raised.traceback[-1].name == "fail"


@pytest.mark.parametrize("slow", [1, 3])
async def test_what_has_ended_is_told_before_the_last_call_in_line_begins_and_whenever_a_thread_comes(
    threads: Threads, starts: list[Callable[[], None]], gate: threading.Event, until: Until, slow: int
) -> None:
    ended = anyio.Event()

    async def quick() -> None:
        await threads.run(lambda: None)
        ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(quick)
        await anyio.wait_all_tasks_blocked()
        for _ in range(slow):
            group.start_soon(threads.run, gate.wait)
        await anyio.wait_all_tasks_blocked()
        starts.pop()()
        if slow > 1:  # a second thread was called, and will call a third, which never comes
            await until(lambda: starts)
            starts.pop()()
        with anyio.fail_after(10):
            await ended.wait()
        gate.set()
        while slow > 1 and starts:
            starts.pop()()


async def test_where_the_system_gives_no_thread_the_call_fails(
    threads: Threads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Thread, "start", refuse)
    called: list[str] = []
    with pytest.raises(RuntimeError, match="can't start new thread"):
        await threads.run(lambda: called.append("refused"))
    monkeypatch.undo()
    await threads.run(lambda: called.append("well again"))
    assert called == ["well again"]


async def test_where_the_system_gives_no_more_threads_those_there_are_serve_the_line(
    threads: Threads, starts: list[Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(threads.run, threading.get_ident)
        await anyio.wait_all_tasks_blocked()
        monkeypatch.setattr(threading.Thread, "start", refuse)
        (start,) = starts
        thread: Any = start.args[0]  # type: ignore[attr-defined]
        start.func(thread)  # type: ignore[attr-defined]


if sys.platform != "win32":

    @pytest.mark.parametrize(
        "end,code", [(lambda: None, 0), (lambda: sys.exit(3), 3), (lambda: sys.exit("no"), 1), (refuse, 1)]
    )
    async def test_a_process_that_a_call_forks_and_lets_return_runs_no_other_call_and_ends(
        threads: Threads, starts: list[Callable[[], None]], tmp_path: Path, end: Callable[[], None], code: int
    ) -> None:
        def fork() -> int:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of Python: threads do not come along
                child = os.fork()
            if not child:
                signal.alarm(10)
                end()
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) if child else 0

        def leave_a_trace() -> None:
            (tmp_path / str(os.getpid())).touch()

        async def forked() -> None:
            codes.append(await threads.run(fork))

        codes: list[int] = []
        async with anyio.create_task_group() as group:
            group.start_soon(forked)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(threads.run, leave_a_trace)
            await anyio.wait_all_tasks_blocked()
            starts.pop()()
        assert codes == [code]
        assert _names(tmp_path) == [str(os.getpid())]


async def test_closed_threads_end_and_come_back_if_needed(
    threads: Threads, until: Until, gate: threading.Event
) -> None:
    users: list[threading.Thread] = []

    def note() -> None:
        users.append(threading.current_thread())

    def note_and_wait() -> None:
        note()
        gate.wait()

    async with anyio.create_task_group() as group:
        group.start_soon(threads.run, note_and_wait)
        await until(lambda: users)
        await threads.run(note)
        threads.close()
        await until(lambda: not users[1].is_alive())
        assert users[0].is_alive()
        await threads.run(note)
        await until(lambda: not users[2].is_alive())
        gate.set()
    await until(lambda: not users[0].is_alive())
