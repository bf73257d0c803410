"""To find out why a job does not run: what to ask of the store, in either colour, and what the answers mean."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

import attrs

from pq_core.answers import Pause, Standing
from pq_core.causes import (
    AskedToStop,
    BehindInLine,
    BehindJobs,
    Cause,
    Ended,
    Expired,
    LastLife,
    LockHeld,
    NextInLine,
    Paused,
    QueueUnserved,
    RetryLater,
    Running,
    Scheduled,
    TaskUnknown,
    WorkersBusy,
)
from pq_core.connector import Connector, SyncConnector
from pq_core.errors import JobNotFound, shown
from pq_core.given import check_id
from pq_core.job import Job
from pq_core.selection import JobFilter
from pq_core.states import State
from pq_core.worker_info import WorkerStatus

Answer = TypeVar("Answer")
Ask = Callable[[Any], Any]
"""Asks a connector, or its sync twin, one thing."""


@attrs.frozen(kw_only=True)
class Explanation:
    """Why a job is where it is. As a text, it is one line for the job and one for each cause.

    .. versionadded:: 0.1

    Attributes:
        job: as it was when it was looked at.
        causes: see :mod:`pq_core.causes`; all that hold it up, at least one.
    """

    job: Job
    causes: Sequence[Cause]

    def __str__(self) -> str:
        head = f"job {self.job.id} ({self.job.task}, queue {self.job.queue}), {self.job.state}:"
        return "\n".join([head, *(f"- {cause}" for cause in self.causes)])


def explain(connector: SyncConnector, job_id: int) -> Explanation:
    """Find out, without waiting for an event loop.

    Raises:
        JobNotFound: there is no such job.
        InvalidOption: `job_id` is not a whole number.
    """
    inquiry = _inquiry(check_id(job_id))
    try:
        ask = next(inquiry)
        while True:
            ask = inquiry.send(ask(connector))
    except StopIteration as end:
        return _explanation(end.value)


async def explain_async(connector: Connector, job_id: int) -> Explanation:
    """Do what :func:`explain` does."""
    inquiry = _inquiry(check_id(job_id))
    try:
        ask = next(inquiry)
        while True:
            ask = inquiry.send(await ask(connector))
    except StopIteration as end:
        return _explanation(end.value)


@attrs.frozen(kw_only=True)
class _Facts:
    """What the store says, bit by bit: between two answers it may have changed."""

    job: Job
    standing: Standing
    workers: Sequence[WorkerStatus] = ()
    pauses: Sequence[Pause] = ()
    others: dict[int, Job] = attrs.field(factory=dict[int, Job])

    @property
    def serving(self) -> list[WorkerStatus]:
        """Return the live workers that serve the job's queue."""
        alive = [worker for worker in self.workers if worker.alive]
        return [worker for worker in alive if worker.info.queues is None or self.job.queue in worker.info.queues]


def _inquiry(job_id: int) -> Generator[Ask, Any, _Facts]:
    found: list[Job] = yield lambda store: store.find(JobFilter(ids=[job_id]))
    if not found:
        raise JobNotFound(f"no job has the id {shown(job_id)}: it was never stored, or it has ended and was pruned")
    standing: Standing = yield lambda store: store.standing(job_id)
    if found[0].ended:
        return _Facts(job=found[0], standing=standing)
    workers: list[WorkerStatus] = yield lambda store: store.workers()
    pauses: list[Pause] = yield lambda store: store.pauses()
    ids = [each for each in (standing.holder, standing.before) if each is not None]
    others: list[Job] = (yield lambda store: store.find(JobFilter(ids=ids))) if ids else []
    by_id = {job.id: job for job in others}
    return _Facts(job=found[0], standing=standing, workers=workers, pauses=pauses, others=by_id)


def _explanation(facts: _Facts) -> Explanation:
    if facts.job.ended:
        causes = [_end(facts.job)]
    elif facts.job.state is State.RUNNING:
        causes = [*_run(facts)]
    else:
        causes = [*_wait(facts)] or [NextInLine()]
    return Explanation(job=facts.job, causes=causes)


def _end(job: Job) -> Cause:
    failed = job.state is State.FAILED and job.errors
    error = ": ".join(str(job.errors[-1].get(part, "")) for part in ("type", "message")) if failed else None
    return Ended(state=job.state, at=job.finished_at, reason=job.reason, error=error)


def _run(facts: _Facts) -> Iterator[Cause]:
    job = facts.job
    yield Running(since=job.started_at, worker=job.worker, status=_worker(facts, job.worker))
    if job.cancel_requested_at is not None:
        yield AskedToStop(at=job.cancel_requested_at, reason=job.reason)


def _wait(facts: _Facts) -> Iterator[Cause]:
    job = facts.job
    if job.expires_at is not None and job.attempt == 0 and job.expires_at <= facts.standing.at:
        yield Expired(at=job.expires_at)
        return
    due = job.state is not State.SCHEDULED or job.scheduled_at <= facts.standing.at
    if not due:
        yield _later(job)
    yield from _paused(facts)
    if due:
        yield from _locked(facts)
    yield from _unserved(facts)
    if due:
        yield from _in_line(facts)


def _later(job: Job) -> Cause:
    error = job.errors[-1] if job.errors else {}
    if job.attempt and error.get("attempt") == job.attempt:
        return RetryLater(until=job.scheduled_at, attempt=job.attempt, error=str(error.get("type")))
    return Scheduled(until=job.scheduled_at)


def _paused(facts: _Facts) -> Iterator[Cause]:
    concerned = {("all", ""), ("queue", facts.job.queue), ("task", facts.job.task)}
    for pause in facts.pauses:
        if (pause.kind, pause.name or "") in concerned:
            yield Paused(kind=pause.kind, name=pause.name or "", since=pause.paused_at)


def _locked(facts: _Facts) -> Iterator[Cause]:
    job, standing = facts.job, facts.standing
    if job.lock is None:
        return
    holder = facts.others.get(standing.holder or 0)
    if holder is not None:
        worker = _worker(facts, holder.worker)
        yield LockHeld(
            lock=job.lock,
            job_id=holder.id,
            since=holder.started_at,
            worker=holder.worker,
            worker_name=None if worker is None else worker.info.name,
        )
    first = facts.others.get(standing.before or 0)
    if first is not None and job.lock_mode == "ordered" and first.id != standing.holder and _is_before(first, job):
        yield BehindInLine(lock=job.lock, job_id=first.id, state=first.state, scheduled_at=first.scheduled_at)


def _is_before(first: Job, job: Job) -> bool:
    return not first.ended and (-first.priority, first.id) < (-job.priority, job.id)


def _unserved(facts: _Facts) -> Iterator[Cause]:
    job, serving = facts.job, facts.serving
    if not serving:
        yield QueueUnserved(queue=job.queue, workers=sum(worker.alive for worker in facts.workers))
    elif not any(_knows(worker, job.task) for worker in serving):
        yield TaskUnknown(task=job.task, queue=job.queue, workers=len(serving))


def _in_line(facts: _Facts) -> Iterator[Cause]:
    job, serving = facts.job, facts.serving
    if facts.standing.ahead:
        yield BehindJobs(queue=job.queue, count=facts.standing.ahead)
    if job.losses >= job.max_losses - 1 and all(worker.running for worker in serving):
        yield LastLife(losses=job.losses, max_losses=job.max_losses)
    elif serving and all(map(_is_busy, serving)):
        yield WorkersBusy(workers=len(serving), running=sum(worker.running for worker in serving))


def _knows(worker: WorkerStatus, task: str) -> bool:
    """Return whether a worker knows a task; one that does not say what it knows may."""
    tasks = worker.info.details.get("tasks")
    return not isinstance(tasks, list) or task in tasks


def _is_busy(worker: WorkerStatus) -> bool:
    concurrency = worker.info.details.get("concurrency")
    return isinstance(concurrency, int) and worker.running >= concurrency


def _worker(facts: _Facts, number: int | None) -> WorkerStatus | None:
    return next((worker for worker in facts.workers if worker.info.id == number), None)
