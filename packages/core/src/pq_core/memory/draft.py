"""What was deferred and is not stored yet: the jobs of one call, or of one open transaction."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import attrs

from pq_core.answers import Deferred
from pq_core.errors import StoreBusy
from pq_core.job import NewJob, Scope
from pq_core.memory.record import Record
from pq_core.memory.store import Store
from pq_core.states import WAITING, State
from pq_core.unique import already_deferred

Key = tuple[Scope, str]


@attrs.define(eq=False)
class Draft:
    """Jobs that will be stored, and what else will change with that. `store` knows of it what others have to know.

    Attributes:
        records: new jobs, by id.
        replaced: waiting jobs that take over what a new one was to do, by id: as they will be.
        expired: waiting jobs that will be ended, because they were in the way and were not started in time, by id: when
            that was found.
        keys: the jobs, new or replaced, that have a key.
        periods: keys that will be taken for a time.
    """

    store: Store
    records: dict[int, Record] = attrs.field(factory=dict[int, Record])
    replaced: dict[int, Record] = attrs.field(factory=dict[int, Record])
    expired: dict[int, datetime] = attrs.field(factory=dict[int, datetime])
    keys: dict[Key, int] = attrs.field(factory=dict[Key, int])
    periods: dict[Key, tuple[int, datetime]] = attrs.field(factory=dict[Key, tuple[int, datetime]])
    _undo: list[Callable[[], object]] = attrs.field(factory=list[Callable[[], object]])

    @property
    def mark(self) -> int:
        """Where one may go back to."""
        return len(self._undo)

    def go_back(self, mark: int) -> None:
        """Undo what was done since."""
        while len(self._undo) > mark:
            self._undo.pop()()

    def add(self, job: NewJob, record: Record, now: datetime, first: int, index: int | None) -> Deferred:
        """Take in a job that will be stored, unless its unique key is taken.

        Args:
            job: the job.
            record: the same as it would be stored.
            now: the time.
            first: the first id of the call.
            index: its place, if there are several.

        Raises:
            AlreadyDeferred: the key is taken, and the job is not to give way.
            StoreBusy: the key is in the hands of another open transaction.
        """
        if job.unique_key is None:
            self._put(self.records, record.id, record)
            return Deferred(record.id)
        key = job.unique_scope, job.unique_key
        if self.store.promised.get(key, self) is not self:
            raise StoreBusy(
                f"unique_key {job.unique_key!r} is in the hands of another transaction that is open; in memory nobody "
                "can wait for its end: end it first"
            )
        holder = self._holder(key)
        if holder and _is_expired(holder, now):
            self._put(self.expired, holder.id, now)
            holder = None
        taken = holder.id if holder else self._period(key, now)
        if not taken:
            self._take(key, record, job.unique_period, now)
            return Deferred(record.id)
        if job.on_conflict == "raise":
            raise already_deferred(job, None if taken >= first else taken, index)
        if job.on_conflict == "replace" and holder and holder.state in WAITING:
            self._replace(key, holder, record)
            return Deferred(taken, "replaced")
        return Deferred(taken, "skipped")

    def commit(self, now: datetime) -> None:
        """Store all of it."""
        for changed in self.replaced.values():
            self.store.let_go(changed.id)
            record = self.store.live.get(changed.id)
            if record and record.state in WAITING:
                with self.store.changing(record):
                    _take_over(record, changed)
        for number in self.expired:
            self._drop(number)
        for record in self.records.values():
            twin = self.store.twin(record)
            if twin is not None:
                # It came back to wait while the transaction was open: as if it had done so after the end of that.
                twin.reason = f"superseded by job {record.id}"
                self.store.end(twin, State.CANCELLED, now)
            self.store.insert(record)
            if record.id in self.expired:
                self._drop(record.id)
        self.store.periods.update(self.periods)
        for key in self.keys:
            self.store.promised.pop(key, None)
        self._undo.clear()

    def _drop(self, number: int) -> None:
        record = self.store.live.get(number)
        if record and record.state in WAITING:
            record.reason = "expired"
            self.store.end(record, State.CANCELLED, self.expired[number])

    def _holder(self, key: Key) -> Record | None:
        number = self.keys.get(key) or self.store.unique.get(key)
        if number is None or number in self.expired:
            return None
        return self.records.get(number) or self.replaced.get(number) or self.store.live[number]

    def _period(self, key: Key, now: datetime) -> int:
        number, until = self.periods.get(key) or self.store.periods.get(key, (0, now))
        return number if until > now else 0

    def _take(self, key: Key, record: Record, period: timedelta | None, now: datetime) -> None:
        self._put(self.records, record.id, record)
        self._promise(key, record.id)
        if period:
            self._put(self.periods, key, (record.id, now + period))

    def _replace(self, key: Key, holder: Record, record: Record) -> None:
        changed = attrs.evolve(holder)
        _take_over(changed, record)
        if holder.id in self.records:
            self._put(self.records, holder.id, changed)
            return
        if holder.id not in self.replaced:
            self.store.take_in_hand(holder.id)
            self._undo.append(partial(self.store.let_go, holder.id))
        self._put(self.replaced, holder.id, changed)
        self._promise(key, holder.id)

    def _promise(self, key: Key, number: int) -> None:
        self._put(self.keys, key, number)
        self._put(self.store.promised, key, self)

    def _put(self, names: dict[Any, Any], name: object, value: object) -> None:
        if name in names:
            self._undo.append(partial(names.__setitem__, name, names[name]))
        else:
            self._undo.append(partial(names.pop, name))
        names[name] = value


def _is_expired(record: Record, now: datetime) -> bool:
    return bool(record.expires_at and record.expires_at <= now and not record.attempt and record.state in WAITING)


def _take_over(record: Record, new: Record) -> None:
    record.task, record.args, record.version, record.metadata = new.task, new.args, new.version, new.metadata
    record.priority, record.state, record.scheduled_at = new.priority, new.state, new.scheduled_at
    record.expires_at = new.expires_at
