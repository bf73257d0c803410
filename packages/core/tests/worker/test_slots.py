"""What a worker holds ahead of its runners, who runs it, and how its ends reach the store meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import pq_core as pq
from pq_core.connector import WorkerInfo
from pq_core.worker.slots import HORIZON, Slots

pytestmark = pytest.mark.anyio
Until = Callable[[Callable[[], object]], Any]
Drain = Callable[..., Awaitable[None]]
DEADLINE = 10.0


@pytest.mark.parametrize("seconds", [1e-6, 1e-4, 0.005, 0.2, 1.0, 60.0])
@pytest.mark.parametrize("concurrency", [1, 50])
async def test_no_more_is_claimed_ahead_than_will_start_within_the_horizon(
    seconds: float, concurrency: int, anyio_backend: str
) -> None:
    slots = Slots(
        concurrency=concurrency,
        most_ahead=1000,
        begin=lambda _: pytest.fail("a run begins"),
        done=lambda _: None,
        room=lambda: None,
    )
    assert slots.wanted() == concurrency  # as long as nobody knows how long jobs take
    slots._learn(seconds)
    ahead = slots.wanted() - concurrency
    assert 0 <= ahead * seconds <= concurrency * HORIZON
    assert ahead == 1000 or (ahead + 1) * seconds > concurrency * HORIZON


async def test_what_is_claimed_ahead_is_rescued_like_what_runs(
    app: pq.App, memory: pq.InMemoryConnector, running: Any, until: Until
) -> None:
    may_end = anyio.Event()
    started: list[int] = []

    @app.task
    async def noop() -> None: ...

    @app.task
    async def wait() -> None:
        started.append(1)
        await may_end.wait()

    noop.batch_defer([{}] * 200)
    wait.batch_defer([{}] * 20)

    def held() -> list[pq.Job]:
        return [job for job in memory.jobs.values() if job.state == "running" and job.id > 200]

    async with running(concurrency=2, name="dead"):
        await until(lambda: len(started) == 2 and len(held()) > 2)
        (worker,) = {job.worker for job in held()}
        assert worker is not None
        ids = {job.id for job in held()}
        with anyio.fail_after(DEADLINE):
            while not all(memory.jobs[number].losses for number in ids):
                await memory.heartbeat(WorkerInfo(id=worker, name="dead"), timedelta(0))
                await memory.rescue()  # of nobody, if the worker's own heartbeat has come between
        may_end.set()


@pytest.mark.parametrize("waits", [False, True])
async def test_quick_jobs_are_run_by_few_runners_and_jobs_that_wait_by_all(
    app: pq.App, drain: Drain, waits: bool
) -> None:
    runners: set[int] = set()
    together = anyio.Event()

    @app.task
    async def note() -> None:
        runners.add(anyio.get_current_task().id)
        if waits and len(runners) == 20:
            together.set()
        if waits:
            await together.wait()

    note.batch_defer([{}] * 20)
    await drain(concurrency=20)
    assert len(runners) == 20 if waits else len(runners) < 5


async def test_a_lone_outcome_is_written_at_once_whatever_else_still_runs(
    app: pq.App, memory: pq.InMemoryConnector, running: Any, until: Until, troubled: Any
) -> None:
    may_end = anyio.Event()

    @app.task
    async def wait() -> None:
        await may_end.wait()

    @app.task
    async def noop() -> None: ...

    async with running(concurrency=2):
        await wait.defer_async()
        await until(lambda: memory.jobs[1].state == "running")
        await noop.defer_async()
        await until(lambda: memory.jobs[2].state == "succeeded")
        assert memory.jobs[1].state == "running"
        assert [len(outcomes) for (outcomes,) in troubled.calls["finish"]] == [1]
        may_end.set()


async def test_the_next_jobs_are_fetched_while_outcomes_are_written(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, troubled: Any
) -> None:
    """So a worker keeps two connections busy; were they used in turns, this would never end."""
    fetched = anyio.Event()

    async def wait_for_a_fetch(*_: object) -> None:
        await fetched.wait()

    async def tell(*_: object) -> None:
        if troubled.calls["finish"]:
            fetched.set()

    @app.task
    async def noop() -> None:
        await anyio.lowlevel.checkpoint()

    noop.batch_defer([{}] * 100)
    troubled.before = {"finish": wait_for_a_fetch, "fetch": tell}
    await drain(concurrency=4, batch=10)
    assert {str(job.state) for job in memory.jobs.values()} == {"succeeded"}
