"""One job, run by the real executor without a store; and the context that a task would be given."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import attrs

from pq_core.app import App
from pq_core.blueprint import Blueprint
from pq_core.context import JobContext, Stop
from pq_core.errors import InvalidJob, InvalidOption, shown
from pq_core.job import Job, NewJob
from pq_core.payload import dump, dump_mapping, load
from pq_core.states import State
from pq_core.task import Task
from pq_core.worker.run import Run as Execution
from pq_testing.clock import Clock
from pq_testing.errors import AsyncTaskInSyncDrain
from pq_testing.given import check_count
from pq_testing.hand import NAME

REASONS: tuple[Stop, ...] = ("cancel", "shutdown", "timeout")
NO_ID = 0
"""The id of a job that no store has."""


def claimed(job: NewJob, clock: Clock, attempt: int) -> Job:
    """Return the job as a worker would have it, its arguments passed through JSON.

    Raises:
        InvalidArguments: JSON cannot carry them.
        InvalidOption: `job` is none, or `attempt` is not a whole number from 1.
    """
    if not isinstance(job, NewJob):  # pyright: ignore[reportUnnecessaryIsInstance] - users need no type checker
        raise InvalidOption(f"{shown(job)} is not a job: make one with task.job(...)")
    check_count("attempt", attempt)
    now = clock.now()
    due = now + job.delay if job.delay is not None else now
    return Job(
        id=NO_ID,
        task=job.task,
        args=load(dump(job.args)),
        queue=job.queue,
        priority=job.priority,
        lock=job.lock,
        lock_mode=job.lock_mode,
        state=State.RUNNING,
        attempt=attempt,
        claim=attempt,
        losses=0,
        max_losses=job.max_losses,
        scheduled_at=due if job.scheduled_at is None else job.scheduled_at,
        created_at=now,
        started_at=now,
        metadata=load(dump_mapping(job.metadata, "metadata", error=InvalidJob)),
        delivery=job.delivery,
        version=job.version,
        unique_key=job.unique_key,
        unique_scope=None if job.unique_key is None else job.unique_scope,
        expires_at=job.expires_at if job.expires_in is None else now + job.expires_in,
    )


def refuse_async(app: App, job: Job) -> None:
    """Refuse the job of an async task, where an event loop runs already and cannot run it.

    Raises:
        AsyncTaskInSyncDrain: it is such a one.
        TaskNotFound: the app does not know the task.
    """
    if app.tasks[job.task].is_async:
        raise AsyncTaskInSyncDrain(
            f"{job.task} is an async task, and perform() was called inside a running event loop, which would have to "
            "run it but waits for this call: write `await run_jobs.perform_async(...)` instead."
        )


def context(
    app: App,
    clock: Clock,
    of: NewJob | Task[..., Any] | None,
    attempt: int,
    stop: Stop | None = None,
    *,
    connection: Any = None,
    state: Any = None,
) -> JobContext:
    """Return the context of a run, to call a task with directly.

    Args:
        app: whose context it is.
        clock: tells when the job was claimed.
        of: the job, or its task; None: of a task that does nothing.
        attempt: which run of the job it is.
        stop: why the run is to stop; None: it is not, unless the clock passes the task's timeout.
        connection: what a transactional task finds in it.
        state: what the lifespan of a worker would give.

    Raises:
        InvalidOption: there is no such job, attempt or reason to stop.
        TaskNotFound: the app does not know the job's task.
    """
    task: Task[..., Any]
    if of is None:
        task, new = _nothing(), NewJob(task="nothing")
    elif isinstance(of, Task):
        task, new = of, attrs.evolve(of.deferrer.template, task=of.located_name)
    elif isinstance(of, NewJob):  # pyright: ignore[reportUnnecessaryIsInstance] - users need no type checker
        task, new = app.tasks[of.task], of
    else:
        raise InvalidOption(f"context of {shown(of)}: give a task, a job as task.job(...) makes it, or nothing")
    job = claimed(new, clock, attempt)
    if stop not in (None, *REASONS):
        raise InvalidOption(f"stop {shown(stop)} is none of {', '.join(map(repr, REASONS))} and None")
    run = Execution(job, perf_counter(), stop_asked=stop)
    if task.timeout is not None:
        run.give(task.timeout.total_seconds(), clock.seconds)
    return JobContext(job=job, task=task, app=app, worker_name=NAME, state=state, run=run, connection=connection)


def _nothing() -> Task[..., Any]:
    def nothing() -> None:
        """Do nothing."""

    return Blueprint().task(name="nothing")(nothing)
