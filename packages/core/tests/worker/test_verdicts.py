"""What a run says of its job: it runs again, later, never, or has failed for good."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

import pq_core as pq

pytestmark = pytest.mark.anyio
Drain = Callable[..., Awaitable[None]]
Say = Callable[[pq.JobContext], Any]
HOUR = timedelta(hours=1)


@pytest.fixture(params=["async", "sync"])
def define(app: pq.App, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Give a function that makes a task of what is to happen in it, of either kind."""

    def make(say: Say, **options: Any) -> Any:
        def sync_task(context: pq.JobContext) -> Any:
            return say(context)

        async def async_task(context: pq.JobContext) -> Any:
            return say(context)

        func = async_task if request.param == "async" else sync_task
        return app.task(name="task", pass_context=True, **options)(func)

    return make


async def ended(memory: pq.InMemoryConnector, drain: Drain, task: Any) -> pq.Job:
    number = task.defer()
    await drain()
    return memory.jobs[number]


async def test_a_retry_runs_the_job_again_where_and_when_it_says_and_spends_the_attempt(
    memory: pq.InMemoryConnector, drain: Drain, define: Callable[..., Any]
) -> None:
    task = define(
        lambda context: context.retry(
            "the line is busy", schedule_in={"hours": 1}, queue="slow", priority=-5, lock="line"
        )
    )
    before = datetime.now(UTC)
    job = await ended(memory, drain, task)
    assert (job.state, job.attempt, job.queue, job.priority, job.lock) == ("scheduled", 1, "slow", -5, "line")
    assert timedelta(minutes=59) < job.scheduled_at - before < timedelta(minutes=61)
    assert [(error["type"], error["message"]) for error in job.errors] == [
        ("pq_core.errors.RetryRequested", "the line is busy")
    ]
    assert "context.retry" in job.errors[0]["traceback"]


async def test_a_retry_asks_no_strategy(memory: pq.InMemoryConnector, drain: Drain, define: Callable[..., Any]) -> None:
    def again_twice(context: pq.JobContext) -> int:
        if context.job.attempt < 3:
            context.retry()
        return context.job.attempt

    job = await ended(memory, drain, define(again_twice, retry=1))
    assert (job.state, job.result, job.attempt) == ("succeeded", 3, 3)


async def test_a_retry_tells_of_the_exception_that_made_the_task_ask_for_it(
    memory: pq.InMemoryConnector, drain: Drain, define: Callable[..., Any]
) -> None:
    def call(context: pq.JobContext) -> None:
        try:
            {}["line"]
        except KeyError:
            context.retry(schedule_in=HOUR)

    job = await ended(memory, drain, define(call))
    assert "KeyError: 'line'" in job.errors[0]["traceback"]


async def test_a_retry_at_a_moment_waits_for_it(
    memory: pq.InMemoryConnector, drain: Drain, define: Callable[..., Any]
) -> None:
    moment = datetime.now(UTC) + HOUR
    job = await ended(memory, drain, define(lambda context: context.retry(schedule_at=moment)))
    assert abs(job.scheduled_at - moment) < timedelta(seconds=10)


async def test_a_snooze_spends_no_attempt_and_is_no_error(
    memory: pq.InMemoryConnector, drain: Drain, define: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    before = datetime.now(UTC)
    job = await ended(memory, drain, define(lambda context: context.snooze(3600)))
    assert (job.state, job.attempt, job.errors) == ("scheduled", 0, [])
    assert timedelta(minutes=59) < job.scheduled_at - before < timedelta(minutes=61)
    assert [record.levelno for record in caplog.records if record.action == "job_snoozed"] == [logging.INFO]


async def test_a_job_that_runs_at_most_once_may_snooze_and_may_not_ask_for_another_run(
    memory: pq.InMemoryConnector, drain: Drain, define: Callable[..., Any], app: pq.App
) -> None:
    job = await ended(memory, drain, define(lambda context: context.retry(), delivery="at_most_once"))
    assert (job.state, job.errors[0]["type"]) == ("failed", "pq_core.errors.InvalidOption")
    assert "never runs again; use context.snooze(...)" in job.errors[0]["message"]

    @app.task(delivery="at_most_once", pass_context=True)
    async def snooze(context: pq.JobContext) -> None:
        context.snooze(HOUR)

    assert (await ended(memory, drain, snooze)).state == "scheduled"


async def test_a_failure_for_good_is_not_retried(
    memory: pq.InMemoryConnector, drain: Drain, define: Callable[..., Any]
) -> None:
    job = await ended(memory, drain, define(lambda context: context.fail("no such user", no_retry=True), retry=5))
    assert (job.state, job.attempt) == ("failed", 1)
    assert (job.errors[0]["type"], job.errors[0]["message"]) == ("pq_core.errors.TaskFailed", "no such user")


async def test_a_failure_that_may_be_retried_is_an_error_like_any_other(
    memory: pq.InMemoryConnector, drain: Drain, define: Callable[..., Any]
) -> None:
    job = await ended(memory, drain, define(lambda context: context.fail("not yet"), retry=3))
    assert (job.state, job.attempt, [error["message"] for error in job.errors]) == ("failed", 3, ["not yet"] * 3)


async def test_a_job_may_cancel_itself(
    memory: pq.InMemoryConnector, drain: Drain, define: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    job = await ended(memory, drain, define(lambda context: context.cancel("100 % of it is done"), retry=3))
    assert (job.state, job.reason, job.errors) == ("cancelled", "100 % of it is done", [])
    assert any("100 % of it is done" in record.getMessage() for record in caplog.records)


async def test_except_exception_lets_a_verdict_through_and_finally_sees_it(
    memory: pq.InMemoryConnector, drain: Drain, define: Callable[..., Any]
) -> None:
    seen: list[str] = []

    def careful(context: pq.JobContext) -> None:
        try:
            context.snooze(HOUR)
        except Exception:  # noqa: BLE001 - which is the point
            seen.append("except")
        finally:
            seen.append("finally")

    job = await ended(memory, drain, define(careful))
    assert (job.state, seen) == ("scheduled", ["finally"])


async def test_a_verdict_that_a_group_of_tasks_raises_is_one(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task(pass_context=True)
    async def several(context: pq.JobContext) -> None:
        async def part() -> None:
            async with anyio.create_task_group() as inner:
                inner.start_soon(anyio.sleep_forever)
                context.snooze(HOUR)

        async with anyio.create_task_group() as group:
            group.start_soon(part)

    assert (await ended(memory, drain, several)).state == "scheduled"


async def test_two_verdicts_of_one_run_are_an_error(app: pq.App, memory: pq.InMemoryConnector, drain: Drain) -> None:
    @app.task(pass_context=True)
    async def torn(context: pq.JobContext) -> None:
        async with anyio.create_task_group() as group:

            async def snooze() -> None:
                context.snooze(HOUR)

            async def cancel() -> None:
                context.cancel("why not")

            group.start_soon(snooze)
            group.start_soon(cancel)

    job = await ended(memory, drain, torn)
    assert (job.state, job.errors[0]["type"]) == ("failed", "BaseExceptionGroup")


async def test_a_middleware_may_speak_for_the_task(memory: pq.InMemoryConnector, drain: Drain) -> None:
    async def only_at_night(call_next: Callable[[], Awaitable[Any]], context: pq.JobContext) -> Any:
        if context.job.attempt == 1 and not ran:
            ran.append("snoozed")
            context.snooze(0)
        return await call_next()

    ran: list[str] = []
    app = pq.App(connector=memory, middleware=[only_at_night])

    @app.task
    async def task() -> str:
        return "ran"

    number = task.defer()
    await pq.Worker(app, wait=False, install_signal_handlers=False).run_async()
    assert (memory.jobs[number].result, memory.jobs[number].attempt, ran) == ("ran", 1, ["snoozed"])


async def test_a_middleware_may_let_verdicts_through_and_record_failures(
    memory: pq.InMemoryConnector, define: Callable[..., Any], app: pq.App, drain: Drain
) -> None:
    recorded: list[BaseException] = []

    async def record_async(call_next: Callable[[], Awaitable[Any]], _: pq.JobContext) -> Any:
        try:
            return await call_next()
        except pq.Verdict:
            raise
        except BaseException as error:
            recorded.append(error)
            raise

    def record_sync(call_next: Callable[[], Any], _: pq.JobContext) -> Any:
        try:
            return call_next()
        except pq.Verdict:
            raise
        except BaseException as error:
            recorded.append(error)
            raise

    task = define(lambda context: context.cancel("enough"))
    middleware = record_async if task.is_async else record_sync
    app.task(name="watched", pass_context=True, middleware=[middleware])(task.func)
    number = app.tasks["watched"].defer()
    await drain()
    assert (memory.jobs[number].state, recorded) == ("cancelled", [])


async def test_without_the_context_as_an_argument_the_current_one_speaks(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task
    def deep() -> None:
        context = pq.current_context()
        assert context
        context.cancel("from the depths")

    assert (await ended(memory, drain, deep)).reason == "from the depths"


@pytest.mark.parametrize(
    "say,words",
    [
        (lambda context: context.retry(schedule_in=-1), "is negative"),
        (lambda context: context.retry(schedule_in=1, schedule_at=datetime.now(UTC)), "exclude each other"),
        (lambda context: context.retry(schedule_at=datetime(2030, 1, 1)), "schedule_at .* has no time zone"),  # noqa: DTZ001 - which is the point
        (lambda context: context.retry(queue=""), "queue ''"),
        (lambda context: context.retry(priority=40_000), "priority 40000"),
        (lambda context: context.retry(lock=""), "lock ''"),
        (lambda context: context.retry(5), "why 5 is not a text"),
        (lambda context: context.snooze(), "say until when"),
        (lambda context: context.snooze("soon"), "schedule_in 'soon'"),
        (lambda context: context.fail(None, no_retry=True), "why None is not a text"),
        (lambda context: context.cancel(b"x"), "why b'x' is not a text"),
        (lambda context: context.progress(1.5), "progress 1.5 is not a number from 0 to 1"),
        (lambda context: context.progress(10**400), "is not a number from 0 to 1"),
        (lambda context: context.progress("half"), "progress 'half'"),
        (lambda context: context.progress(True), "progress True"),
        (lambda context: context.progress(float("nan")), "progress nan"),
        (lambda context: context.progress(0.5, 7), "message 7 is not a text"),
    ],
)
async def test_what_cannot_be_said_is_refused_where_it_is_said(app: pq.App, drain: Drain, say: Say, words: str) -> None:
    refused: list[pq.InvalidOption] = []

    @app.task(pass_context=True)
    def task(context: pq.JobContext) -> None:
        with pytest.raises(pq.InvalidOption, match=words) as caught:
            say(context)
        refused.append(caught.value)

    task.defer()
    await drain()
    assert refused


async def test_words_that_cannot_be_stored_are_cleaned_and_cut(
    memory: pq.InMemoryConnector, drain: Drain, define: Callable[..., Any]
) -> None:
    def speak(context: pq.JobContext) -> None:
        context.progress(1, "a\0\ud800" + "b" * 2_000)
        context.cancel("c\0" + "d" * 2_000)

    job = await ended(memory, drain, define(speak))
    assert job.progress["message"] == "a?" + "b" * 997
    assert job.reason == "c" + "d" * 998


async def test_the_last_word_of_a_run_on_its_progress_is_stored_with_its_end(
    memory: pq.InMemoryConnector, drain: Drain, define: Callable[..., Any]
) -> None:
    def work(context: pq.JobContext) -> None:
        assert context.latest_progress is None
        context.progress(0.5, "half of it")
        context.progress(1)
        assert context.latest_progress == {"fraction": 1.0, "message": None}

    job = await ended(memory, drain, define(work))
    assert (job.state, job.progress["fraction"], job.progress["message"]) == ("succeeded", 1.0, None)


async def test_a_job_without_a_word_on_its_progress_has_none(
    memory: pq.InMemoryConnector, drain: Drain, define: Callable[..., Any]
) -> None:
    assert (await ended(memory, drain, define(lambda _: None))).progress is None


async def test_a_result_that_nobody_wants_is_not_even_encoded(
    memory: pq.InMemoryConnector, drain: Drain, define: Callable[..., Any]
) -> None:
    job = await ended(memory, drain, define(lambda _: object(), store_result=False))
    assert (job.state, job.result) == ("succeeded", None)


@pytest.mark.parametrize("text", ["a" * 98, "é" * 49])
async def test_a_result_may_be_as_large_as_the_worker_says_and_not_larger(
    memory: pq.InMemoryConnector, drain: Drain, app: pq.App, text: str
) -> None:
    @app.task(retry=5)
    async def give(more: str = "") -> str:
        return text + more

    ids = [give.defer(), give.defer(more="x")]
    await drain(max_result_bytes=100)
    fits, too_large = (memory.jobs[number] for number in ids)
    assert (fits.state, fits.result) == ("succeeded", text)
    assert (too_large.state, too_large.attempt, too_large.errors[0]["type"]) == (
        "failed",
        1,
        "pq_core.errors.InvalidResult",
    )
    assert "the result is 101 bytes of JSON, and max_result_bytes allows 100" in too_large.errors[0]["message"]
