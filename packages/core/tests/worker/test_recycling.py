"""Workers that end by themselves, for a fresh process to take their place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

import pq_core as pq
from pq_core.worker import recycling
from pq_core.worker.recycling import MEGABYTE, Recycling, resident_memory

pytestmark = pytest.mark.anyio


async def _run(app: pq.App, **options: object) -> pq.Worker:
    worker = pq.Worker(app, **{"install_signal_handlers": False, "listen": False, **options})  # type: ignore[arg-type]
    with anyio.fail_after(10):
        await worker.run_async()
    return worker


async def test_a_worker_ends_after_so_many_jobs_and_leaves_the_others_to_the_next(
    app: pq.App, memory: pq.InMemoryConnector
) -> None:
    @app.task
    async def task() -> None: ...

    task.batch_defer([{}] * 10)
    worker = await _run(app, max_jobs=4, concurrency=1)
    states = [job.state for job in memory.jobs.values()]
    assert states.count(pq.State.SUCCEEDED) == 4
    assert states.count(pq.State.READY) == 6
    assert worker.recycled == "it has run 4 jobs"
    assert all(job.attempt == (job.state == "succeeded") for job in memory.jobs.values())


async def test_jobs_that_run_when_the_worker_has_enough_still_end(app: pq.App, memory: pq.InMemoryConnector) -> None:
    first_ended = anyio.Event()

    @app.task
    async def first() -> None: ...

    @app.task
    async def second() -> str:
        await first_ended.wait()
        return "done"

    @app.on(pq.events.JobSucceeded)
    def tell(event: pq.events.JobSucceeded) -> None:
        first_ended.set()

    number = second.defer()
    first.defer()
    await _run(app, max_jobs=1, concurrency=2, graceful_timeout=None)
    assert memory.jobs[number].result == "done"


async def test_a_worker_ends_when_it_uses_too_much_memory(
    app: pq.App, memory: pq.InMemoryConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = [100 * MEGABYTE, 100 * MEGABYTE, 301 * MEGABYTE]
    monkeypatch.setattr(recycling, "resident_memory", lambda: used.pop(0))
    monkeypatch.setattr(recycling, "BETWEEN_LOOKS", 0.0)

    @app.task
    async def task() -> None: ...

    task.batch_defer([{}] * 5)
    worker = await _run(app, max_memory=300, concurrency=1)
    assert [job.state for job in memory.jobs.values()].count(pq.State.SUCCEEDED) == 3
    assert worker.recycled == "it uses 301 MB of memory, which is more than 300"


async def test_a_worker_that_was_told_to_stop_is_not_recycled(app: pq.App) -> None:
    worker: pq.Worker

    @app.task
    async def task() -> None:
        worker.stop()

    task.defer()
    worker = pq.Worker(app, max_jobs=1, install_signal_handlers=False)
    with anyio.fail_after(10):
        await worker.run_async()
    assert worker.recycled is None
    task.defer()
    worker = pq.Worker(app, max_jobs=1, install_signal_handlers=False)


async def test_a_worker_that_has_nothing_left_to_do_is_not_recycled(app: pq.App) -> None:
    assert (await _run(app, max_jobs=1, wait=False)).recycled is None


def test_jobs_that_are_given_back_unrun_do_not_count() -> None:
    reasons: list[str] = []
    put = Recycling(max_jobs=1, max_memory=None, recycle=reasons.append).watched(lambda _: None)
    job = _job()
    put(pq.outcome.Outcome.released(job))
    assert reasons == []
    put(pq.outcome.Outcome.succeeded(job))
    put(pq.outcome.Outcome.succeeded(job))
    assert reasons == ["it has run 1 jobs"]


def test_nothing_is_counted_that_nobody_asked_for() -> None:
    def put(_: object) -> None: ...

    assert Recycling(max_jobs=None, max_memory=None, recycle=_never).watched(put) is put


def _never(reason: str) -> None:
    pytest.fail(reason)


def _job() -> pq.Job:
    memory = pq.InMemoryConnector()
    pq.App(connector=memory).defer_many([pq.NewJob(task="t")])
    return memory.jobs[1]


def test_the_memory_of_this_process_is_told_in_bytes() -> None:
    before = resident_memory()
    ballast = bytearray(64 * MEGABYTE)
    ballast[::4096] = b"x" * len(ballast[::4096])
    assert 50 * MEGABYTE < resident_memory() - before < 200 * MEGABYTE


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Ask for the memory where there is no /proc."""

    def refuse(*_: object, **__: object) -> str:
        raise FileNotFoundError("/proc/self/statm")

    monkeypatch.setattr(Path, "read_text", refuse)
    return resident_memory


def test_where_the_system_does_not_tell_the_most_ever_used_counts(unread: Callable[[], int]) -> None:
    assert 10 * MEGABYTE < unread() < 100_000 * MEGABYTE
