"""`app.jobs.wait`, and handles: what is returned, what is refused, and who is woken."""

from __future__ import annotations

import threading
from datetime import timedelta
from time import monotonic
from typing import Any

import anyio
import pytest

import pq_core as pq
from pq_core import waiting
from pq_core.connector import WorkerInfo
from pq_core.outcome import Outcome

HOUR = timedelta(hours=1)
LONG = 3600.0


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def memory() -> pq.InMemoryConnector:
    return pq.InMemoryConnector()


@pytest.fixture
def app(memory: pq.InMemoryConnector) -> pq.App:
    return pq.App(connector=memory)


@pytest.fixture
def job_id(app: pq.App) -> int:
    return app.defer_many([pq.NewJob(task="work", queue="sums")])[0]


async def run(memory: pq.InMemoryConnector, result: Any = None) -> None:
    """Do what a worker does for one job."""
    await memory.heartbeat(WorkerInfo(id=1), HOUR)
    (job,) = (await memory.fetch(1, None, 1)).jobs
    await memory.finish([Outcome.succeeded(job, result)])


@pytest.mark.anyio
async def test_a_job_that_has_ended_is_returned_at_once(app: pq.App, memory: pq.InMemoryConnector, job_id: int) -> None:
    await run(memory, {"sum": 3})
    handle = app.jobs.handle(job_id)
    jobs = [app.jobs.wait(job_id), handle.wait(), handle.get()]
    jobs += [await app.jobs.wait_async(job_id), await handle.wait_async(), await handle.get_async()]
    assert {(job.id, job.state, job.result["sum"]) for job in jobs} == {(job_id, "succeeded", 3)}


@pytest.mark.anyio
async def test_who_awaits_is_woken_by_the_end_and_not_by_looking(
    app: pq.App, memory: pq.InMemoryConnector, job_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "FIRST_LOOK", LONG)
    ended: list[pq.Job] = []

    async def wait() -> None:
        ended.append(await app.jobs.wait_async(job_id, timeout=HOUR))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await run(memory)
    assert [job.state for job in ended] == ["succeeded"] * 2


@pytest.mark.anyio
async def test_who_waits_in_a_thread_is_woken_by_the_end(
    app: pq.App, memory: pq.InMemoryConnector, job_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "FIRST_LOOK", LONG)
    ended: list[pq.Job] = []
    thread = threading.Thread(target=lambda: ended.append(app.jobs.wait(job_id, 10)))
    thread.start()
    await run(memory)
    await anyio.to_thread.run_sync(thread.join)
    assert [job.state for job in ended] == ["succeeded"]


def test_a_cancelled_job_has_ended(app: pq.App, job_id: int) -> None:
    app.jobs.cancel(job_id, reason="no more")
    job = app.jobs.wait(job_id)
    assert (job.state, job.reason) == ("cancelled", "no more")


@pytest.mark.parametrize("timeout", [0, 0.01, timedelta(milliseconds=10), {"milliseconds": 10}])
def test_a_job_that_does_not_end_in_time_is_an_error_that_says_who_is_to_run_it(
    app: pq.App, job_id: int, timeout: Any
) -> None:
    with pytest.raises(pq.WaitTimedOut, match=r"job 1 \(work\) has not ended .* it is ready\. .*'sums'.* run_jobs"):
        app.jobs.wait(job_id, timeout=timeout)
    assert issubclass(pq.WaitTimedOut, TimeoutError)
    assert app.jobs.get(job_id).state == "ready"


@pytest.mark.anyio
async def test_so_it_is_for_those_who_await(app: pq.App, job_id: int) -> None:
    with pytest.raises(pq.WaitTimedOut, match=r"has not ended within 0\.01 s"):
        await app.jobs.handle(job_id).wait_async(timeout=0.01)


@pytest.mark.anyio
async def test_a_job_that_leaves_no_trace_is_not_found(app: pq.App, memory: pq.InMemoryConnector, job_id: int) -> None:
    async with anyio.create_task_group() as group:

        async def wait() -> None:
            with pytest.raises(pq.JobNotFound):
                await app.jobs.wait_async(job_id, 10)

        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        memory.reset()


def test_a_job_that_never_was_is_not_waited_for(app: pq.App) -> None:
    with pytest.raises(pq.JobNotFound, match="404"):
        app.jobs.wait(404)


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf"), "soon", {"parsecs": 2}])
def test_a_timeout_that_is_no_length_of_time_is_refused(app: pq.App, job_id: int, timeout: Any) -> None:
    with pytest.raises(pq.InvalidOption, match="timeout"):
        app.jobs.wait(job_id, timeout=timeout)


def test_a_handle_on_what_is_no_id_is_refused(app: pq.App) -> None:
    with pytest.raises(pq.InvalidOption, match="'one'"):
        app.jobs.handle("one")  # type: ignore[arg-type]


def test_a_wait_without_word_looks_again_ever_more_seldom(app: pq.App, job_id: int) -> None:
    patience = waiting.Patience.of(None)
    pauses = [patience.pause(app.jobs.get(job_id)) for _ in range(7)]
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_no_pause_is_longer_than_what_is_left(app: pq.App, job_id: int) -> None:
    patience = waiting.Patience(timeout=0.1, began=monotonic())
    assert 0 < patience.pause(app.jobs.get(job_id)) <= 0.1


def test_a_handle_shows_the_job(app: pq.App) -> None:
    assert repr(app.jobs.handle(7)) == "JobHandle(id=7)"
