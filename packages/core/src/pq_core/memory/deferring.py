"""Deferring: new jobs become records, and records live."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import attrs

from pq_core.answers import Deferred
from pq_core.errors import InvalidArguments, InvalidJob
from pq_core.job import NewJob, check_end
from pq_core.memory.draft import Draft
from pq_core.memory.record import Record
from pq_core.memory.store import Store
from pq_core.payload import dump_mapping
from pq_core.states import State


@attrs.frozen
class Defer:
    """Store jobs, all or none."""

    jobs: Sequence[NewJob]

    def apply(self, store: Store, now: datetime) -> list[Deferred]:
        """Return what became of each, in the order of the jobs."""
        draft = Draft(store)
        answers = Prepare(self.jobs, draft).apply(store, now)
        Commit(draft).apply(store, now)
        return answers


@attrs.frozen
class Prepare:
    """Add jobs to what will be stored, all or none: what a transaction does before its end."""

    jobs: Sequence[NewJob]
    draft: Draft

    def apply(self, store: Store, now: datetime) -> list[Deferred]:
        """Return what becomes of each, in the order of the jobs."""
        several = len(self.jobs) > 1
        texts = [_texts(job, index if several else None) for index, job in enumerate(self.jobs)]
        first, mark = store.next_id, self.draft.mark
        records = [_record(job, *text, store.new_id(), now) for job, text in zip(self.jobs, texts, strict=True)]
        try:
            return [
                self.draft.add(job, record, now, first, index if several else None)
                for index, (job, record) in enumerate(zip(self.jobs, records, strict=True))
            ]
        except BaseException:
            self.draft.go_back(mark)
            raise


@attrs.frozen
class Commit:
    """Store what is prepared."""

    draft: Draft

    def apply(self, store: Store, now: datetime) -> None:  # noqa: ARG002 - as every operation
        """Change the store of the draft."""
        self.draft.commit(now)


@attrs.frozen
class GoBack:
    """Undo what was prepared since a mark."""

    draft: Draft
    mark: int = 0

    def apply(self, store: Store, now: datetime) -> None:  # noqa: ARG002 - as every operation
        """Change the draft alone, and what others know of it."""
        self.draft.go_back(self.mark)


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
        return check_end("expires_at", now + job.expires_in)
    return job.expires_at and job.expires_at.astimezone(UTC)


def _record(job: NewJob, args: str, metadata: str, number: int, now: datetime) -> Record:
    due = now
    if job.scheduled_at:
        due = job.scheduled_at.astimezone(UTC)
    elif job.delay:
        due = check_end("scheduled_at", now + job.delay)
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
