"""Deferring: new jobs become records, and records live."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import attrs

from pq_core.connector import Deferred
from pq_core.errors import InvalidArguments, InvalidJob
from pq_core.job import NewJob
from pq_core.memory.record import Record
from pq_core.memory.store import Store
from pq_core.payload import dump_mapping
from pq_core.states import State


@attrs.frozen
class Defer:
    """Store jobs, all or none."""

    jobs: Sequence[NewJob]

    def apply(self, store: Store, now: datetime) -> list[Deferred]:
        """Return the ids in the order of the jobs."""
        return Commit(Prepare(self.jobs).apply(store, now)).apply(store, now)


@attrs.frozen
class Prepare:
    """Make records with ids, that are not stored yet: what a transaction does before its end."""

    jobs: Sequence[NewJob]

    def apply(self, store: Store, now: datetime) -> list[Record]:
        """Return the records in the order of the jobs."""
        texts = [_texts(job, index if len(self.jobs) > 1 else None) for index, job in enumerate(self.jobs)]
        return [_record(job, *text, store.new_id(), now) for job, text in zip(self.jobs, texts, strict=True)]


@attrs.frozen
class Commit:
    """Store records that are prepared."""

    records: Sequence[Record]

    def apply(self, store: Store, now: datetime) -> list[Deferred]:  # noqa: ARG002 - as every operation
        """Return the ids in the order of the records."""
        for record in self.records:
            store.insert(record)
        return [Deferred(record.id) for record in self.records]


def _texts(job: NewJob, index: int | None) -> tuple[str, str]:
    try:
        return (
            dump_mapping(job.args, "args", error=InvalidArguments),
            dump_mapping(job.metadata, "metadata", error=InvalidJob),
        )
    except InvalidJob as reason:
        raise (reason if index is None else reason.at(index)) from None


def _expiry(job: NewJob, now: datetime) -> datetime | None:
    if job.expires_in is not None:
        return now + job.expires_in
    return job.expires_at and job.expires_at.astimezone(UTC)


def _record(job: NewJob, args: str, metadata: str, number: int, now: datetime) -> Record:
    due = job.scheduled_at.astimezone(UTC) if job.scheduled_at else now + (job.delay or timedelta(0))
    return Record(
        id=number,
        task=job.task,
        args=args,
        queue=job.queue,
        priority=job.priority,
        lock=job.lock,
        lock_mode=job.lock_mode,
        state=State.SCHEDULED if due > now else State.READY,
        max_losses=job.max_losses,
        scheduled_at=due,
        created_at=now,
        metadata=metadata,
        delivery=job.delivery,
        version=job.version,
        unique_key=job.unique_key,
        unique_scope=None if job.unique_key is None else job.unique_scope,
        expires_at=_expiry(job, now),
    )
