"""Why a job does not run, or no longer: one class for each cause, with what is known of it and a sentence.

::

    Cause
    ├── Scheduled       it is not due yet
    ├── RetryLater      it failed, and is to run again later
    ├── LockHeld        another job of its lock runs
    ├── BehindInLine    another job of its lock comes first
    ├── Paused          its queue, its task or everything is paused
    ├── Expired         it was to be started by a time that is over
    ├── QueueUnserved   no live worker serves its queue
    ├── TaskUnknown     no live worker that serves its queue knows its task
    ├── LastLife        it needs a worker that runs nothing else
    ├── BehindJobs      ready jobs of its queue come first
    ├── WorkersBusy     the workers that serve its queue run all that they may
    ├── NextInLine      nothing holds it up
    ├── Running         it runs
    ├── AskedToStop     it runs, and is to stop
    └── Ended           it has succeeded, failed or been cancelled
"""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

from pq_core.answers import MOST_AHEAD
from pq_core.errors import shown
from pq_core.states import State
from pq_core.worker_info import WorkerStatus


@attrs.frozen(kw_only=True)
class Cause:
    """One reason why a job is where it is; as a text, a sentence without a full stop.

    .. versionadded:: 0.1
    """


@attrs.frozen(kw_only=True)
class Scheduled(Cause):
    """It is not due before `until`."""

    until: datetime

    def __str__(self) -> str:
        return f"it is scheduled for {told(self.until)}"


@attrs.frozen(kw_only=True)
class RetryLater(Cause):
    """Its run number `attempt` failed with an `error` of that type; the next is due at `until`."""

    until: datetime
    attempt: int
    error: str

    def __str__(self) -> str:
        return f"attempt {self.attempt} failed ({self.error}), and the next is due at {told(self.until)}"


@attrs.frozen(kw_only=True)
class LockHeld(Cause):
    """The job `job_id` has held its lock `since` then, on that worker (without a name, if it is not known any more)."""

    lock: str
    job_id: int
    since: datetime | None
    worker: int | None
    worker_name: str | None

    def __str__(self) -> str:
        worker = f"worker {self.worker}" + ("" if self.worker_name is None else f" ({self.worker_name})")
        since = "" if self.since is None else f" since {told(self.since)}"
        return f"its lock {shown(self.lock)} is held by job {self.job_id}, which runs on {worker}{since}"


@attrs.frozen(kw_only=True)
class BehindInLine(Cause):
    """The job `job_id` is the first of its lock, and in that `state`: in an ordered lock, others wait for it."""

    lock: str
    job_id: int
    state: State
    scheduled_at: datetime

    def __str__(self) -> str:
        when = f" for {told(self.scheduled_at)}" if self.state is State.SCHEDULED else ""
        return f"job {self.job_id} comes first under its lock {shown(self.lock)}, and is {self.state}{when}"


@attrs.frozen(kw_only=True)
class Paused(Cause):
    """Its queue, its task, or everything (then the name is empty) has been paused `since` then."""

    kind: str
    name: str
    since: datetime

    def __str__(self) -> str:
        what = "everything" if self.kind == "all" else f"its {self.kind} {shown(self.name)}"
        return f"{what} is paused since {told(self.since)}"


@attrs.frozen(kw_only=True)
class Expired(Cause):
    """No worker had started it by `at`: the next fetch or rescue cancels it."""

    at: datetime

    def __str__(self) -> str:
        return f"it has expired at {told(self.at)}, and will be cancelled"


@attrs.frozen(kw_only=True)
class QueueUnserved(Cause):
    """Of all live workers, so many, none serves its queue."""

    queue: str
    workers: int

    def __str__(self) -> str:
        if not self.workers:
            return "no worker is alive"
        return f"no live worker serves its queue {shown(self.queue)} (others: {self.workers})"


@attrs.frozen(kw_only=True)
class TaskUnknown(Cause):
    """So many live workers serve its queue, and none of them knows its task: each puts it back."""

    task: str
    queue: str
    workers: int

    def __str__(self) -> str:
        serve = "1 live worker serves" if self.workers == 1 else f"{self.workers} live workers serve"
        return f"no live worker knows its task {shown(self.task)}, though {serve} its queue {shown(self.queue)}"


@attrs.frozen(kw_only=True)
class LastLife(Cause):
    """It has lost so many workers that it would end with the next: only a worker that runs nothing else takes it."""

    losses: int
    max_losses: int

    def __str__(self) -> str:
        return (
            f"it is in its last life ({self.losses} workers died under it), and needs a worker that runs nothing else"
        )


@attrs.frozen(kw_only=True)
class BehindJobs(Cause):
    """So many ready jobs of its queue come before it; counting ends at ten thousand."""

    queue: str
    count: int

    def __str__(self) -> str:
        least = "at least " if self.count >= MOST_AHEAD else ""
        jobs = "1 ready job comes" if self.count == 1 else f"{least}{self.count} ready jobs come"
        return f"{jobs} before it in its queue {shown(self.queue)}"


@attrs.frozen(kw_only=True)
class WorkersBusy(Cause):
    """The live workers that serve its queue, so many, run as many jobs as they may at once."""

    workers: int
    running: int

    def __str__(self) -> str:
        if self.workers == 1:
            return f"the worker that serves its queue runs as many jobs as it may: {self.running}"
        return f"all {self.workers} workers that serve its queue run as many jobs as they may: {self.running}"


@attrs.frozen(kw_only=True)
class NextInLine(Cause):
    """Nothing that the store knows of holds it up."""

    def __str__(self) -> str:
        return "nothing holds it up: a worker takes it with its next fetch"


@attrs.frozen(kw_only=True)
class Running(Cause):
    """It has run `since` then.

    Attributes:
        worker: id of the worker that runs it.
        status: what is known of that worker; None if it was wiped out.
    """

    since: datetime | None
    worker: int | None
    status: WorkerStatus | None

    def __str__(self) -> str:
        since = "" if self.since is None else f" since {told(self.since)}"
        if self.status is None:
            return f"it runs{since} on worker {self.worker}, which is not known any more: the next rescue gives it back"
        details = self.status.info.details
        place = ", ".join(f"{name} {details[name]}" for name in ("host", "pid") if name in details)
        where = f"worker {self.worker} ({', '.join(filter(None, (self.status.info.name, place)))})"
        if self.status.alive:
            return f"it runs{since} on {where}, whose lease lasts until {told(self.status.lease_until)}"
        return f"its {where} has been lost since {told(self.status.lease_until)}: the next rescue gives it back"


@attrs.frozen(kw_only=True)
class AskedToStop(Cause):
    """It was asked to stop at `at`, for that reason."""

    at: datetime
    reason: str | None

    def __str__(self) -> str:
        return f"it was asked to stop at {told(self.at)}" + (f": {self.reason}" if self.reason else "")


@attrs.frozen(kw_only=True)
class Ended(Cause):
    """It ended in that state. The error is the type and message of the last one, if it failed."""

    state: State
    at: datetime | None
    reason: str | None = None
    error: str | None = None

    def __str__(self) -> str:
        at = "" if self.at is None else f" at {told(self.at)}"
        why = self.error or self.reason
        return f"it has {'been cancelled' if self.state is State.CANCELLED else self.state}{at}" + (
            f": {why}" if why else ""
        )


def told(moment: datetime) -> str:
    """Return a time as people read it, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
