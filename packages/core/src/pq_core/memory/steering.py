"""Steering: what users and operators do to jobs and queues."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import attrs

from pq_core.answers import JobState
from pq_core.given import check_age, check_ids, check_pause, check_reason, check_states, check_steps
from pq_core.job import check_end
from pq_core.memory.record import Record
from pq_core.memory.store import Store
from pq_core.outcome import Unchanged
from pq_core.selection import JobChanges
from pq_core.states import ENDED, WAITING, State


@attrs.frozen
class Cancel:
    """End waiting jobs; ask running ones to stop."""

    ids: Sequence[int]
    reason: str

    def apply(self, store: Store, now: datetime) -> list[JobState]:
        """Return the live jobs among them with their states after it."""
        ids, reason = check_ids(self.ids), check_reason(self.reason)
        found = [record for number in sorted(set(ids)) if (record := store.live.get(number))]
        for record in found:
            if record.state in WAITING:
                record.reason = reason
                store.end(record, State.CANCELLED, now)
            elif record.cancel_requested_at is None:
                record.cancel_requested_at = now
                record.reason = reason
                store.rung.add(record.queue)
        return _states(found)


@attrs.frozen
class Reschedule:
    """Change waiting jobs."""

    ids: Sequence[int]
    changes: JobChanges

    def apply(self, store: Store, now: datetime) -> list[JobState]:
        """Return the waiting jobs among them with their states after it."""
        if self.changes.delay is not None:
            check_end("scheduled_at", now + self.changes.delay)
        live = [record for number in sorted(set(check_ids(self.ids))) if (record := store.live.get(number))]
        found = [record for record in live if record.state in WAITING]
        for record in found:
            with store.changing(record):
                _change(record, self.changes, now)
        return _states(found)


@attrs.frozen
class Prune:
    """Forget jobs that ended before `now - older_than`: of these states only, and `limit` at most."""

    older_than: timedelta | None
    states: Sequence[State] | None = None
    limit: int | None = None

    def apply(self, store: Store, now: datetime) -> int:
        """Return how many."""
        older_than, limit = check_age(self.older_than), check_steps(self.limit)
        states = ENDED if self.states is None else frozenset(check_states(self.states))
        if older_than is None:
            return 0
        try:
            bound = now - older_than
        except OverflowError:  # no datetime is that long ago
            return 0
        old = sorted(
            (record.finished_at, record.id)
            for record in store.ended.values()
            if record.finished_at and record.finished_at < bound and record.state in states
        )
        for _, number in old[:limit]:
            del store.ended[number]
        return len(old[:limit])


@attrs.frozen
class Purge:
    """Delete jobs that wait or have ended."""

    ids: Sequence[int]

    def apply(self, store: Store, now: datetime) -> list[int]:
        """Return the ids of those that there were."""
        gone: list[int] = []
        for number in sorted(set(check_ids(self.ids))):
            record = store.get(number)
            if record is None or record.state is State.RUNNING:
                continue
            if number in store.live:
                store.end(record, State.CANCELLED, now, keep=False)
            else:
                del store.ended[number]
            gone.append(number)
        for key in [key for key, (taker, _) in store.periods.items() if taker in gone]:
            del store.periods[key]
        return gone


@attrs.frozen
class Pause:
    """Let no job of a queue, of a task, or no job at all, be fetched."""

    queue: str | None = None
    task: str | None = None
    everything: bool = False

    def apply(self, store: Store, now: datetime) -> None:
        """Refuse what names nothing that can be paused."""
        store.pauses.setdefault(check_pause(self.queue, self.task, self.everything), now)


@attrs.frozen
class Resume:
    """Undo a pause."""

    queue: str | None = None
    task: str | None = None
    everything: bool = False

    def apply(self, store: Store, now: datetime) -> None:  # noqa: ARG002 - as every operation
        """Refuse what names nothing that can be paused."""
        kind, name = check_pause(self.queue, self.task, self.everything)
        paused = store.pauses.pop((kind, name), None) is not None
        if kind == "queue":
            store.rung.add(name)
        elif kind == "all":
            store.rung.update(queue for queue, _ in store.ready)
        elif paused:
            held = [record for record in store.live.values() if record.task == name and record.state is State.BLOCKED]
            for record in held:
                store.move(record, State.READY)


def _states(records: Sequence[Record]) -> list[JobState]:
    return [JobState(record.id, record.state) for record in records]


def _change(record: Record, changes: JobChanges, now: datetime) -> None:
    if changes.scheduled_at is not None:
        record.scheduled_at = changes.scheduled_at.astimezone(UTC)
    elif changes.delay is not None:
        record.scheduled_at = now + changes.delay
    if changes.scheduled_at is not None or changes.delay is not None:
        record.state = State.SCHEDULED if record.scheduled_at > now else State.READY
    elif record.state is State.BLOCKED:
        record.state = State.READY
    if changes.queue is not None:
        record.queue = changes.queue
    if changes.priority is not None:
        record.priority = changes.priority
    if not isinstance(changes.lock, Unchanged):
        record.lock = changes.lock
    if not isinstance(changes.expires_at, Unchanged):
        record.expires_at = changes.expires_at and changes.expires_at.astimezone(UTC)
