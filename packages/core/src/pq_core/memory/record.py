"""A job as memory holds it: JSON is text, and the fields may change."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import attrs

from pq_core.job import MAX_ERRORS, Delivery, Job, LockMode, Scope
from pq_core.payload import dump, load
from pq_core.schedule import CatchUp, Schedule, read_schedule
from pq_core.states import State


@attrs.define(kw_only=True)
class Record:
    """One stored job. `Store` alone changes what its indexes are made of.

    Attributes:
        args: JSON text, as are `metadata`, `result`, `progress` and each of `errors`.
    """

    id: int
    task: str
    args: str
    queue: str
    priority: int
    lock: str | None
    lock_mode: LockMode
    state: State
    max_losses: int
    scheduled_at: datetime
    created_at: datetime
    metadata: str
    attempt: int = 0
    claim: int = 0
    losses: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    worker: int | None = None
    cancel_requested_at: datetime | None = None
    errors: tuple[str, ...] = ()
    result: str | None = None
    reason: str | None = None
    progress: str | None = None
    delivery: Delivery = "at_least_once"
    version: int = 1
    unique_key: str | None = None
    unique_scope: Scope | None = None
    expires_at: datetime | None = None

    @property
    def rank(self) -> tuple[int, int]:
        """Where the job stands among others: higher priority first, then lower id."""
        return -self.priority, self.id

    @property
    def last_life(self) -> bool:
        """Whether the job ends with the next worker that dies under it."""
        return self.losses >= self.max_losses - 1

    def add_error(self, error: dict[str, Any], now: datetime) -> None:
        """Append an entry to `errors`, of which the last ten are kept."""
        entry = dump({**error, "at": now.isoformat(timespec="microseconds")}, "error")
        self.errors = (*self.errors, entry)[-MAX_ERRORS:]

    def note_progress(self, text: str, now: datetime) -> None:
        """Take what a run has said of its progress, a JSON object, with the time."""
        self.progress = dump({**load(text), "at": now.isoformat(timespec="microseconds")}, "progress")

    def as_job(self) -> Job:
        """Return the job as a reader sees it, with lists and dicts of its own."""
        return Job(
            id=self.id,
            task=self.task,
            args=load(self.args),
            queue=self.queue,
            priority=self.priority,
            lock=self.lock,
            lock_mode=self.lock_mode,
            state=self.state,
            attempt=self.attempt,
            claim=self.claim,
            losses=self.losses,
            max_losses=self.max_losses,
            scheduled_at=self.scheduled_at,
            created_at=self.created_at,
            started_at=self.started_at,
            finished_at=self.finished_at,
            worker=self.worker,
            cancel_requested_at=self.cancel_requested_at,
            errors=[load(entry) for entry in self.errors],
            result=None if self.result is None else load(self.result),
            reason=self.reason,
            metadata=load(self.metadata),
            progress=None if self.progress is None else load(self.progress),
            delivery=self.delivery,
            version=self.version,
            unique_key=self.unique_key,
            unique_scope=self.unique_scope,
            expires_at=self.expires_at,
        )


@attrs.define
class ScheduleRecord:
    """A stored schedule as memory keeps it: the job as JSON text, everything else as :class:`Schedule` has it."""

    id: str
    job: str
    cron: str
    timezone: str
    catch_up: CatchUp
    max_delay: timedelta | None
    revision: int
    next_tick: datetime
    created_at: datetime
    planned: bool = False
    last_tick: datetime | None = None
    paused_at: datetime | None = None
    declared_at: datetime | None = None

    @property
    def definition(self) -> tuple[str, str, str, CatchUp, timedelta | None]:
        """What its author has said."""
        return (self.job, self.cron, self.timezone, self.catch_up, self.max_delay)

    def as_schedule(self, now: datetime) -> Schedule:
        """Return a copy for readers, as of `now`."""
        return read_schedule(now=now, **attrs.asdict(self))
