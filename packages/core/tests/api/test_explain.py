"""Why a job does not run: each cause, told in one sentence, on both connectors and in both colours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from anyio import to_thread

import pq_core as pq
from pq_core import causes
from pq_core.connector import MOST_AHEAD, JobChanges, JobFilter, WorkerInfo
from pq_core.job import NewJob
from pq_core.outcome import Outcome
from pq_core.postgres.schema import functions, migrations
from pq_testing.postgres import server

pytestmark = pytest.mark.anyio
START = datetime(2031, 5, 6, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOON = "2031-05-06 12:00:00 UTC"
ONE = "2031-05-06 13:00:00 UTC"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@attrs.define
class Stage:
    """A store whose clock the test moves, and an app on it."""

    store: Any
    app: pq.App
    clock: list[datetime]

    def wait(self, **units: float) -> None:
        self.clock[0] += timedelta(**units)

    async def hire(self, worker: int = 1, queues: Sequence[str] | None = None, **details: Any) -> None:
        await self.store.heartbeat(WorkerInfo(id=worker, name=f"w{worker}", queues=queues, details=details), HOUR)

    async def defer(self, **fields: Any) -> int:
        (deferred,) = await self.store.defer([NewJob(**{"task": "work", **fields})])
        return int(deferred.id)

    async def run(self, worker: int = 1, **fields: Any) -> pq.Job:
        """Let a worker that is known claim a new job."""
        job = await self.defer(**fields)
        await self.store.fetch(worker, None, 100)
        running = await self.app.jobs.get_async(job)
        assert running.state == "running"
        return running

    async def why(self, job: int) -> list[str]:
        """Return the sentences, asked in both colours."""
        explanation = await self.app.jobs.explain_async(job)
        assert await to_thread.run_sync(self.app.jobs.explain, job) == explanation
        assert explanation.job == await self.app.jobs.get_async(job)
        first, *lines = str(explanation).splitlines()
        assert first == f"job {job} (work, queue {explanation.job.queue}), {explanation.job.state}:"
        assert lines == [f"- {cause}" for cause in explanation.causes]
        return [str(cause) for cause in explanation.causes]


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    clock = [START]
    if request.param == "memory":
        memory = pq.InMemoryConnector(clock=lambda: clock[0])
        yield Stage(memory, pq.App(connector=memory), clock)
        return
    key = "pq " + " ".join(file.hash for file in (*migrations(), *functions()))
    template = server().template(key, lambda dsn: pq.PsycopgConnector(dsn).sync.migrate())
    with server().fresh_database(template=template) as dsn:
        connector = pq.PsycopgConnector(dsn, clock=lambda: clock[0])
        await connector.open()
        yield Stage(connector, pq.App(connector=connector), clock)
        await connector.close()
        connector.sync.close()


async def test_nothing_holds_up_a_ready_job_that_a_worker_serves(stage: Stage) -> None:
    await stage.hire()
    assert await stage.why(await stage.defer()) == ["nothing holds it up: a worker takes it with its next fetch"]


async def test_a_job_that_is_not_due_is_scheduled_until_then(stage: Stage) -> None:
    await stage.hire()
    job = await stage.defer(delay=HOUR, lock="l")
    assert await stage.why(job) == [f"it is scheduled for {ONE}"]
    stage.wait(hours=1)
    await stage.hire()
    assert await stage.why(job) == ["nothing holds it up: a worker takes it with its next fetch"]


async def test_a_job_between_two_attempts_tells_of_the_last_one(stage: Stage) -> None:
    await stage.hire()
    job = await stage.run()
    await stage.store.finish([Outcome.retried(job, ValueError("boom"), delay=HOUR)])
    assert await stage.why(job.id) == [f"attempt 1 failed (ValueError), and the next is due at {ONE}"]


async def test_a_job_that_was_put_off_after_a_failure_still_tells_of_that(stage: Stage) -> None:
    await stage.hire()
    job = await stage.run()
    await stage.store.finish([Outcome.retried(job, ValueError("boom"))])
    (job,) = (await stage.store.fetch(1, None, 1)).jobs
    await stage.store.finish([Outcome.retried(job, ValueError("boom"))])
    await stage.store.reschedule([job.id], JobChanges(delay=HOUR))
    assert await stage.why(job.id) == [f"attempt 2 failed (ValueError), and the next is due at {ONE}"]
    stage.wait(hours=1)
    await stage.hire()
    (job,) = (await stage.store.fetch(1, None, 1)).jobs
    await stage.store.finish([Outcome.snoozed(job, delay=2 * HOUR)])
    assert await stage.why(job.id) == ["attempt 2 failed (ValueError), and the next is due at 2031-05-06 15:00:00 UTC"]


@pytest.mark.parametrize("mode", ["ordered", "mutex"])
async def test_a_job_whose_lock_is_held_names_who_holds_it(stage: Stage, mode: str) -> None:
    await stage.hire(7)
    holder = await stage.run(7, lock="account 4", lock_mode=mode)
    stage.wait(minutes=1)
    job = await stage.defer(lock="account 4", lock_mode=mode)
    held = f"its lock 'account 4' is held by job {holder.id}, which runs on worker 7 (w7) since {NOON}"
    assert await stage.why(job) == [held]
    await stage.store.fetch(7, None, 1)
    assert (await stage.app.jobs.get_async(job)).state == "blocked"
    assert await stage.why(job) == [held]


async def test_a_job_behind_others_of_its_lock_names_the_first_and_who_runs(stage: Stage) -> None:
    await stage.hire()
    running = await stage.run(lock="l")
    first = await stage.defer(lock="l", priority=5, delay=HOUR)
    job = await stage.defer(lock="l")
    assert await stage.why(job) == [
        f"its lock 'l' is held by job {running.id}, which runs on worker 1 (w1) since {NOON}",
        f"job {first} comes first under its lock 'l', and is scheduled for {ONE}",
    ]


async def test_a_mutex_job_waits_for_nobody_who_does_not_run(stage: Stage) -> None:
    await stage.hire()
    await stage.defer(lock="l", priority=5, delay=HOUR)
    assert await stage.why(await stage.defer(lock="l", lock_mode="mutex")) == [str(causes.NextInLine())]


@pytest.mark.parametrize(
    "what, said",
    [
        ({"queue": "default"}, "its queue 'default' is paused"),
        ({"task": "work"}, "its task 'work' is paused"),
        ({"everything": True}, "everything is paused"),
    ],
)
async def test_a_paused_job_says_what_is_paused_and_since_when(stage: Stage, what: Any, said: str) -> None:
    await stage.hire()
    job = await stage.defer()
    await stage.store.pause(**what)
    stage.wait(minutes=1)
    await stage.store.pause("other")
    await stage.store.pause(task="other")
    assert await stage.why(job) == [f"{said} since {NOON}"]


async def test_a_job_of_a_paused_task_says_so_when_fetch_has_found_it(stage: Stage) -> None:
    await stage.hire()
    job = await stage.defer()
    await stage.store.pause(task="work")
    await stage.store.fetch(1, None, 10)
    assert await stage.why(job) == [f"its task 'work' is paused since {NOON}"]


async def test_an_expired_job_says_that_it_will_be_cancelled(stage: Stage) -> None:
    await stage.hire()
    job = await stage.defer(expires_in=HOUR)
    assert await stage.why(job) == [str(causes.NextInLine())]
    stage.wait(hours=1)
    assert await stage.why(job) == [f"it has expired at {ONE}, and will be cancelled"]


async def test_without_a_live_worker_a_job_says_so(stage: Stage) -> None:
    job = await stage.defer()
    assert await stage.why(job) == ["no worker is alive"]
    await stage.hire()
    stage.wait(hours=1)
    assert await stage.why(job) == ["no worker is alive"]


async def test_a_queue_that_no_live_worker_serves_is_named_even_before_the_job_is_due(stage: Stage) -> None:
    await stage.hire(1, ["other"])
    job = await stage.defer(delay=HOUR, queue="mail")
    unserved = "no live worker serves its queue 'mail' (others: 1)"
    assert await stage.why(job) == [f"it is scheduled for {ONE}", unserved]


async def test_a_task_that_no_worker_of_the_queue_knows_is_named(stage: Stage) -> None:
    await stage.hire(1, ["default"], tasks=["play"])
    await stage.hire(2, ["other"], tasks=["work"])
    job = await stage.defer()
    assert await stage.why(job) == [
        "no live worker knows its task 'work', though 1 live worker serves its queue 'default'"
    ]
    await stage.hire(3)
    assert await stage.why(job) == [str(causes.NextInLine())], "a worker that does not tell may know it"


async def test_jobs_that_come_before_it_are_counted(stage: Stage) -> None:
    await stage.hire(concurrency=10)
    await stage.defer()
    job = await stage.defer()
    assert await stage.why(job) == ["1 ready job comes before it in its queue 'default'"]
    await stage.defer(priority=1)
    assert await stage.why(job) == ["2 ready jobs come before it in its queue 'default'"]


def test_more_than_are_counted_are_told_as_at_least_so_many() -> None:
    assert str(causes.BehindJobs(queue="q", count=MOST_AHEAD)).startswith("at least 10000 ready jobs come before it")


async def test_workers_that_run_all_that_they_may_are_told_to_be_busy(stage: Stage) -> None:
    await stage.hire(1, concurrency=1)
    await stage.run()
    job = await stage.defer()
    assert await stage.why(job) == ["the worker that serves its queue runs as many jobs as it may: 1"]
    await stage.hire(2, concurrency=1)
    assert await stage.why(job) == [str(causes.NextInLine())]


async def test_a_job_in_its_last_life_waits_for_an_idle_worker(stage: Stage) -> None:
    await stage.hire()
    job = await stage.defer(max_losses=1)
    assert await stage.why(job) == [str(causes.NextInLine())]
    await stage.store.fetch(1, None, 1)
    other = await stage.defer(max_losses=1)
    assert await stage.why(other) == [
        "it is in its last life (0 workers died under it), and needs a worker that runs nothing else"
    ]


async def test_a_running_job_says_where_it_runs_and_that_it_is_to_stop(stage: Stage) -> None:
    await stage.hire(3, host="larch", pid=12)
    job = await stage.run(3)
    runs = f"it runs since {NOON} on worker 3 (w3, host larch, pid 12), whose lease lasts until {ONE}"
    assert await stage.why(job.id) == [runs]
    await stage.store.cancel([job.id], reason="no longer needed")
    assert await stage.why(job.id) == [runs, f"it was asked to stop at {NOON}: no longer needed"]


async def test_a_job_of_a_lost_worker_says_so(stage: Stage) -> None:
    await stage.hire(3)
    job = await stage.run(3)
    stage.wait(hours=1)
    assert await stage.why(job.id) == [f"its worker 3 (w3) has been lost since {ONE}: the next rescue gives it back"]


@pytest.mark.parametrize("kind", ["succeeded", "failed", "cancelled", "withdrawn"])
async def test_an_ended_job_says_how(stage: Stage, kind: str) -> None:
    await stage.hire()
    job = await stage.run()
    stage.wait(hours=1)
    if kind == "withdrawn":
        waiting = await stage.defer()
        await stage.store.cancel([waiting], reason="too late")
        assert await stage.why(waiting) == [f"it has been cancelled at {ONE}: too late"]
        return
    outcome, said = {
        "succeeded": (Outcome.succeeded(job), f"it has succeeded at {ONE}"),
        "failed": (Outcome.failed(job, ValueError("boom")), f"it has failed at {ONE}: ValueError: boom"),
        "cancelled": (Outcome.cancelled(job, "enough"), f"it has been cancelled at {ONE}: enough"),
    }[kind]
    await stage.store.finish([outcome])
    assert await stage.why(job.id) == [said]


async def test_a_job_that_is_not_there_is_an_error(stage: Stage) -> None:
    with pytest.raises(pq.JobNotFound, match="no job has the id 7"):
        await stage.app.jobs.explain_async(7)
    with pytest.raises(pq.JobNotFound):
        stage.app.jobs.explain(7)
    with pytest.raises(pq.InvalidOption, match="job id 'seven'"):
        stage.app.jobs.explain("seven")  # type: ignore[arg-type]
    with pytest.raises(pq.InvalidOption, match="job id 'seven'"):
        await stage.app.jobs.explain_async("seven")  # type: ignore[arg-type]


async def test_to_explain_changes_nothing(stage: Stage) -> None:
    await stage.hire()
    await stage.run(lock="l")
    job = await stage.defer(lock="l", delay=HOUR)
    stage.wait(hours=2)
    before = await stage.store.find(JobFilter()), await stage.store.workers()
    await stage.why(job)
    assert (await stage.store.find(JobFilter()), await stage.store.workers()) == before


async def test_a_real_worker_tells_which_tasks_it_knows_by_name_and_alias() -> None:
    memory = pq.InMemoryConnector()
    app = pq.App(connector=memory)
    seen: list[list[str]] = []

    @app.task(name="b", aliases=["a"])
    async def look() -> None:
        seen.extend(worker.info.details["tasks"] for worker in await memory.workers())

    look.defer()
    await app.run_worker_async(wait=False, install_signal_handlers=False)
    assert seen == [["a", "b"]]
