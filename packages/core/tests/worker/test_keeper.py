"""The lease is kept until the last outcome is written, and the jobs of the dead come back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

import pq_core as pq
from pq_core.connector import WorkerInfo
from pq_core.outcome import Outcome
from pq_core.worker.retention import STEP, forget, plan

pytestmark = pytest.mark.anyio
Until = Callable[[Callable[[], object]], Awaitable[None]]


async def test_the_first_heartbeat_comes_before_the_first_fetch(
    app: pq.App, troubled: Any, running: Any, until: Until
) -> None:
    order: list[str] = []

    async def note(verb: str) -> None:
        order.append(verb)

    troubled.before["heartbeat"] = lambda *_: note("heartbeat")
    troubled.before["fetch"] = lambda *_: note("fetch")
    async with running():
        await until(lambda: "fetch" in order)
    assert order[0] == "heartbeat"


async def test_the_lease_is_kept_while_the_last_job_drains_and_its_outcome_waits(
    app: pq.App, troubled: Any, running: Any, until: Until, memory: pq.InMemoryConnector
) -> None:
    may_end = anyio.Event()

    @app.task
    async def slow() -> None:
        await may_end.wait()

    slow.defer()
    async with running(lease=0.3) as worker:
        await until(lambda: memory.jobs[1].state == "running")
        worker.stop()
        before = len(troubled.calls["heartbeat"])
        await until(lambda: len(troubled.calls["heartbeat"]) > before + 3)
        troubled.faults["finish"] = [pq.ConnectionFailed("away")] * 4
        may_end.set()
        before = len(troubled.calls["heartbeat"])
        await until(lambda: len(troubled.calls["heartbeat"]) > before + 1)
    assert (memory.jobs[1].state, memory.jobs[1].losses) == ("succeeded", 0)


async def test_failing_heartbeats_do_not_end_the_keeper(
    app: pq.App, troubled: Any, running: Any, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(lease=0.3):
        await until(lambda: troubled.calls["heartbeat"])
        troubled.faults["heartbeat"] = [RuntimeError("odd"), pq.ConnectionFailed("away"), OSError("reset")]
        before = len(troubled.calls["heartbeat"])
        await until(lambda: len(troubled.calls["heartbeat"]) > before + 5)
    assert sum(record.action == "heartbeat_failed" for record in caplog.records) == 3


@pytest.mark.parametrize("verb", ["rescue", "prune"])
async def test_failing_chores_are_tried_again(
    app: pq.App, troubled: Any, running: Any, until: Until, verb: str
) -> None:
    troubled.faults[verb] = [RuntimeError("odd")]
    async with running(lease=0.03):
        with anyio.fail_after(10):
            await until(lambda: len(troubled.calls[verb]) > 1)


async def test_the_jobs_of_a_dead_worker_run_again(
    app: pq.App, troubled: Any, running: Any, until: Until, memory: pq.InMemoryConnector
) -> None:
    @app.task
    async def work() -> int:
        return 1

    work.defer()
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    await memory.heartbeat(WorkerInfo(id=1, name="dead"), timedelta(seconds=30), now=long_ago)
    await memory.fetch(1, None, 1, now=long_ago)
    async with running(lease=0.3, poll_interval=60, listen=False):
        await until(lambda: memory.jobs[1].state == "succeeded")
    assert (memory.jobs[1].losses, memory.jobs[1].attempt) == (1, 2)


async def test_old_history_is_forgotten_at_the_start(app: pq.App, troubled: Any, running: Any, until: Until) -> None:
    async with running(retention=timedelta(days=3)):
        await until(lambda: troubled.calls["prune"])
    assert troubled.calls["prune"] == [(timedelta(days=3),)]


async def test_a_worker_that_stops_signs_off(app: pq.App, troubled: Any, running: Any, until: Until) -> None:
    async with running():
        await until(lambda: troubled.calls["fetch"])
    (info, _), (left,) = troubled.calls["heartbeat"][0], troubled.calls["leave"][0]
    assert info.id == left


async def test_a_cancelled_job_is_stopped_soon_when_the_store_tells_of_it(
    app: pq.App, troubled: Any, running: Any, until: Until, memory: pq.InMemoryConnector
) -> None:
    @app.task
    async def forever() -> None:
        await anyio.sleep_forever()

    forever.defer()
    async with running(lease=300):
        await until(lambda: memory.jobs[1].state == "running")
        await memory.cancel([1], reason="no longer needed")
        await until(lambda: memory.jobs[1].state == "cancelled")
    assert memory.jobs[1].reason == "no longer needed"


async def test_a_worker_that_ends_waits_for_what_it_has_asked_the_store(app: pq.App, troubled: Any, drain: Any) -> None:
    cut_off: list[BaseException] = []
    asked: list[str] = []

    async def answer_slowly(*_: object) -> None:
        asked.append("prune")
        try:
            await anyio.sleep(0.05)
        except BaseException as error:
            cut_off.append(error)
            raise

    troubled.before["prune"] = answer_slowly
    troubled.before["fetch"] = lambda *_: anyio.sleep(0.01)
    await drain()
    assert asked == ["prune"]
    assert cut_off == []


@pytest.mark.parametrize(
    "retention, steps",
    [
        (None, [(None, None)]),
        (timedelta(3), [(timedelta(3), None)]),
        ({}, [(timedelta(30), None)]),
        (
            {"succeeded": timedelta(1), "failed": timedelta(90), "cancelled": timedelta(1)},
            [(timedelta(90), None), (timedelta(1), ["cancelled", "succeeded"])],
        ),
        ({"succeeded": timedelta(1)}, [(timedelta(30), None), (timedelta(1), ["succeeded"])]),
        (
            {"failed": None, "succeeded": timedelta(0)},
            [(None, None), (timedelta(30), ["cancelled"]), (timedelta(0), ["succeeded"])],
        ),
    ],
)
def test_what_is_too_old_however_it_ended_is_forgotten_first(retention: Any, steps: list[Any]) -> None:
    assert [(step.older_than, step.states) for step in plan(retention)] == steps


async def test_each_outcome_is_kept_for_its_own_time(
    app: pq.App, troubled: Any, running: Any, until: Until, memory: pq.InMemoryConnector
) -> None:
    @app.task
    async def work(*, well: bool) -> None:
        if not well:
            raise ValueError

    long_ago = datetime.now(UTC) - timedelta(days=8)
    for number, well in enumerate([True, False] * 2, start=1):
        await memory.heartbeat(WorkerInfo(id=1), timedelta(seconds=30), now=long_ago)
        await memory.defer([work.job(well=well)], now=long_ago)
        (job,) = (await memory.fetch(1, None, 1, now=long_ago)).jobs
        assert job.id == number
        outcome = Outcome.succeeded(job) if well else Outcome.failed(job, ValueError())
        await memory.finish([outcome], now=long_ago)
    async with running(retention={"succeeded": timedelta(days=7), "failed": timedelta(days=9)}):
        await until(lambda: sorted(memory.jobs) == [2, 4])
        await until(lambda: len(troubled.calls["prune"]) == 3)
    ages = [age for (age,) in troubled.calls["prune"]]
    assert ages == [timedelta(days=30), timedelta(days=9), timedelta(days=7)]


async def test_a_long_history_is_forgotten_in_steps() -> None:
    answers = [STEP, STEP, 5]
    limits: list[int | None] = []

    class Pruned:
        async def prune(self, *_: object, limit: int | None, **__: object) -> int:
            limits.append(limit)
            return answers.pop(0)

    assert await forget(Pruned(), plan(None)[0]) == 2 * STEP + 5  # type: ignore[arg-type]
    assert limits == [STEP] * 3
