"""Scheduling: schedules are stored, changed, and moved on from tick to tick."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import attrs

from pq_core.errors import StoreBusy
from pq_core.memory.deferring import Defer
from pq_core.memory.record import ScheduleRecord
from pq_core.memory.store import Store
from pq_core.schedule import (
    Move,
    NewSchedule,
    Schedule,
    Ticked,
    check_schedule_ids,
    check_schedules,
    dump_job,
    is_declared,
    job_of,
)

MOST_DUE = 100
REPEATED = timedelta(seconds=30)


@attrs.frozen
class ListSchedules:
    """Look schedules up."""

    ids: Sequence[str] | None

    def apply(self, store: Store, now: datetime) -> list[Schedule]:
        """Return them sorted by id."""
        ids = sorted(store.schedules) if self.ids is None else check_schedule_ids(self.ids)
        return [store.schedules[each].as_schedule(now) for each in ids if each in store.schedules]


@attrs.frozen
class PutSchedules:
    """Store schedules."""

    schedules: Sequence[NewSchedule]
    declared: bool
    replace: bool

    def apply(self, store: Store, now: datetime) -> list[str]:
        """Return the ids of those that are then as given."""
        given = [(each, dump_job(each.job)) for each in check_schedules(self.schedules)]
        put = [new.id for new, job in given if self._put(store, new, job, now)]
        return sorted(put)

    def _put(self, store: Store, new: NewSchedule, job: str, now: datetime) -> bool:
        old = store.schedules.get(new.id)
        declared_at = now if self.declared else None
        definition = (job, new.cron, new.timezone, new.catch_up, new.max_delay)
        if old is None:
            store.schedules[new.id] = ScheduleRecord(
                new.id, *definition, _revision(store), next_tick=now, created_at=now, declared_at=declared_at
            )
            return True
        if not self.declared and (not self.replace or is_declared(old.declared_at, now)):
            return False
        if old.definition == definition and (old.declared_at is not None) == self.declared:
            if old.declared_at is not None and old.declared_at < now - REPEATED:
                old.declared_at = now
            return True
        if (old.cron, old.timezone) != (new.cron, new.timezone):
            old.next_tick, old.planned = now, False
        old.job, old.cron, old.timezone, old.catch_up, old.max_delay = definition
        old.declared_at, old.revision = declared_at, _revision(store)
        return True


@attrs.frozen
class PauseSchedules:
    """Let schedules not tick, or tick again."""

    ids: Sequence[str]
    paused: bool

    def apply(self, store: Store, now: datetime) -> list[str]:
        """Return the ids of those that there are."""
        found = [store.schedules[each] for each in check_schedule_ids(self.ids) if each in store.schedules]
        for record in found:
            if (record.paused_at is None) != self.paused:
                continue
            record.paused_at = now if self.paused else None
            record.revision = _revision(store)
            if not self.paused:
                record.next_tick, record.planned = now, False
        return [record.id for record in found]


@attrs.frozen
class RemoveSchedules:
    """Forget schedules."""

    ids: Sequence[str]

    def apply(self, store: Store, now: datetime) -> list[str]:  # noqa: ARG002 - as every operation
        """Return the ids of those that there were."""
        return [each for each in check_schedule_ids(self.ids) if store.schedules.pop(each, None)]


@attrs.frozen
class Tick:
    """Move schedules on, with the jobs of their ticks; say which are due."""

    moves: Sequence[Move]

    def apply(self, store: Store, now: datetime) -> Ticked:
        """Return what was done and what is to do."""
        moved = [move.id for move in sorted(self.moves, key=lambda move: move.id) if _move(store, move, now)]
        ticking = [record for record in store.schedules.values() if record.paused_at is None]
        due = [
            record
            for record in ticking
            if record.next_tick <= now and (record.declared_at is None or is_declared(record.declared_at, now))
        ]
        due.sort(key=lambda record: (record.next_tick, record.id))
        later = [record.next_tick for record in ticking if record.next_tick > now]
        return Ticked(
            now=now,
            moved=moved,
            due=[record.as_schedule(now) for record in due[:MOST_DUE]],
            next_in=(min(later) - now).total_seconds() if later else None,
        )


def _move(store: Store, move: Move, now: datetime) -> bool:
    record = store.schedules.get(move.id)
    if record is None or record.revision != move.revision or record.paused_at is not None:
        return False
    schedule = record.as_schedule(now)
    try:
        Defer([job_of(schedule, tick) for tick in move.ticks]).apply(store, now)
    except StoreBusy:  # the unique key of its job is in the hands of an open transaction: another time
        return False
    record.next_tick, record.planned, record.revision = move.next_tick.astimezone(UTC), True, _revision(store)
    if move.ticks:
        record.last_tick = move.ticks[-1].astimezone(UTC)
    return True


def _revision(store: Store) -> int:
    store.revision += 1
    return store.revision
