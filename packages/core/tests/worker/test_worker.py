"""How a worker arrives, stops and leaves; what happens to jobs that run meanwhile."""

from __future__ import annotations

import asyncio
import pkgutil
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import pq_core as pq
from pq_core.worker import presence, rooms
from pq_core.worker import worker as worker_module
from pq_core.worker.backoff import Backoff

pytestmark = pytest.mark.anyio
Until = Callable[[Callable[[], object]], Awaitable[None]]


def states(memory: pq.InMemoryConnector) -> list[str]:
    return [str(job.state) for job in memory.jobs.values()]


async def until_begun(until: Until, memory: pq.InMemoryConnector, jobs: int = 1) -> None:
    """Wait until jobs run in a worker: one that is claimed, and has not begun, would go back when it stops."""
    await until(lambda: states(memory) == ["running"] * jobs)
    await anyio.wait_all_tasks_blocked()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Give an event that stuck sync tasks wait for, so that no thread outlives its test."""
    event = threading.Event()
    yield event
    event.set()


async def test_at_the_start_a_store_that_is_away_is_waited_for(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector, troubled: Any
) -> None:
    @app.task
    async def task() -> None: ...

    task.defer()
    troubled.faults["heartbeat"] = [pq.ConnectionFailed("starting up"), TimeoutError()]
    async with running():
        await until(lambda: states(memory) == ["succeeded"])


@pytest.mark.parametrize(
    "error", [pq.SchemaMissing("run pq schema apply"), pq.ConnectorError("not under trio")], ids=repr
)
async def test_at_the_start_what_waiting_cannot_mend_is_raised_bare(
    app: pq.App, troubled: Any, error: Exception
) -> None:
    troubled.faults["heartbeat"] = [error]
    with pytest.raises(type(error)) as raised:
        await app.run_worker_async()
    assert raised.value is error


async def test_a_worker_can_be_stopped_while_it_waits_for_the_store(app: pq.App, troubled: Any, until: Until) -> None:
    troubled.faults["heartbeat"] = [pq.ConnectionFailed("away")] * 1000
    worker = pq.Worker(app, install_signal_handlers=False)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(worker.run_async)
            await until(lambda: len(troubled.calls["heartbeat"]) > 1)
            worker.stop()


async def test_a_broken_module_of_the_app_is_seen_before_a_job_is_claimed(troubled: Any) -> None:
    app = pq.App(connector=troubled, import_paths=["no_such_module_anywhere"])
    with pytest.raises(pq.InvalidOption, match="no_such_module_anywhere"):
        await app.run_worker_async(wait=False)
    assert not troubled.calls["heartbeat"]


async def test_a_closed_connector_is_opened_and_closed_again(
    app: pq.App, memory: pq.InMemoryConnector, troubled: Any
) -> None:
    await memory.open()
    await memory.close()
    await app.run_worker_async(wait=False)
    assert (len(troubled.calls["open"]), len(troubled.calls["close"])) == (1, 1)


async def test_an_open_connector_is_left_open(app: pq.App, troubled: Any) -> None:
    await app.run_worker_async(wait=False)
    assert not troubled.calls["open"]
    assert not troubled.calls["close"]


def test_run_has_an_event_loop_of_its_own_and_can_be_repeated(app: pq.App, memory: pq.InMemoryConnector) -> None:
    @app.task
    async def task() -> None: ...

    for _ in range(2):
        task.defer()
        app.run_worker(wait=False)
    assert states(memory) == ["succeeded"] * 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_run_refuses_a_thread_whose_event_loop_runs_already(app: pq.App) -> None:
    with pytest.raises(pq.InvalidOption, match="run_worker_async"):
        app.run_worker()


async def test_stop_waits_for_running_jobs_and_fetches_no_more(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector, caplog: pytest.LogCaptureFixture
) -> None:
    may_end = anyio.Event()

    @app.task
    async def wait() -> str:
        await may_end.wait()
        return "done"

    wait.defer()
    async with running() as worker:
        await until_begun(until, memory)
        worker.stop()
        await until(lambda: "worker_stopping" in [record.action for record in caplog.records])
        await wait.defer_async()
        await anyio.wait_all_tasks_blocked()
        may_end.set()
    assert [(job.state, job.result) for job in memory.jobs.values()] == [("succeeded", "done"), ("ready", None)]


async def test_stop_may_come_from_another_thread(app: pq.App, running: Any, until: Until, troubled: Any) -> None:
    async with running() as worker:
        await until(lambda: troubled.calls["fetch"])
        thread = threading.Thread(target=worker.stop)
        thread.start()
        await until(lambda: troubled.calls["leave"])
        thread.join()


@pytest.mark.parametrize("first", [[], [False]], ids=["at once", "after a stop"])
async def test_stop_now_does_not_wait_and_gives_running_jobs_back(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector, first: list[bool]
) -> None:
    left = False

    @asynccontextmanager
    async def lifespan(worker: pq.Worker) -> AsyncIterator[None]:
        nonlocal left
        yield
        worker.stop(now=True)
        for _ in range(10):
            await anyio.lowlevel.checkpoint()  # where a second cancellation would strike
        left = True

    @app.task
    async def forever() -> None:
        await anyio.sleep_forever()

    app.worker_lifespan = lifespan
    forever.defer()
    async with running(graceful_timeout=None) as worker:
        await until_begun(until, memory)
        for now in [*first, True]:
            thread = threading.Thread(target=worker.stop, kwargs={"now": now})
            thread.start()
            thread.join()
    assert [(job.state, job.attempt) for job in memory.jobs.values()] == [("ready", 0)]
    assert left


async def test_stop_now_before_it_runs_is_a_stop(app: pq.App, troubled: Any) -> None:
    worker = pq.Worker(app, install_signal_handlers=False)
    worker.stop(now=True)
    with anyio.fail_after(10):
        await worker.run_async()
    assert not troubled.calls["fetch"]


async def test_a_worker_stopped_before_it_runs_returns_at_once_and_then_runs_again(
    app: pq.App, troubled: Any, until: Until
) -> None:
    worker = pq.Worker(app, install_signal_handlers=False)
    worker.stop()
    with anyio.fail_after(10):
        await worker.run_async()
    assert not troubled.calls["fetch"]
    async with anyio.create_task_group() as group:
        group.start_soon(worker.run_async)
        await until(lambda: troubled.calls["fetch"])
        worker.stop()


async def test_after_the_graceful_timeout_async_jobs_are_cancelled_and_released(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector
) -> None:
    begun = tidied = False

    @app.task
    async def forever() -> None:
        nonlocal begun, tidied
        begun = True
        try:
            await anyio.sleep_forever()
        finally:
            tidied = True

    forever.defer()
    async with running(graceful_timeout=0.05):
        await until(lambda: begun)  # a job that was claimed, and has not begun, would go back at once
    assert tidied
    assert (memory.jobs[1].state, memory.jobs[1].attempt, memory.jobs[1].claim) == ("ready", 0, 1)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("why", ["cancel", "shutdown"])
async def test_under_asyncio_a_cancelled_job_may_await_while_it_tidies_up(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector, why: str
) -> None:
    tidied: list[int] = []

    @app.task
    async def forever() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            for step in range(3):
                await asyncio.sleep(0.001)
                tidied.append(step)

    @app.task
    async def after() -> int:
        here = asyncio.current_task()
        assert here
        await asyncio.sleep(0)
        return here.cancelling()

    forever.defer()
    async with running(graceful_timeout=0.05, lease=0.1, concurrency=1):
        await until_begun(until, memory)
        if why == "cancel":
            await memory.cancel([1])
            await until(lambda: states(memory) == ["cancelled"])
            await after.defer_async()
            await until(lambda: states(memory) == ["cancelled", "succeeded"])
    assert tidied == [0, 1, 2]
    assert states(memory) == (["cancelled", "succeeded"] if why == "cancel" else ["ready"])
    assert why == "shutdown" or memory.jobs[2].result == 0


async def test_a_job_whose_tidying_up_does_not_end_is_cut_off_at_the_firm_end(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector
) -> None:
    @app.task
    async def forever() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            await anyio.sleep_forever()

    forever.defer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_module, "FIRM", 0.05)
        async with running(graceful_timeout=0):
            await until_begun(until, memory)
    assert (memory.jobs[1].state, memory.jobs[1].attempt) == ("ready", 0)


@pytest.mark.parametrize("how", ["stopped", "cancelled"])
async def test_a_job_that_swallows_its_cancellation_is_given_back_before_it_ends(
    app: pq.App, until: Until, troubled: Any, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    @app.task
    async def stubborn() -> None:
        began.set()
        while not may_end:
            with suppress(anyio.get_cancelled_exc_class()):
                await anyio.sleep(0.001)

    began = anyio.Event()
    may_end = False
    memory = troubled.inner
    number = stubborn.defer()
    worker = pq.Worker(app, install_signal_handlers=False, graceful_timeout=0)
    with pytest.MonkeyPatch.context() as patch, anyio.fail_after(10):
        patch.setattr(worker_module, "FIRM", 0.01)
        patch.setattr(rooms, "MOMENT", 0.01)
        async with anyio.create_task_group() as group:
            group.start_soon(worker.run_async)
            await began.wait()
            worker.stop() if how == "stopped" else group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await until(lambda: troubled.calls["leave"] and states(memory) == ["ready"])
            may_end = True
    assert (memory.jobs[number].attempt, memory.jobs[number].losses) == (0, 0)
    assert [record.jobs for record in caplog.records if record.action == "jobs_left_running"] == [[number]]


async def test_a_job_that_answers_its_cancellation_with_an_error_is_released_all_the_same(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector
) -> None:
    @app.task
    async def forever() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise ConnectionError("interrupted")

    forever.defer()
    async with running(graceful_timeout=0):
        await until_begun(until, memory)
    assert (memory.jobs[1].state, memory.jobs[1].errors) == ("ready", [])


async def test_a_sync_job_that_heeds_should_stop_is_released(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector, gate: threading.Event
) -> None:
    @app.task(pass_context=True)
    def heedful(context: pq.JobContext) -> str:
        while not context.should_stop():
            gate.wait(0.01)
        return "half done"

    heedful.defer()
    async with running(graceful_timeout=0):
        await until_begun(until, memory)
    assert (memory.jobs[1].state, memory.jobs[1].attempt, memory.jobs[1].result) == ("ready", 0, None)


async def test_a_sync_job_that_ends_without_having_been_told_to_stop_has_succeeded(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector, gate: threading.Event
) -> None:
    @app.task
    def unaware() -> str:
        gate.wait(10)
        return "done"

    unaware.defer()
    async with running(graceful_timeout=0) as worker:
        await until_begun(until, memory)
        worker.stop()
        await anyio.wait_all_tasks_blocked()
        gate.set()
    assert (memory.jobs[1].state, memory.jobs[1].result) == ("succeeded", "done")


async def test_a_sync_job_that_never_ends_is_left_behind_and_released(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector, gate: threading.Event
) -> None:

    @app.task
    def stuck() -> None:
        gate.wait(20)

    stuck.defer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_module, "FIRM", 0.05)
        async with running(graceful_timeout=0.01):
            await until_begun(until, memory)
    assert (memory.jobs[1].state, memory.jobs[1].attempt) == ("ready", 0)


async def test_a_cancelled_async_job_ends_cancelled_with_the_reason_given(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector
) -> None:
    @app.task(retry=True)
    async def forever() -> None:
        await anyio.sleep_forever()

    @app.task
    async def other() -> None: ...

    forever.defer()
    async with running(lease=0.1, concurrency=1):
        await until_begun(until, memory)
        await memory.cancel([1], reason="wrong address")
        await until(lambda: memory.jobs[1].state == "cancelled")
        assert memory.jobs[1].reason == "wrong address"
        await other.defer_async()
        await until(lambda: states(memory) == ["cancelled", "succeeded"])


async def test_a_cancelled_sync_job_ends_cancelled_when_it_heeds_should_stop(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector, gate: threading.Event
) -> None:
    @app.task(pass_context=True, retry=True)
    def heedful(context: pq.JobContext) -> None:
        while not context.should_stop():
            gate.wait(0.01)
        raise InterruptedError

    heedful.defer()
    async with running(lease=1.0):
        await until_begun(until, memory)
        await memory.cancel([1])
        await until(lambda: states(memory) == ["cancelled"])


async def test_a_job_that_completes_in_spite_of_its_cancellation_has_succeeded(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector
) -> None:
    @app.task
    async def stubborn() -> str:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            return "done"

    stubborn.defer()
    async with running(lease=1.0):
        await until_begun(until, memory)
        await memory.cancel([1])
        await until(lambda: states(memory) == ["succeeded"])
    assert memory.jobs[1].result == "done"


async def test_a_worker_that_is_cancelled_from_outside_gives_its_jobs_back(
    app: pq.App, until: Until, memory: pq.InMemoryConnector
) -> None:
    @app.task(retry=5)
    async def forever() -> None:
        await anyio.sleep_forever()

    forever.batch_defer([{}] * 3)
    async with anyio.create_task_group() as group:
        group.start_soon(pq.Worker(app, install_signal_handlers=False).run_async)
        await until_begun(until, memory, 3)
        group.cancel_scope.cancel()
    assert [(job.state, job.attempt) for job in memory.jobs.values()] == [("ready", 0)] * 3


async def test_a_worker_that_is_cancelled_from_outside_still_writes_what_has_ended(
    app: pq.App, until: Until, memory: pq.InMemoryConnector, troubled: Any
) -> None:
    @app.task
    async def task() -> str:
        return "precious"

    async def hang_at_first(*_: object) -> None:
        if len(troubled.calls["finish"]) == 1:
            await anyio.sleep_forever()

    task.defer()
    troubled.before["finish"] = hang_at_first
    async with anyio.create_task_group() as group:
        group.start_soon(pq.Worker(app, install_signal_handlers=False).run_async)
        await until(lambda: troubled.calls["finish"])
        group.cancel_scope.cancel()
    assert memory.jobs[1].result == "precious"


async def test_a_worker_does_not_leave_before_its_outcomes_are_written(
    app: pq.App, drain: Any, memory: pq.InMemoryConnector, troubled: Any
) -> None:
    @app.task
    async def task() -> str:
        return "precious"

    task.defer()
    troubled.faults["finish"] = [pq.ConnectionFailed("away")] * 3
    await drain()
    assert memory.jobs[1].result == "precious"


async def test_a_worker_that_must_leave_with_outcomes_unwritten_says_so(
    app: pq.App, running: Any, until: Until, troubled: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task
    async def task() -> None: ...

    task.defer()
    troubled.faults["finish"] = [pq.ConnectionFailed("away")] * 10_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_module, "FIRM", 0.01)
        patch.setattr(presence, "FAREWELL", 0.01)
        async with running(graceful_timeout=0.01):
            await until(lambda: len(troubled.calls["finish"]) > 1)
    assert [record.outcomes for record in caplog.records if record.action == "outcomes_dropped"] == [1]


@pytest.mark.parametrize("name", ["slots", "writer", "dispatcher", "heartbeat"])
async def test_a_room_that_fails_opens_again_and_no_job_is_lost(
    app: pq.App, running: Any, until: Until, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Break each loop twice, from inside, in the midst of work."""
    targets: dict[str, tuple[str, str]] = {
        "slots": ("pq_core.worker.slots.Slots", "_learn"),
        "writer": ("pq_core.worker.writer.Writer", "_write"),
        "dispatcher": ("pq_core.worker.dispatcher.Dispatcher", "_wanted"),
        "heartbeat": ("pq_core.worker.keeper.Keeper", "_try"),
    }
    place, method = targets[name]
    original = pkgutil.resolve_name(place)
    sound = getattr(original, method)
    failures = [ZeroDivisionError("a bug"), ZeroDivisionError("a bug")]

    def broken(*args: Any, **kwargs: Any) -> Any:
        if failures:
            raise failures.pop()
        return sound(*args, **kwargs)

    monkeypatch.setattr(original, method, broken)
    monkeypatch.setattr(rooms, "Backoff", lambda: Backoff(first=0.001, longest=0.001))

    @app.task
    async def task() -> None:
        await anyio.lowlevel.checkpoint()

    task.batch_defer([{}] * 100)
    async with running(concurrency=5, lease=0.1):
        await until(lambda: app.jobs.count()[pq.State.SUCCEEDED] == 100 and not failures)


async def test_tasks_that_never_wait_do_not_starve_the_heartbeat(app: pq.App, drain: Any, troubled: Any) -> None:
    runs = 0

    @app.task
    async def spin() -> None:
        nonlocal runs
        runs += 1
        end = time.perf_counter() + 0.001
        while time.perf_counter() < end:
            pass

    app.defer_many([spin.job()] * 1500)
    await drain(concurrency=1, lease=1.2)
    assert runs == 1500
    assert len(troubled.calls["heartbeat"]) > 2


@pytest.mark.parametrize("is_async", [True, False])
async def test_never_more_jobs_run_at_once_than_the_concurrency(
    app: pq.App, drain: Any, memory: pq.InMemoryConnector, gate: threading.Event, is_async: bool
) -> None:
    now = most = 0
    turn = threading.Lock()

    def count(change: int) -> None:
        nonlocal now, most
        with turn:
            now += change
            most = max(most, now)

    async def act() -> None:
        count(1)
        await anyio.sleep(0.001)
        count(-1)

    def act_sync() -> None:
        count(1)
        gate.wait(0.001)
        count(-1)

    task = app.task(name="task")(act if is_async else act_sync)
    task.batch_defer([{}] * 100)
    await drain(concurrency=4)
    assert most == 4
    assert set(states(memory)) == {"succeeded"}
