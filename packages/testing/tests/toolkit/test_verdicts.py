"""What runs say of their jobs, timeouts and versions, in tests: as a worker has it, by the test's clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import anyio
import pytest

import pq_core as pq
from pq_core import verdicts
from pq_testing import RunJobs
from pq_testing.disturbances import Chaos
from pq_testing.staged import Staged
from pq_testing.swap import using

HOUR = timedelta(hours=1)


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.PsycopgConnector("host=/nowhere"))


@pytest.fixture
def run_jobs(app: pq.App) -> Iterator[RunJobs]:
    with using(app) as run_jobs:
        yield run_jobs


# What runs say


def test_a_job_that_asks_for_another_run_is_no_error_of_the_test(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="call", pass_context=True)
    def call(context: pq.JobContext) -> int:
        if context.job.attempt == 1:
            context.retry("the line is busy", schedule_in=HOUR)
        return context.job.attempt

    call.defer()

    (run,) = run_jobs().retried
    assert (run.outcome.delay, run.error, run.outcome.error["message"]) == (HOUR, None, "the line is busy")
    assert [run.result for run in run_jobs("2h").succeeded] == [2]


def test_a_job_that_snoozes_runs_again_when_the_clock_gets_there(app: pq.App, run_jobs: RunJobs) -> None:
    began = run_jobs.clock.now()

    @app.task(name="wait_for_noon", pass_context=True)
    async def wait_for_noon(context: pq.JobContext) -> int:
        if run_jobs.clock.now() < began + HOUR:
            context.snooze(schedule_at=began + HOUR)
        return context.job.attempt

    wait_for_noon.defer()

    report = run_jobs("2h")
    assert [run.kind for run in report] == ["snoozed", "succeeded"]
    assert report.runs[1].started_at == began + HOUR
    assert report.runs[1].result == 1


def test_a_job_that_fails_for_good_fails_the_drain_with_its_words(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="charge", retry=5, pass_context=True)
    def charge(context: pq.JobContext) -> None:
        context.fail("no such card", no_retry=True)

    charge.defer()
    with pytest.raises(pq.TaskFailed, match="no such card"):
        run_jobs()


def test_a_job_that_cancels_itself_is_in_the_report(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="remind", pass_context=True)
    def remind(context: pq.JobContext) -> None:
        context.cancel("was there already")

    remind.defer()
    (run,) = run_jobs().cancelled
    assert (run.outcome.reason, run.error) == ("was there already", None)


def test_a_performed_job_has_the_outcome_that_it_asked_for(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work", pass_context=True)
    async def work(context: pq.JobContext) -> None:
        context.progress(0.25, "a quarter")
        context.snooze(60)

    outcome = run_jobs.perform(work.job())
    assert (outcome.kind, outcome.delay) == ("snoozed", timedelta(minutes=1))
    assert outcome.progress is not None
    assert "a quarter" in outcome.progress


def test_what_a_task_says_can_be_asserted_on_its_context(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work", pass_context=True)
    def work(context: pq.JobContext) -> None:
        context.progress(0.5, "half of it")
        context.retry(schedule_in={"minutes": 5}, queue="slow")

    context = run_jobs.context(work)
    with pytest.raises(verdicts.Retry) as caught:
        work(context)
    assert caught.value.decision == pq.RetryDecision(retry_in=timedelta(minutes=5), queue="slow")
    assert context.latest_progress == {"fraction": 0.5, "message": "half of it"}


def test_a_context_has_the_terms_of_its_task(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="once", delivery="at_most_once", pass_context=True)
    def once(context: pq.JobContext) -> None:
        context.retry()

    with pytest.raises(pq.InvalidOption, match="at_most_once"):
        once(run_jobs.context(once))


@pytest.mark.parametrize("stop", ["cancel", "shutdown", "timeout"])
def test_a_context_may_tell_to_stop(run_jobs: RunJobs, stop: Any) -> None:
    context = run_jobs.context(stop=stop)
    assert (context.stop_reason, context.should_stop()) == (stop, True)
    with pytest.raises(pq.InvalidOption, match="stop 'now' is none of 'cancel', 'shutdown', 'timeout' and None"):
        run_jobs.context(stop="now")  # type: ignore[arg-type]


def test_a_context_counts_its_timeout_by_the_clock_of_the_test(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work", timeout=60)
    def work() -> None: ...

    context = run_jobs.context(work)
    assert not context.should_stop()
    run_jobs.clock.advance(minutes=1)
    assert (context.should_stop(), context.stop_reason) == (True, "timeout")


# Timeouts


def test_a_timeout_counts_virtual_seconds(app: pq.App, run_jobs: RunJobs) -> None:
    reasons: list[str | None] = []

    @app.task(name="export", timeout={"hours": 1}, retry=2, pass_context=True)
    async def export(context: pq.JobContext) -> str:
        try:
            await asyncio.sleep(4000 if context.job.attempt == 1 else 3000)
        finally:
            reasons.append(context.stop_reason)
        return "done"

    began = run_jobs.clock.now()
    export.defer()

    report = run_jobs("1d")
    assert [run.kind for run in report] == ["retried", "succeeded"]
    assert isinstance(report.runs[0].error, pq.TaskTimedOut)
    assert reasons == ["timeout", None]
    assert report.runs[1].started_at - began == HOUR


@pytest.mark.parametrize("workers", [1, 3])
def test_timeouts_of_several_hands_do_not_meet(app: pq.App, run_jobs: RunJobs, workers: int) -> None:
    @app.task(name="wait", timeout=60)
    async def wait(seconds: float) -> float:
        await anyio.sleep(seconds)
        return seconds

    wait.batch_defer([{"seconds": seconds} for seconds in (59, 61, 10, 3600, 30)])

    report = run_jobs("1d", workers=workers, on_error="record")
    assert sorted(run.result for run in report.succeeded) == [10, 30, 59]
    assert [type(run.error) for run in report.failed] == [pq.TaskTimedOut] * 2


def test_a_sync_job_that_lets_time_pass_is_told_of_its_timeout(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="count", timeout=60, pass_context=True)
    def count(context: pq.JobContext) -> None:
        for _ in range(100):
            if context.should_stop():
                return
            run_jobs.clock.advance(seconds=10)
        raise AssertionError("nobody said stop")

    count.defer()
    with pytest.raises(pq.TaskTimedOut, match="0:01:00"):
        run_jobs()


def test_a_timeout_without_virtual_time_is_real(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="wait", timeout=0.02)
    async def wait() -> None:
        await asyncio.sleep(60)

    wait.defer()
    with pytest.raises(pq.TaskTimedOut):
        run_jobs()


def test_a_timeout_leaves_no_mark_on_the_task_of_the_test(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="wait", timeout=60)
    async def wait() -> None:
        await asyncio.sleep(3600)

    async def test() -> int:
        wait.defer()
        await run_jobs.run_async("1d", on_error="record")
        here = asyncio.current_task()
        assert here is not None
        return here.cancelling()

    assert asyncio.run(test()) == 0


def test_no_timeout_goes_off_in_a_job_whose_worker_has_died(app: pq.App) -> None:
    @app.task(name="wait", timeout=60)
    async def wait() -> str:
        await asyncio.sleep(45)
        await asyncio.sleep(10)
        return "done"

    def drain(crash_at: int) -> int:
        with using(app, chaos=Chaos(crash="everywhere", crash_at=crash_at)) as run_jobs:
            wait.defer()
            assert [run.kind for run in run_jobs("1d") if run.written] == ["succeeded"]
            conductor = run_jobs.harness.conductor
            assert isinstance(conductor, Staged)
            return conductor.points

    points = drain(0)
    assert points > 5
    for point in range(1, points + 1):
        drain(point)


def test_a_cancelled_job_learns_why_it_is_to_stop(app: pq.App, run_jobs: RunJobs) -> None:
    reasons: list[str | None] = []

    @app.task(name="work", pass_context=True)
    def work(context: pq.JobContext) -> None:
        app.jobs.cancel(context.job.id)
        reasons.append(context.stop_reason)
        assert context.should_stop()

    number = work.defer()
    run_jobs()
    assert (reasons, app.jobs.get(number).state) == (["cancel"], "cancelled")


# Versions


def test_a_job_of_a_later_version_is_an_error_of_the_test(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work", version=2, upcast={1: dict})
    def work() -> None: ...

    app.defer_many([pq.NewJob(task="work", version=3)])
    (run,) = run_jobs(on_error="record").released
    assert run.outcome.delay == timedelta(seconds=10)
    assert isinstance(run.error, pq.TaskNotFound)
    assert "arguments of version 3, and task 'work' is of version 2" in str(run.error)


def test_a_performed_job_of_an_earlier_version_is_brought_up_to_date(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="greet", version=2, upcast={1: lambda args: {"names": [args["name"]]}})
    def greet(names: list[str]) -> str:
        return f"hello {', '.join(names)}"

    outcome = run_jobs.perform(pq.NewJob(task="greet", args={"name": "ada"}))
    assert outcome.result == '"hello ada"'
