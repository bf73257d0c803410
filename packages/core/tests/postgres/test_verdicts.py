"""What runs say of their jobs, and timeouts, by a real worker on PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import psycopg
import pytest

import pq_core as pq

pytestmark = pytest.mark.anyio


async def test_jobs_are_stored_as_their_runs_have_said(dsn: str) -> None:
    app = pq.App(connector=pq.PsycopgConnector(dsn))
    closed = {"closed"}

    @app.task(name="steer", pass_context=True, retry=5, timeout=0.1, version=2, upcast={1: lambda _: {"word": "old"}})
    async def steer(context: pq.JobContext, word: str) -> str:
        context.progress(0.5, word)
        match word:
            case "retry" if context.job.attempt == 1:
                context.retry("once more", queue="slow", priority=3, lock="l")
            case "snooze":
                context.snooze({"hours": 1})
            case "fail":
                context.fail("for good", no_retry=True)
            case "cancel":
                context.cancel("enough")
            case "time out" if context.job.attempt == 1:
                await asyncio.Event().wait()
            case "closed" if closed:
                closed.clear()
                context.snooze(0)
        return f"{word} on attempt {context.job.attempt}"

    words = ["retry", "snooze", "fail", "cancel", "time out", "closed", "return"]
    async with app.open_async():
        ids = await app.defer_many_async([steer.job(word) for word in words])
        (old,) = await app.defer_many_async([pq.NewJob(task="steer")])
        (later,) = await app.defer_many_async([pq.NewJob(task="steer", version=3)])
        await app.run_worker_async(wait=False, install_signal_handlers=False)
        jobs = {word: await app.jobs.get_async(number) for word, number in zip(words, ids, strict=True)}
        jobs |= {"old": await app.jobs.get_async(old), "later": await app.jobs.get_async(later)}

    def seen(word: str) -> tuple[Any, ...]:
        job = jobs[word]
        return job.state, job.attempt, job.result, job.reason, [error["message"] for error in job.errors]

    assert seen("retry") == ("succeeded", 2, "retry on attempt 2", None, ["once more"])
    assert (jobs["retry"].queue, jobs["retry"].priority, jobs["retry"].lock) == ("slow", 3, "l")
    assert seen("snooze") == ("scheduled", 0, None, None, [])
    assert jobs["snooze"].scheduled_at - jobs["snooze"].created_at > timedelta(minutes=59)
    assert seen("fail") == ("failed", 1, None, None, ["for good"])
    assert seen("cancel") == ("cancelled", 1, None, "enough", [])
    timed_out = ["the run took longer than the task's timeout of 0:00:00.100000"]
    assert seen("time out") == ("succeeded", 2, "time out on attempt 2", None, timed_out)
    assert seen("closed") == ("succeeded", 1, "closed on attempt 1", None, [])
    assert seen("return") == ("succeeded", 1, "return on attempt 1", None, [])
    assert seen("old") == ("succeeded", 1, "old on attempt 1", None, [])
    assert seen("later") == ("scheduled", 0, None, None, [])
    said = {word: job.progress and (job.progress["fraction"], job.progress["message"]) for word, job in jobs.items()}
    assert said == {**{word: (0.5, word) for word in jobs}, "later": None}


@pytest.mark.parametrize("is_async", [True, False])
async def test_what_a_transactional_job_did_until_its_time_was_up_is_undone(
    dsn: str, session: psycopg.Connection, is_async: bool
) -> None:
    app = pq.App(connector=pq.PsycopgConnector(dsn))
    session.execute("create table public.notes (note text)")

    async def write_and_wait(context: pq.JobContext) -> None:
        await context.connection.execute("insert into public.notes values ('half')")
        await context.connection.execute("select pg_sleep(30)")

    def write_and_ask(context: pq.JobContext) -> str:
        context.connection.execute("insert into public.notes values ('half')")
        while not context.should_stop():
            context.connection.execute("select pg_sleep(0.01)")
        return "half of it"

    func: Any = write_and_wait if is_async else write_and_ask
    task = app.task(name="work", delivery="transactional", timeout=0.2, retry=2, pass_context=True)(func)
    async with app.open_async():
        number = await task.defer_async()
        await app.run_worker_async(wait=False, install_signal_handlers=False)
        job = await app.jobs.get_async(number)
    assert (job.state, job.attempt) == ("failed", 2)
    assert {error["type"] for error in job.errors} == {"pq_core.errors.TaskTimedOut"}
    assert session.execute("select count(*) from public.notes").fetchone() == (0,)
