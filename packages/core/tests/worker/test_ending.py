"""What a worker does for jobs that run at most once, and with what runs say of their progress."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

import pq_core as pq
from pq_core.outcome import Progress
from pq_core.worker import keeper

pytestmark = pytest.mark.anyio
Until = Callable[[Callable[[], object]], Awaitable[None]]
A_WHILE = 0.1


@pytest.fixture
def sent(troubled: Any, memory: pq.InMemoryConnector, monkeypatch: pytest.MonkeyPatch) -> list[list[Progress]]:
    """Look every moment for progress to tell, and give what each heartbeat told of it."""
    monkeypatch.setattr(keeper, "BETWEEN_WORDS", 0.01)
    told: list[list[Progress]] = []

    async def heartbeat(*args: Any, progress: Any, **options: Any) -> Any:
        if progress:
            told.append(list(progress))
            if troubled.faults["progress"]:
                raise troubled.faults["progress"].pop()
        return await memory.heartbeat(*args, progress=progress, **options)

    monkeypatch.setattr(troubled, "heartbeat", heartbeat, raising=False)
    return told


async def test_what_a_run_says_of_its_progress_is_stored_while_it_runs(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector, sent: list[Any]
) -> None:
    go_on = threading.Event()

    @app.task(pass_context=True)
    def work(context: pq.JobContext) -> None:
        context.progress(0.1)
        context.progress(0.25, "a quarter")
        go_on.wait(10)

    work.defer()
    async with running(lease=300):
        await until(lambda: memory.jobs[1].progress)
        progress = memory.jobs[1].progress
        assert (progress["fraction"], progress["message"]) == (0.25, "a quarter")
        assert memory.jobs[1].state == "running"
        await anyio.sleep(A_WHILE)
        assert len(sent) == 1, "what is not new was told again"
        go_on.set()
        await until(lambda: memory.jobs[1].ended)
    assert memory.jobs[1].progress["message"] == "a quarter"


async def test_what_a_run_says_last_comes_with_its_outcome(
    app: pq.App, drain: Any, memory: pq.InMemoryConnector
) -> None:
    @app.task(pass_context=True)
    async def work(context: pq.JobContext) -> None:
        context.progress(1.0, "done")

    work.defer()
    await drain()
    progress = memory.jobs[1].progress
    assert (progress["fraction"], progress["message"]) == (1.0, "done")


async def test_a_heartbeat_that_fails_tells_of_progress_again(
    app: pq.App, running: Any, until: Until, troubled: Any, sent: list[Any]
) -> None:
    @app.task(pass_context=True)
    async def work(context: pq.JobContext) -> None:
        context.progress(0.5)
        await anyio.sleep_forever()

    work.defer()
    troubled.faults["progress"] = [pq.ConnectionFailed("away")]
    async with running(lease=300, graceful_timeout=0.0):
        await until(lambda: troubled.inner.jobs[1].progress)
    assert [word.job_id for words in sent for word in words] == [1, 1]


async def test_each_of_many_runs_is_told_of(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector, sent: list[Any]
) -> None:
    steps: dict[int, anyio.Event] = {number: anyio.Event() for number in (1, 2, 3)}

    @app.task(pass_context=True)
    async def work(context: pq.JobContext) -> None:
        context.progress(0.0)
        await steps[context.job.id].wait()
        context.progress(0.5)
        await anyio.sleep_forever()

    work.batch_defer([{}] * 3)
    async with running(lease=300, graceful_timeout=0.0):
        await until(lambda: all(job.progress for job in memory.jobs.values()))
        steps[2].set()
        await until(lambda: memory.jobs[2].progress["fraction"] == 0.5)
        assert [job.progress["fraction"] for job in memory.jobs.values()] == [0.0, 0.5, 0.0]
        await anyio.sleep(A_WHILE)
    assert Counter(word.job_id for words in sent for word in words) == {1: 1, 2: 2, 3: 1}


async def test_a_job_of_one_life_that_its_worker_stops_fails(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector
) -> None:
    @app.task(delivery="at_most_once")
    async def charge() -> None:
        await anyio.sleep_forever()

    @app.task
    async def other() -> None:
        await anyio.sleep_forever()

    charge.defer()
    other.defer()
    async with running(graceful_timeout=0.0):
        await until(lambda: [job.state for job in memory.jobs.values()] == ["running"] * 2)
    once, again = memory.jobs[1], memory.jobs[2]
    assert (once.state, once.attempt) == ("failed", 1)
    assert once.errors[0]["type"] == "pq_core.errors.WorkerLost"
    assert "does not run again" in once.errors[0]["message"]
    assert (again.state, again.attempt, again.errors) == ("ready", 0, [])


async def test_a_job_of_one_life_in_a_thread_that_sees_it_is_to_stop_fails(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector
) -> None:
    @app.task(delivery="at_most_once", pass_context=True)
    def charge(context: pq.JobContext) -> None:
        while not context.should_stop():
            time.sleep(0.001)

    charge.defer()
    async with running(graceful_timeout=0.0):
        await until(lambda: memory.jobs[1].state == "running")
    assert memory.jobs[1].state == "failed"


async def test_a_job_of_one_life_that_is_cancelled_ends_as_cancelled(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector
) -> None:
    @app.task(delivery="at_most_once")
    async def charge() -> None:
        await anyio.sleep_forever()

    charge.defer()
    async with running(lease=300):
        await until(lambda: memory.jobs[1].state == "running")
        await memory.cancel([1], reason="enough")
        await until(lambda: memory.jobs[1].ended)
    assert (memory.jobs[1].state, memory.jobs[1].reason) == ("cancelled", "enough")


async def test_a_job_of_one_life_that_has_not_started_is_given_back(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector
) -> None:
    started: list[int] = []

    @app.task(delivery="at_most_once", pass_context=True)
    async def charge(context: pq.JobContext) -> None:
        started.append(context.job.id)
        await anyio.sleep(0.005)

    charge.batch_defer([{}] * 200)
    async with running(concurrency=1):
        await until(lambda: len(started) > 20)
    states = [memory.jobs[number].state for number in started]
    assert set(states) == {"succeeded"}
    assert {job.state for job in memory.jobs.values() if job.id not in started} == {"ready"}


async def test_a_job_deferred_before_its_task_was_to_run_once_runs_when_the_store_knows(
    app: pq.App, drain: Any, memory: pq.InMemoryConnector, troubled: Any
) -> None:
    known: list[str] = []

    @app.task(delivery="at_most_once", pass_context=True)
    async def charge(context: pq.JobContext) -> None:
        known.append(memory.jobs[context.job.id].delivery)

    app.defer_many([pq.NewJob(task=charge.name)])
    assert memory.jobs[1].delivery == "at_least_once"
    await drain()
    assert known == ["at_most_once"]
    assert (memory.jobs[1].state, memory.jobs[1].attempt, memory.jobs[1].claim) == ("succeeded", 1, 2)
    assert [outcomes[0].kind for (outcomes,) in troubled.calls["finish"]] == ["released", "succeeded"]


async def test_a_job_of_one_life_fails_though_its_task_may_be_retried_by_now(
    app: pq.App, drain: Any, memory: pq.InMemoryConnector
) -> None:
    @app.task(retry=5)
    async def charge() -> None:
        raise ValueError("no luck")

    app.defer_many([pq.NewJob(task=charge.name, delivery="at_most_once")])
    await drain()
    assert (memory.jobs[1].state, memory.jobs[1].attempt) == ("failed", 1)


async def test_who_waits_for_a_job_gets_it_when_a_worker_has_run_it(app: pq.App, running: Any) -> None:
    @app.task
    async def add(a: int, b: int) -> int:
        return a + b

    async with running():
        handle = app.jobs.handle(await add.defer_async(1, 2))
        job = await handle.wait_async(timeout=10)
        assert (job.state, job.result) == ("succeeded", 3)
        assert (await anyio.to_thread.run_sync(handle.wait, 10)) == job


async def test_a_job_of_one_life_that_is_cut_off_with_its_worker_fails(
    app: pq.App, until: Until, memory: pq.InMemoryConnector
) -> None:
    @app.task(delivery="at_most_once")
    async def charge() -> None:
        await anyio.sleep_forever()

    charge.defer()
    async with anyio.create_task_group() as group:
        group.start_soon(pq.Worker(app, install_signal_handlers=False).run_async)
        await until(lambda: memory.jobs[1].state == "running")
        group.cancel_scope.cancel()
    assert (memory.jobs[1].state, memory.jobs[1].attempt) == ("failed", 1)
    assert memory.jobs[1].errors[0]["type"].endswith("WorkerLost")
