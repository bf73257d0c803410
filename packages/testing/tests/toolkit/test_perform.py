"""One job through the real executor, without a store."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import pq_core as pq
from pq_testing import RunJobs
from pq_testing.errors import AsyncTaskInSyncDrain
from pq_testing.swap import using


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.InMemoryConnector())


@pytest.fixture
def run_jobs(app: pq.App) -> Iterator[RunJobs]:
    with using(app) as run_jobs:
        yield run_jobs


def test_a_job_is_performed_with_middleware_and_json_and_stores_nothing(app: pq.App, run_jobs: RunJobs) -> None:
    seen = []

    def shout(call_next: Callable[[], Any], context: pq.JobContext) -> Any:
        seen.append((context.job.attempt, context.job.args))
        return call_next().upper()

    @app.task(name="greet", middleware=[shout])
    def greet(name: str, parts: list[int]) -> Any:
        return f"hello {name} {parts}"

    outcome = run_jobs.perform(greet.job(name="ada", parts=(1, 2)), attempt=3)

    assert (outcome.kind, outcome.result) == ("succeeded", '"HELLO ADA [1, 2]"')
    assert seen == [(3, {"name": "ada", "parts": [1, 2]})]
    assert run_jobs.harness.jobs() == []


def test_the_retry_strategy_decides_by_the_attempt(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="flaky", retry=pq.RetryStrategy(max_attempts=3, linear_wait=10))
    async def flaky() -> None:
        raise ConnectionError("refused")

    first, last = run_jobs.perform(flaky.job()), run_jobs.perform(flaky.job(), attempt=3)

    assert (first.kind, first.delay.total_seconds()) == ("retried", 10)
    assert (last.kind, last.error["message"]) == ("failed", "refused")


def test_an_async_job_is_performed_in_a_running_loop(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work")
    async def work() -> Any:
        return "done"

    async def test() -> Any:
        with pytest.raises(AsyncTaskInSyncDrain, match="perform_async"):
            run_jobs.perform(work.job())
        return await run_jobs.perform_async(work.job())

    assert asyncio.run(test()).result == '"done"'


def test_a_task_that_takes_its_context_can_be_called_with_one(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work", pass_context=True)
    def work(context: pq.JobContext, n: int) -> Any:
        return context.job.attempt, context.job.args, context.task, context.should_stop(), n

    assert work(run_jobs.context(work.job(n=1), attempt=3), 2) == (3, {"n": 1}, work, False, 2)
    assert run_jobs.context(work).job.task == "work"
    assert run_jobs.context(attempt=2).job.attempt == 2


@pytest.mark.parametrize("attempt", [0, -1, True, "1", None])
def test_an_attempt_is_a_whole_number_from_1(app: pq.App, run_jobs: RunJobs, attempt: Any) -> None:
    with pytest.raises(pq.InvalidOption, match="attempt"):
        run_jobs.context(attempt=attempt)


def test_what_is_no_job_is_refused(run_jobs: RunJobs) -> None:
    with pytest.raises(pq.InvalidOption, match=r"task.job\(...\)"):
        run_jobs.perform("work")
    with pytest.raises(pq.InvalidOption, match=r"task.job\(...\)"):
        run_jobs.context("work")
