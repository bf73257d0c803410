"""What a type checker must know of the API. Checked by mypy and pyright, never run.

A line that ends in `type: ignore` must be an error: mypy complains about an ignore that is not needed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type

import pq_core as pq
from pq_core.connector import Deferred
from pq_core.events import JobFailed, JobStarted, JobSucceeded, RunEnded

app = pq.App(
    connector=pq.PsycopgConnector("dbname=shop"),
    import_paths=["shop.tasks"],
    worker_defaults={"queues": ["sums"], "concurrency": 5},
)
blueprint = pq.Blueprint()


def for_tenant(jobs: list[pq.NewJob]) -> Generator[list[pq.NewJob], list[Deferred], None]:
    deferred = yield jobs
    assert_type(deferred, list[Deferred])


@asynccontextmanager
async def lifespan(worker: pq.Worker) -> AsyncGenerator[str]:
    yield "state"


@contextmanager
def lifespan_sync(worker: pq.Worker) -> Generator[int]:
    yield 5


with_lifespan = pq.App(connector=pq.InMemoryConnector(), defer_middleware=[for_tenant], worker_lifespan=lifespan)
with_lifespan_sync = pq.App(connector=pq.InMemoryConnector(), worker_lifespan=lifespan_sync)


@app.on(JobFailed)
def track(event: JobFailed) -> None:
    assert_type(event.error, BaseException)


@app.on(JobFailed, JobSucceeded)
def measure(event: RunEnded) -> None:
    assert_type(event.seconds, float)


@app.on(JobStarted)  # type: ignore[arg-type]
def mistaken(event: JobFailed) -> None: ...


@app.task(executor="process")
def compute(a: int) -> int:
    return a


@app.task
def add(a: int, b: int = 0) -> int:
    return a + b


@app.task(queue="sums", retry=5, lock="till", keep="failed", aliases=["old"])
async def add_later(a: int, *, b: str) -> float:
    return a + len(b)


@blueprint.task(pass_context=True, retry=pq.RetryStrategy(max_attempts=3, wait=5, retry_exceptions=[OSError]))
def report(context: pq.JobContext, day: str) -> None:
    assert_type(context.job, pq.Job)


@blueprint.task(pass_context=True)
async def report_later(context: pq.JobContext, day: str) -> None: ...


def first_to_second(args: dict[str, Any]) -> dict[str, Any]:
    return {"day": args["date"]}


@app.task(pass_context=True, timeout={"minutes": 5}, store_result=False, version=2, upcast={1: first_to_second})
def steer(context: pq.JobContext, day: str) -> int:
    context.progress(0.5, "half")
    assert_type(context.should_stop(), bool)
    if day == "monday":
        context.retry("closed", schedule_in=60, queue="q", priority=1, lock=None)
    elif day == "tuesday":
        context.snooze({"hours": 1})
    elif day == "wednesday":
        context.fail("no", no_retry=True)
    else:
        context.cancel("not today")  # Nothing is missing after it: it returns never.


def steering_wrongly(context: pq.JobContext) -> None:
    context.progress("half")  # type: ignore[arg-type]


def timing_wrongly() -> None:
    app.task(timeout="5m")  # type: ignore[call-overload]


async def calling() -> None:
    assert_type(add(1, 2), int)
    assert_type(await add_later(1, b="x"), float)
    add("1")  # type: ignore[arg-type]


def deferring(connection: object) -> None:
    assert_type(add.defer(1, b=2), int)
    assert_type(add.defer(a=1), int)
    assert_type(add_later.defer(1, b="x"), int)
    assert_type(add.job(1), pq.NewJob)
    assert_type(add.batch_defer([{"a": 1, "b": 2}]), list[int])
    assert_type(app.defer_many([add.job(1), add_later.job(1, b="x")], connection=connection), list[int])
    add.defer("1")  # type: ignore[arg-type]
    add.defer(1, c=2)  # type: ignore[call-arg]
    add.defer()  # type: ignore[call-arg]
    add_later.defer(1, 2)  # type: ignore[call-arg, arg-type]
    add.job(b=1)  # type: ignore[call-arg]
    add.batch_defer([1])  # type: ignore[list-item]


async def deferring_async() -> None:
    assert_type(await add.defer_async(1, b=2), int)
    assert_type(await add_later.defer_async(1, b="x"), int)
    assert_type(await add.batch_defer_async([{"a": 1}]), list[int])
    assert_type(await app.defer_many_async([add.job(1)]), list[int])
    await add.defer_async("1")  # type: ignore[arg-type]


def configuring(connection: object) -> None:
    soon = add.configure(
        queue="q",
        priority=5,
        lock=None,
        lock_mode="mutex",
        schedule_in={"minutes": 5},
        connection=connection,
        metadata={},
    )
    assert_type(soon.defer(1, b=2), int)
    assert_type(soon.configure(schedule_in=timedelta(hours=1)).batch_defer([{"a": 1}]), list[int])
    add.configure(schedule_at=datetime(2030, 1, 1, tzinfo=UTC)).defer(1)
    soon.defer("1")  # type: ignore[arg-type]
    soon.configure(priority=1).job(c=1)  # type: ignore[call-arg]
    add.configure(quue="x")  # type: ignore[call-arg]
    add.configure(lock_mode="loose")  # type: ignore[arg-type]
    add.configure(schedule_in={"fortnights": 1})  # type: ignore[arg-type]
    add.configure(schedule_in=5)  # type: ignore[arg-type]
    app.configure_task("elsewhere.send", queue="mails", allow_unknown=False).defer(anything=1)


def context_is_no_argument_of_the_job(context: pq.JobContext) -> None:
    report(context, "monday")
    report.defer("monday")
    report_later.configure(priority=1).defer(day="monday")
    report("monday")  # type: ignore[call-arg, arg-type]
    report.defer(context, "monday")  # type: ignore[call-arg, arg-type]


def declaring() -> None:
    app.task(quue="x")  # type: ignore[call-overload]
    app.task(keep="some")  # type: ignore[call-overload]

    @app.task(pass_context=True)  # type: ignore[arg-type]
    def no_context(day: str) -> None: ...


def replacing() -> None:
    with app.replace_connector(pq.InMemoryConnector()) as memory:
        assert_type(memory, pq.InMemoryConnector)
    with app.open() as opened:
        assert_type(opened, pq.App)


async def opening() -> None:
    assert_type(await app.open_async(), pq.App)
    async with app.open_async() as opened:
        assert_type(opened, pq.App)


async def looking_after() -> None:
    assert_type(app.jobs.get(1), pq.Job)
    assert_type(app.jobs.find(task=add, state="failed", limit=5, after=7), list[pq.Job])
    assert_type(app.jobs.count(queue="sums"), dict[pq.State, int])
    assert_type(app.jobs.cancel([1, 2], reason="sold out"), list[pq.JobState])
    assert_type(await app.jobs.retry_async(1), list[pq.JobState])
    assert_type(await app.jobs.reschedule_async([1], schedule_in={"hours": 1}, lock=None), list[pq.JobState])
    assert_type(app.jobs.explain(1), pq.Explanation)
    assert_type(await app.jobs.explain_async(1), pq.Explanation)
    assert_type(app.workers(), list[pq.WorkerStatus])
    assert_type(await app.health_async(), pq.Health)
    pq.Worker(app, retention={"succeeded": timedelta(days=1), "failed": None})
    pq.Worker(app, retention={"running": None})  # type: ignore[arg-type]
    assert_type(app.jobs.handle(1), pq.JobHandle)
    assert_type(app.jobs.wait(1, timeout={"minutes": 5}), pq.Job)
    assert_type(await app.jobs.wait_async(1, 2.5), pq.Job)
    assert_type(app.jobs.handle(1).wait(timeout=timedelta(seconds=5)), pq.Job)
    app.jobs.wait(1, timeout="soon")  # type: ignore[arg-type]
    app.jobs.find(status="failed")  # type: ignore[call-arg]
    app.jobs.reschedule(1, delay=5)  # type: ignore[call-arg]


async def working() -> None:
    app.run_worker(queues=["sums"], concurrency=10, wait=False)
    await app.run_worker_async(queues=None)
    app.run_worker(speed=5)  # type: ignore[call-arg]


class Growing(pq.BaseRetryStrategy):
    def get_schedule_in(self, attempts: int) -> float | None:
        return attempts * 5 if attempts < 5 else None


class Moving(pq.BaseRetryStrategy):
    def get_retry_decision(self, exception: BaseException, job: pq.Job) -> pq.RetryDecision | None:
        return pq.RetryDecision(retry_in={"minutes": job.attempt}, queue="slow", lock=None)


@app.task(retry=Growing())
def growing() -> None: ...


@app.task(retry=Moving())
def moving() -> None: ...


async def around(call_next: Any, context: pq.JobContext) -> Any:
    return await call_next()


@app.task(middleware=[around])
async def surrounded() -> None: ...


surrounded_app = pq.App(connector=pq.InMemoryConnector(), middleware=[around])


@app.periodic(cron="@daily", max_delay={"hours": 1})
@app.task
def nightly(days: int = 3) -> int:
    return days


assert_type(nightly.defer(days=1), int)
assert_type(nightly(2), int)
assert_type(app.schedules.all(), list[pq.Schedule])
app.schedules.add("x", nightly.job(1), cron="@daily")
app.schedules.add("x", nightly.job(1), crn="@daily")  # type: ignore[call-arg]
app.periodic(text="@daily")  # type: ignore[call-arg]
