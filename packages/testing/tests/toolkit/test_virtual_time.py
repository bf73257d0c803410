"""Virtual time: sleeps cost nothing, and nothing that is on its way is overtaken."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import anyio.to_thread
import psycopg
import pytest
import trio
import trio.testing

from pq_core.errors import InvalidOption
from pq_testing import Clock, in_flight, own_loop, virtual_time
from pq_testing.errors import DrainError
from pq_testing.postgres import fresh_database
from pq_testing.virtual_time import flowing

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
Runner = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture(params=[own_loop.run, asyncio.run], ids=["own loop", "another loop"])
def run(request: pytest.FixtureRequest) -> Iterator[Runner]:
    yield request.param
    assert own_loop.settle() == []


async def log(order: list[str], name: str, awaited: Awaitable[object]) -> None:
    await awaited
    order.append(name)


async def together(*awaited: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as group:
        for each in awaited:
            group.create_task(each)


# What takes virtual time


def test_a_sleep_takes_no_time_and_moves_the_clock_by_exactly_its_length(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        with flowing(clock):
            for sleep in (asyncio.sleep, anyio.sleep):
                before = clock.now()
                await sleep(3600)
                assert clock.now() == before + timedelta(hours=1)
                await sleep(0.25)
                await sleep(86_400 * 365)
                assert clock.now() == before + timedelta(days=365, hours=1, seconds=0.25)

    began = time.monotonic()
    run(main())
    assert time.monotonic() - began < 5


def test_a_sleeper_that_is_ended_after_the_block_leaves_no_timer(clock: Clock) -> None:
    def timers() -> int:
        loop: Any = asyncio.get_running_loop()
        return sum(not timer.cancelled() for timer in loop._scheduled)

    async def main() -> None:
        with flowing(clock, clock.now()):
            sleeper = asyncio.create_task(asyncio.sleep(86_400))
            await asyncio.sleep(0)
        assert timers() == 1
        sleeper.cancel()
        await asyncio.wait([sleeper])
        assert timers() == 0

    asyncio.run(main())


def test_ten_thousand_thirds_of_a_second_add_up(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        with flowing(clock):
            for _ in range(9_999):
                await asyncio.sleep(1 / 3)

    run(main())
    assert clock.now() == NOON + timedelta(seconds=3_333)


def test_sleepers_wake_in_order_and_those_of_one_moment_as_they_fell_asleep(clock: Clock, run: Runner) -> None:
    order: list[str] = []

    async def main() -> None:
        with flowing(clock):
            naps = {"late": 60, "first": 30, "second": 30, "early": 1}
            await together(*(log(order, name, asyncio.sleep(nap)) for name, nap in naps.items()))

    run(main())
    assert order == ["early", "first", "second", "late"]
    assert clock.now() == NOON + timedelta(minutes=1)


def test_timeouts_inside_take_virtual_time(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        with flowing(clock):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(10):
                    await asyncio.Event().wait()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 10)
            with anyio.move_on_after(10) as scope:
                await anyio.sleep_forever()
            assert scope.cancelled_caught

    run(main())
    assert clock.now() == NOON + timedelta(seconds=30)


def test_a_sleeper_who_is_cancelled_moves_nothing(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        with flowing(clock):
            async with asyncio.timeout(3600):
                await asyncio.sleep(1)
            sleeper = asyncio.create_task(asyncio.sleep(86_400))
            await asyncio.sleep(1)
            sleeper.cancel()
            await asyncio.sleep(1)

    run(main())
    assert clock.now() == NOON + timedelta(seconds=3)


def test_a_clock_does_not_go_where_somebody_would_have_woken(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        outside = asyncio.create_task(asyncio.sleep(0.01))
        with flowing(clock):
            sleeper = asyncio.create_task(asyncio.sleep(3600))
            await asyncio.sleep(1)
            sleeper.cancel()
            await outside

    run(main())
    assert clock.now() == NOON + timedelta(seconds=1)


def test_a_waker_may_cancel_another_of_the_same_moment(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        faults: list[Any] = []
        loop.set_exception_handler(lambda _, context: faults.append(context))
        with flowing(clock):
            handles: list[asyncio.TimerHandle] = []
            loop.call_later(60, lambda: [handle.cancel() for handle in handles])
            handles.append(loop.call_later(60, faults.append, "woken"))
            await asyncio.sleep(60)
        loop.set_exception_handler(None)
        assert faults == []

    run(main())


def test_a_clock_moved_by_hand_wakes_who_has_slept_long_enough(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        with flowing(clock):
            loop = asyncio.get_running_loop()
            began = loop.time()
            sleeper = asyncio.create_task(asyncio.sleep(3600))
            await asyncio.sleep(0)
            clock.advance("59m")
            await asyncio.sleep(1)
            assert not sleeper.done()
            clock.advance("2m")
            await sleeper
            assert loop.time() - began == pytest.approx(61 * 60 + 1)

    run(main())
    assert clock.now() == NOON + timedelta(minutes=61, seconds=1)


def test_a_sleep_without_end_moves_nothing_and_can_be_ended(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        with flowing(clock):
            sleepers = [asyncio.create_task(asyncio.sleep(each)) for each in (math.inf, 1e12, 1e300)]
            await asyncio.to_thread(lambda: None)
            await asyncio.sleep(5)
            for sleeper in sleepers:
                sleeper.cancel()
            await asyncio.wait(sleepers)

    run(main())
    assert clock.now() == NOON + timedelta(seconds=5)


def test_a_sleep_beyond_until_ends_nevertheless(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        with flowing(clock, clock.until("1h")):
            await asyncio.sleep(7200)

    run(main())
    assert clock.now() == NOON + timedelta(hours=2)


def test_who_sleeps_again_and_again_beyond_until_is_cancelled(
    clock: Clock, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(virtual_time, "MOST_JUMPS", 100)

    async def poll() -> None:
        with flowing(clock, clock.until("1h")):
            while True:  # noqa: ASYNC110 - as jobs do that ask again and again
                await asyncio.sleep(60)

    async def main() -> None:
        with pytest.raises(DrainError, match=r"woken 100 times after until=2030-06-01 13:00:00\+00:00.* has no end"):
            await poll()
        await asyncio.sleep(0)  # the cancellation is over

    run(main())
    assert clock.now() == NOON + timedelta(minutes=60 + 101)


# What keeps real time


def test_a_timeout_around_keeps_real_time(clock: Clock, run: Runner) -> None:
    stuck = threading.Event()

    async def drain() -> None:
        with flowing(clock):
            await asyncio.sleep(3600)
            await asyncio.to_thread(stuck.wait, 10)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(drain(), 0.1)

    threading.Timer(0.2, stuck.set).start()
    run(main())
    assert clock.now() == NOON + timedelta(hours=1)


def test_a_task_from_outside_keeps_real_time(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        go = asyncio.Event()
        ticks: list[float] = []

        async def outside() -> None:
            await go.wait()
            ticks.append(loop.time())
            await asyncio.sleep(3600)

        task = asyncio.create_task(outside())
        before = loop.time()
        with flowing(clock):
            await asyncio.sleep(86_400)
            go.set()
            await asyncio.sleep(86_400)
            inside = loop.time()
        assert not task.done()
        assert ticks[0] - before < 3600
        assert inside - loop.time() > 170_000
        task.cancel()

    run(main())


def test_who_still_sleeps_afterwards_sleeps_the_rest_in_real_time(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        with flowing(clock):
            short = asyncio.create_task(asyncio.sleep(60.02))
            long = asyncio.create_task(asyncio.sleep(3600))
            gone = asyncio.create_task(asyncio.sleep(3600))
            await asyncio.sleep(60)
        gone.cancel()
        began = time.monotonic()
        await short
        assert time.monotonic() - began > 0.01
        assert not long.done()
        long.cancel()
        await asyncio.wait([long, gone])

    run(main())
    assert clock.now() == NOON + timedelta(minutes=1)


# Entering and leaving


def test_afterwards_the_loop_is_as_it_was(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = dict(vars(loop))
        for error in (None, KeyError):
            try:
                with flowing(clock):
                    assert vars(loop)["_selector"] is not before["_selector"]
                    await asyncio.sleep(1)
                    if error is not None:
                        raise error
            except KeyError:
                pass
            after = vars(loop)
            assert {name: after[name] for name in before if name != "_num_runs"} == before
            assert set(after) == set(before)
        assert clock.on_move == []

    run(main())


def test_two_blocks_with_one_clock_share_their_time(clock: Clock, run: Runner) -> None:
    async def nap(seconds: float) -> datetime:
        with flowing(clock):
            await asyncio.sleep(seconds)
            return clock.now()

    async def main() -> None:
        with flowing(clock):
            assert await asyncio.gather(nap(60), nap(10)) == [NOON + timedelta(minutes=1), NOON + timedelta(seconds=10)]
            assert await nap(1) == NOON + timedelta(seconds=61)
            await asyncio.sleep(1)

    run(main())
    assert clock.now() == NOON + timedelta(seconds=62)


def test_a_second_clock_in_one_loop_is_refused(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        with flowing(clock), pytest.raises(InvalidOption, match="another clock"), flowing(Clock()):
            pass

    run(main())


def test_a_run_of_the_own_loop_inside_has_a_time_of_its_own(clock: Clock, run: Runner) -> None:
    other = Clock(NOON)

    async def inner() -> None:
        with flowing(other):
            await asyncio.sleep(60)

    async def main() -> None:
        with flowing(clock):
            await asyncio.sleep(1)
            own_loop.run(inner())
            await asyncio.sleep(1)

    run(main())
    assert (clock.now(), other.now()) == (NOON + timedelta(seconds=2), NOON + timedelta(minutes=1))


def test_without_a_running_loop_it_is_refused(clock: Clock) -> None:
    with pytest.raises(InvalidOption, match="needs a running event loop"), flowing(clock):
        pass


def test_a_loop_without_a_selector_is_refused_by_name(clock: Clock) -> None:
    class Loop:
        pass

    asyncio._set_running_loop(Loop())  # type: ignore[arg-type] # stands for uvloop's
    try:
        with pytest.raises(InvalidOption, match=r"Loop cannot be virtual, only that of asyncio's"), flowing(clock):
            pass
    finally:
        asyncio._set_running_loop(None)


# What is on its way


@pytest.mark.parametrize("in_thread", [asyncio.to_thread, anyio.to_thread.run_sync], ids=["asyncio", "anyio"])
def test_a_function_in_a_thread_is_not_overtaken(clock: Clock, run: Runner, in_thread: Any) -> None:
    order: list[str] = []
    done = threading.Event()

    async def main() -> None:
        with flowing(clock):
            thread = log(order, "thread", in_thread(done.wait, 10))
            await together(log(order, "sleep", asyncio.sleep(3600)), thread)

    threading.Timer(0.05, done.set).start()
    run(main())
    assert order == ["thread", "sleep"]
    assert clock.now() == NOON + timedelta(hours=1)


def test_a_timeout_fires_after_that_long_without_news_in_real_time(clock: Clock, run: Runner) -> None:
    done = threading.Event()

    async def main() -> None:
        with flowing(clock):
            thread = asyncio.create_task(asyncio.to_thread(done.wait, 10))
            for _ in range(3):
                _, pending = await asyncio.wait([thread], timeout=0.1)
                assert pending
            done.set()
            await thread

    assert seconds(run, main()) >= 0.3
    assert clock.now() == NOON + timedelta(seconds=0.3)


def test_what_comes_in_time_does_not_add_up_to_a_timeout(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        with flowing(clock):
            async with asyncio.timeout(0.8):
                for _ in range(6):
                    await asyncio.to_thread(time.sleep, 0.15)

    assert seconds(run, main()) >= 0.9
    assert clock.now() == NOON


@pytest.fixture
def peer() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_an_answer_through_a_transport_is_not_overtaken_however_little_is_known_of_it(
    clock: Clock, run: Runner, peer: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = peer
    order: list[str] = []

    async def main() -> None:
        with flowing(clock):
            reader, writer = await asyncio.open_connection(sock=ours)
            await together(log(order, "sleep", asyncio.sleep(3600)), log(order, "hello", reader.readline()))
            writer.write(b"question\n")
            await together(log(order, "sleep", asyncio.sleep(3600)), log(order, "answer", reader.readline()))
            writer.close()
            await writer.wait_closed()

    def talk() -> None:
        with theirs.makefile("rb") as questions:
            time.sleep(in_flight.QUIET * 1.5)  # the peer takes its time
            theirs.sendall(b"hello\n")
            questions.readline()
            time.sleep(in_flight.QUIET * 1.5)  # the peer takes its time
            theirs.sendall(b"here\n")

    with in_a_thread(talk):
        run(main())
    assert order == ["hello", "sleep", "answer", "sleep"]
    assert clock.now() == NOON + timedelta(hours=2)


def test_an_answer_through_a_connection_that_was_open_before_is_not_overtaken(
    clock: Clock, run: Runner, peer: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = peer
    order: list[str] = []

    async def main() -> None:
        reader, writer = await asyncio.open_connection(sock=ours)
        with flowing(clock):
            await asyncio.sleep(1)
            writer.writelines([b"question", b"\n"])
            await together(log(order, "sleep", asyncio.sleep(3600)), log(order, "answer", reader.readline()))
        assert not {"write", "writelines"} & set(vars(writer.transport))
        writer.close()
        await writer.wait_closed()

    def talk() -> None:
        with theirs.makefile("rb") as questions:
            questions.readline()
            time.sleep(in_flight.QUIET * 1.5)  # the peer takes its time
            theirs.sendall(b"here\n")

    with in_a_thread(talk):
        run(main())
    assert order == ["answer", "sleep"]


def test_the_rest_of_an_answer_is_not_overtaken(
    clock: Clock, run: Runner, peer: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "QUIET", 0.5)
    ours, theirs = peer
    order: list[str] = []

    async def main() -> None:
        reader, writer = await asyncio.open_connection(sock=ours)
        with flowing(clock):
            theirs.sendall(b"in ")
            threading.Timer(0.05, theirs.sendall, [b"parts\n"]).start()
            await together(log(order, "sleep", asyncio.sleep(3600)), log(order, "answer", reader.readline()))
        writer.close()
        await writer.wait_closed()

    run(main())
    assert order == ["answer", "sleep"]


def test_an_answer_to_somebody_outside_is_not_overtaken(
    clock: Clock, run: Runner, peer: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "QUIET", 0.5)
    ours, theirs = peer
    order: list[str] = []

    async def wait_for(task: asyncio.Task[bytes]) -> None:
        await asyncio.wait([task])

    async def main() -> None:
        outside = asyncio.create_task(asyncio.get_running_loop().sock_recv(ours, 10))
        await asyncio.sleep(0)
        with flowing(clock):
            await together(log(order, "sleep", asyncio.sleep(3600)), log(order, "answer", wait_for(outside)))

    threading.Timer(0.05, theirs.sendall, [b"here"]).start()
    run(main())
    assert order == ["answer", "sleep"]


def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(
    clock: Clock, run: Runner, peer: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "ANSWER", in_flight.QUIET * 2)

    async def main() -> None:
        with flowing(clock):
            _, writer = await asyncio.open_connection(sock=peer[0])
            for _ in range(20):
                await asyncio.sleep(3600)
            writer.close()
            await writer.wait_closed()

    assert seconds(run, main()) < in_flight.ANSWER * 15
    assert clock.now() == NOON + timedelta(hours=20)


def test_open_connections_that_are_quiet_do_not_stop_the_time(clock: Clock, run: Runner) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await reader.read()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for _ in range(2):
            with flowing(clock):
                writer.write(b"hello\n")
                await reader.readline()
                for _ in range(20):
                    await asyncio.sleep(3600)
            with flowing(clock):
                await asyncio.sleep(3600)
            reader, writer = await reopened(writer, server)
        for each in (writer, server):
            each.close()
            await each.wait_closed()

    assert seconds(run, main()) < in_flight.ANSWER
    assert clock.now() == NOON + timedelta(hours=42)


def test_a_server_inside_does_not_stop_the_time(clock: Clock, run: Runner) -> None:
    async def main() -> None:
        with flowing(clock):
            server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
            await asyncio.sleep(3600)
            server.close()
            await server.wait_closed()

    run(main())
    assert clock.now() == NOON + timedelta(hours=1)


async def reopened(
    writer: asyncio.StreamWriter, server: asyncio.Server
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    writer.close()
    await writer.wait_closed()
    return await asyncio.open_connection(*server.sockets[0].getsockname())


def seconds(run: Runner, main: Coroutine[Any, Any, None]) -> float:
    began = time.monotonic()
    run(main)
    return time.monotonic() - began


@contextmanager
def in_a_thread(function: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=function)
    thread.start()
    yield
    thread.join(10)


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with fresh_database() as dsn:
        yield dsn


async def sleep_beside_a_reply(clock: Clock, dsn: str) -> None:
    """Check that a sleep of an hour does not end before a reply that takes 0.3 s."""
    order: list[str] = []
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        with flowing(clock):

            async def query() -> None:
                await connection.execute("select pg_sleep(0.3)")
                assert clock.now() == NOON

            await together(log(order, "sleep", asyncio.sleep(3600)), log(order, "reply", query()))
    assert order == ["reply", "sleep"]
    assert clock.now() == NOON + timedelta(hours=1)


@pytest.mark.postgres
def test_a_reply_of_postgres_is_not_overtaken(clock: Clock, run: Runner, dsn: str) -> None:
    run(sleep_beside_a_reply(clock, dsn))


@pytest.fixture
async def something_async() -> str:
    """Make pytest's plugin run the test's loop as it does for its users."""
    await asyncio.sleep(0)
    return "here"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.postgres
@pytest.mark.anyio
async def test_a_reply_of_postgres_is_not_overtaken_in_a_loop_of_pytest(
    clock: Clock, dsn: str, something_async: str
) -> None:
    await sleep_beside_a_reply(clock, dsn)


@pytest.mark.postgres
def test_jobs_that_connect_query_and_sleep_move_the_clock_by_their_sleeps_alone(
    clock: Clock, run: Runner, dsn: str
) -> None:
    async def main() -> None:
        with flowing(clock):
            beside = asyncio.create_task(asyncio.sleep(3600))
            async with await psycopg.AsyncConnection.connect(dsn) as connection:
                for _ in range(20):
                    await connection.execute("select 1")
                    await asyncio.sleep(1)
            beside.cancel()

    run(main())
    assert clock.now() == NOON + timedelta(seconds=20)


@pytest.mark.postgres
def test_a_query_that_does_not_end_is_outlasted_by_a_timeout_in_real_time(clock: Clock, run: Runner, dsn: str) -> None:
    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            with flowing(clock), pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await connection.execute("select pg_sleep(30)")

    began = time.monotonic()
    run(main())
    assert 0.3 <= time.monotonic() - began < 10
    assert clock.now() == NOON + timedelta(seconds=0.3)


@pytest.mark.postgres
def test_a_connection_of_the_application_that_listens_does_not_stop_the_time(
    clock: Clock, run: Runner, dsn: str
) -> None:
    async def listen(connection: psycopg.AsyncConnection) -> None:
        async for _ in connection.notifies():
            pass

    async def main() -> None:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            await connection.execute("listen news")
            listener = asyncio.create_task(listen(connection))
            await asyncio.sleep(0)
            began = time.monotonic()
            with flowing(clock):
                for _ in range(20):
                    await asyncio.sleep(3600)
            assert time.monotonic() - began < in_flight.ANSWER
            listener.cancel()
            await asyncio.wait([listener])

    run(main())
    assert clock.now() == NOON + timedelta(hours=20)


# Trio


def test_trios_mock_clock_takes_the_clock_along(clock: Clock) -> None:
    async def main() -> None:
        with flowing(clock):
            await trio.sleep(3600)
            assert clock.now() == NOON + timedelta(hours=1)
            with trio.move_on_after(60):
                await anyio.sleep_forever()
            began = trio.current_time()
            clock.advance("1h")
            assert trio.current_time() - began == 3600
            await trio.sleep(1)
        await trio.sleep(3600)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert clock.now() == NOON + timedelta(hours=2, seconds=61)


@pytest.mark.parametrize("mock", [None, trio.testing.MockClock()], ids=["real clock", "stopped clock"])
def test_under_trio_without_a_flowing_mock_clock_the_error_says_how_to_get_one(
    clock: Clock, mock: trio.testing.MockClock | None
) -> None:
    async def main() -> None:
        with pytest.raises(InvalidOption, match=r"trio\.testing\.MockClock\(autojump_threshold=0\)"), flowing(clock):
            pass

    trio.run(main, clock=mock)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", [("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)})])
async def test_anyio_gives_tests_a_mock_clock_as_the_error_says(clock: Clock) -> None:
    with flowing(clock):
        await anyio.sleep(3600)
    assert clock.now() == NOON + timedelta(hours=1)
