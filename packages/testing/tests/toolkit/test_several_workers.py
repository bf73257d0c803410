"""Drains with several workers: what one does while another waits."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

import pq_core as pq
from pq_core.connector import Fetched
from pq_testing import RunJobs
from pq_testing.errors import AsyncTaskInSyncDrain, EndlessJobs
from pq_testing.swap import using


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.PsycopgConnector("host=/nowhere"))


@pytest.fixture
def run_jobs(app: pq.App) -> Iterator[RunJobs]:
    with using(app) as run_jobs:
        yield run_jobs


@pytest.mark.timeout(10)
@pytest.mark.parametrize("until", [None, "1h"])
def test_a_job_can_wait_for_what_another_worker_does(app: pq.App, run_jobs: RunJobs, until: str | None) -> None:
    answered: list[asyncio.Event] = []

    @app.task(name="answer")
    async def answer() -> None:
        answered[0].set()

    @app.task(name="ask")
    async def ask() -> None:
        answered.append(asyncio.Event())
        await asyncio.sleep(0.01)
        await answer.defer_async()
        await answered[0].wait()

    ask.defer()

    assert run_jobs(until, workers=2).names == ["answer", "ask"]


class SlowConnector(pq.InMemoryConnector):
    """Takes its time to say that there is nothing to be had."""

    async def fetch(self, *args: Any, **options: Any) -> Fetched:
        fetched = await super().fetch(*args, **options)
        for _ in range(0 if fetched.jobs else 10):
            await asyncio.sleep(0)
        return fetched


@pytest.mark.timeout(10)
def test_a_job_deferred_while_a_worker_asks_for_one_is_not_missed(app: pq.App) -> None:
    answered: list[asyncio.Event] = []

    @app.task(name="answer")
    async def answer() -> None:
        answered[0].set()

    @app.task(name="ask")
    async def ask(turns: int) -> None:
        answered[:] = [asyncio.Event()]
        for _ in range(turns):
            await asyncio.sleep(0)
        await answer.defer_async()
        await answered[0].wait()

    with using(app, connector=SlowConnector()) as run_jobs:
        for turns in range(15):
            ask.defer(turns=turns)
            assert run_jobs(workers=2).names == ["answer", "ask"]


class UnevenConnector(pq.InMemoryConnector):
    """Is quicker to say that there is nothing to be had than to hand out a job."""

    async def fetch(self, *args: Any, **options: Any) -> Fetched:
        fetched = await super().fetch(*args, **options)
        for _ in range(10 if fetched.jobs else 0):
            await asyncio.sleep(0)
        return fetched


@pytest.mark.timeout(10)
def test_a_worker_does_not_leave_while_another_is_about_to_get_a_job(app: pq.App) -> None:
    answered: list[asyncio.Event] = []

    @app.task(name="answer")
    async def answer() -> None:
        answered[0].set()

    @app.task(name="ask")
    async def ask() -> None:
        answered.append(asyncio.Event())
        await answer.defer_async()
        await answered[0].wait()

    with using(app, connector=UnevenConnector()) as run_jobs:
        ask.defer()
        assert run_jobs(workers=2).names == ["answer", "ask"]


class DeafConnector(UnevenConnector):
    """Cannot listen."""

    async def listen(self, *args: Any, **options: Any) -> None:
        raise pq.ConnectionFailed("no connection is left")


@pytest.mark.timeout(10)
def test_no_worker_waits_for_one_that_had_to_give_its_job_back(app: pq.App) -> None:
    @app.task(name="work")
    async def work() -> None: ...

    async def test() -> None:
        with using(app, connector=DeafConnector()) as run_jobs:
            await work.defer_async()
            run_jobs(workers=2)

    with pytest.raises(AsyncTaskInSyncDrain):
        asyncio.run(test())


def test_a_job_falls_due_while_another_worker_sleeps(app: pq.App, run_jobs: RunJobs) -> None:
    began: list[tuple[str, timedelta]] = []
    start = run_jobs.clock.now()

    @app.task(name="long")
    async def long() -> None:
        began.append(("long", run_jobs.clock.now() - start))
        await asyncio.sleep(3600)

    @app.task(name="flaky", retry=pq.RetryStrategy(max_attempts=3, wait=60))
    def flaky() -> None:
        began.append(("flaky", run_jobs.clock.now() - start))
        if len(began) < 3:
            raise ConnectionError("not yet")

    long.defer()
    flaky.configure(schedule_in={"minutes": 10}).defer()
    report = run_jobs(until="2h", workers=2)

    assert began == [("long", timedelta(0)), ("flaky", timedelta(minutes=10)), ("flaky", timedelta(minutes=11))]
    assert [(run.task, run.finished_at - start) for run in report][-1] == ("long", timedelta(hours=1))


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("is_async", [True, False])
def test_a_limit_is_one_for_all_workers_together(app: pq.App, run_jobs: RunJobs, workers: int, is_async: bool) -> None:
    async def work_async() -> None:
        await asyncio.sleep(0)

    def work() -> None: ...

    task = app.task(name="work")(work_async if is_async else work)
    task.batch_defer([{}] * 6)

    assert [len(run_jobs(limit=limit, workers=workers)) for limit in (1, 2, 9)] == [1, 2, 3]
    assert all(job.attempt == 1 for job in run_jobs.harness.jobs())


@pytest.mark.parametrize("workers", [1, 3])
def test_jobs_as_many_as_may_run_are_not_endless(app: pq.App, run_jobs: RunJobs, workers: int) -> None:
    run_jobs.harness.max_runs = 5

    @app.task(name="work")
    def work() -> None: ...

    work.batch_defer([{}] * 5)
    assert len(run_jobs(workers=workers)) == 5

    work.batch_defer([{}] * 6)
    with pytest.raises(EndlessJobs, match="5 jobs have run"):
        run_jobs(workers=workers)
    assert len(run_jobs()) == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_a_limit_allows_more_jobs_than_count_as_endless(app: pq.App, run_jobs: RunJobs, workers: int) -> None:
    run_jobs.harness.max_runs = 5

    @app.task(name="work")
    def work() -> None: ...

    work.batch_defer([{}] * 8)

    assert len(run_jobs(limit=7, workers=workers)) == 7


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_of_the_store_is_no_group(app: pq.App, workers: int) -> None:
    connector = pq.InMemoryConnector()
    connector.sync.open()

    async def test() -> None:
        with using(app, connector=connector) as run_jobs:
            await connector.open()
            await connector.close()
            await run_jobs.run_async(workers=workers)

    with pytest.raises(pq.ConnectorClosed):
        asyncio.run(test())
