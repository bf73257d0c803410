"""All that memory holds, and the few ways in which it changes; each keeps every index true.

The rules of a verb stand with its operation (`deferring`, `claiming`, `ending`, `steering`, `listing`), the rule of
who is woken when a lock becomes free stands here, in `Store.settle`.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import attrs

from pq_core.answers import PauseKind
from pq_core.job import Scope
from pq_core.memory.line import Line
from pq_core.memory.record import Record, ScheduleRecord
from pq_core.states import State
from pq_core.worker_info import WorkerInfo

Answer = TypeVar("Answer")
Answer_co = TypeVar("Answer_co", covariant=True)
Rank = tuple[int, int]


class Operation(Protocol[Answer_co]):
    """One verb with its arguments: a frozen value. Refuses what is wrong before it changes anything."""

    def apply(self, store: Store, now: datetime) -> Answer_co:
        """Change `store`, and answer."""
        ...


def apply(store: Store, operation: Operation[Answer], now: datetime) -> Answer:
    """Carry out one operation, whole or not at all, and return its answer.

    The same store, operation and time always give the same: nothing here reads a clock, draws lots or waits. The queues
    whose listeners are to be woken are left in `store.rung`.

    Args:
        store: is changed in place.
        operation: what to do.
        now: an aware datetime in UTC.

    Raises:
        PQError: what the verb's docstring in `Connector` names; the store is then as it was.
    """
    answer = operation.apply(store, now)
    store.settle()
    return answer


@attrs.define
class Lock:
    """The live jobs of one lock.

    Attributes:
        running: id of the one that runs.
        members: all of them, in order.
        blocked: the blocked mutex jobs, by queue and by whether they are in their last life.
    """

    running: int | None = None
    members: Line[Rank] = attrs.field(factory=Line[Rank])
    blocked: dict[tuple[str, bool], Line[Rank]] = attrs.field(factory=dict[tuple[str, bool], Line[Rank]])

    def admits(self, record: Record) -> bool:
        """Whether a waiting job of this lock is runnable."""
        return self.running is None and (record.lock_mode == "mutex" or self.members.first() == record.rank)


@attrs.frozen
class Seen:
    """A worker: what it first said of itself, when that was, and when it was last heard of."""

    info: WorkerInfo
    since: datetime
    heard: datetime


@attrs.define
class Store:
    """Jobs, workers, pauses.

    Attributes:
        next_id: is never taken back, not even if the transaction that used it is rolled back.
        ready: lines by queue and by whether the jobs are in their last life.
        scheduled: a line by due time.
        expiring: a line by time of expiry: jobs that wait and have no attempt spent.
        running: ids by worker.
        leases: ends of leases by worker.
        seen: the workers that have a lease, and some that had one.
        unique: the live job that has a unique key, by scope and key; of scope ``waiting`` only while it waits.
        periods: keys that are taken for a time: the job that took it, and until when.
        promised: keys that an open transaction has taken, and which.
        in_hand: waiting jobs that an open transaction will change: they stand in no line, so that nobody claims them.
        pauses: since when what is paused, by kind and name.
        schedules: by id.
        revision: the one given last.
        rung: queues whose listeners are to be woken.
    """

    next_id: int = 1
    live: dict[int, Record] = attrs.field(factory=dict[int, Record])
    ended: dict[int, Record] = attrs.field(factory=dict[int, Record])
    ready: dict[tuple[str, bool], Line[Rank]] = attrs.field(factory=dict[tuple[str, bool], Line[Rank]])
    scheduled: Line[tuple[datetime, int]] = attrs.field(factory=Line[tuple[datetime, int]])
    expiring: Line[tuple[datetime, int]] = attrs.field(factory=Line[tuple[datetime, int]])
    running: dict[int | None, set[int]] = attrs.field(factory=dict[int | None, set[int]])
    locks: dict[str, Lock] = attrs.field(factory=dict[str, Lock])
    leases: dict[int, datetime] = attrs.field(factory=dict[int, datetime])
    seen: dict[int, Seen] = attrs.field(factory=dict[int, Seen])
    unique: dict[tuple[Scope, str], int] = attrs.field(factory=dict[tuple[Scope, str], int])
    periods: dict[tuple[Scope, str], tuple[int, datetime]] = attrs.field(
        factory=dict[tuple[Scope, str], tuple[int, datetime]]
    )
    promised: dict[tuple[Scope, str], object] = attrs.field(factory=dict[tuple[Scope, str], object])
    in_hand: set[int] = attrs.field(factory=set[int])
    pauses: dict[tuple[PauseKind, str], datetime] = attrs.field(factory=dict[tuple[PauseKind, str], datetime])
    schedules: dict[str, ScheduleRecord] = attrs.field(factory=dict[str, ScheduleRecord])
    revision: int = 0
    rung: set[str] = attrs.field(factory=set[str])
    _touched: set[str] = attrs.field(factory=set[str])

    @property
    def paused_queues(self) -> set[str]:
        """Queues that are paused by name."""
        return {name for kind, name in self.pauses if kind == "queue"}

    @property
    def all_paused(self) -> bool:
        """Whether everything is paused."""
        return ("all", "") in self.pauses

    def holds(self, task: str) -> bool:
        """Whether a task is paused."""
        return ("task", task) in self.pauses

    def new_id(self) -> int:
        """Return the next id."""
        number = self.next_id
        self.next_id += 1
        return number

    def hear(self, info: WorkerInfo, lease: timedelta, now: datetime) -> None:
        """Make a worker known, or prolong its lease."""
        seen = self.seen.get(info.id)
        if info.id in self.leases and seen is not None:
            self.seen[info.id] = Seen(seen.info, seen.since, now)
        else:
            self.seen = {number: self.seen[number] for number in self.leases if number in self.seen}
            self.seen[info.id] = Seen(info, now, now)
        self.leases[info.id] = now + lease

    def forget_periods(self, now: datetime) -> None:
        """Forget unique keys whose period is over: they mean nothing any more."""
        for key in [key for key, (_, until) in self.periods.items() if until <= now]:
            del self.periods[key]

    def all_ids(self) -> list[int]:
        """Return the ids of live and ended jobs, sorted."""
        return sorted([*self.live, *self.ended])

    def get(self, number: int) -> Record | None:
        """Return a job, live or ended."""
        return self.live.get(number) or self.ended.get(number)

    def insert(self, record: Record) -> None:
        """Let a waiting job live, and wake the workers of its queue."""
        self.live[record.id] = record
        self._enter(record)
        self._ring(record)

    @contextmanager
    def changing(self, record: Record) -> Generator[None]:
        """Take a live job out of every index, let the caller change it, and put it where it then belongs."""
        self._leave(record)
        yield
        self._enter(record)
        self._ring(record)

    def claim(self, record: Record, worker: int, now: datetime) -> None:
        """Let a ready job run."""
        self.move(record, State.RUNNING, worker)
        record.started_at = now
        record.attempt += 1
        record.claim += 1

    def move(self, record: Record, state: State, worker: int | None = None) -> None:
        """Change the state of a live job that neither ends nor changes its queue, lock or priority."""
        self._leave_state(record)
        record.state = state
        record.worker = worker
        self._enter_state(record)
        self._ring(record)

    def end(self, record: Record, state: State, now: datetime, *, keep: bool = True) -> None:
        """End a live job; with `keep` False leave no trace of it."""
        self._leave(record)
        del self.live[record.id]
        record.state = state
        record.finished_at = now
        if keep:
            self.ended[record.id] = record

    def take_in_hand(self, number: int) -> None:
        """Let nobody claim a waiting job, until it is let go or somebody else changes it."""
        record = self.live[number]
        self._leave_state(record)
        self._take_key(record)
        self.in_hand.add(number)

    def let_go(self, number: int) -> None:
        """Undo :meth:`take_in_hand`."""
        if number in self.in_hand:
            self._leave_state(self.live[number])
            self._enter_state(self.live[number])

    def runs(self, number: int, claim: int) -> bool:
        """Return whether the job runs, under this claim."""
        record = self.live.get(number)
        return record is not None and record.state is State.RUNNING and record.claim == claim

    def twin(self, record: Record) -> Record | None:
        """Return the other job that has the unique key of a record, if there is one."""
        if record.unique_key is None or record.unique_scope is None:
            return None
        number = self.unique.get((record.unique_scope, record.unique_key))
        return None if number is None or number == record.id else self.live[number]

    def settle(self) -> None:
        """Wake who waits for a lock that has changed hands, or whose line has changed.

        If none of its jobs runs, its first job is made ready if it is blocked, and so is, of each queue, the first
        blocked mutex job (and the first that is not in its last life, for workers that may not take the others). Jobs
        of paused tasks stay blocked, and the mutex jobs behind them come first.
        """
        free = [lock for name in self._touched if (lock := self.locks.get(name)) and lock.running is None]
        for lock in free:
            for place in [lock.members.first(), *[self._first_to_wake(line) for line in lock.blocked.values()]]:
                record = self.live[place[1]] if place else None
                if record and record.state is State.BLOCKED and not self._keeps(record):
                    self.move(record, State.READY)
        self._touched.clear()

    def _keeps(self, record: Record) -> bool:
        return record.id in self.in_hand or self.holds(record.task)

    def _first_to_wake(self, line: Line[Rank]) -> Rank | None:
        first = line.first()
        if first is None or not self.holds(self.live[first[1]].task):
            return first
        return min((place for place in line if not self.holds(self.live[place[1]].task)), default=None)

    def _ring(self, record: Record) -> None:
        if record.state is State.READY or record.state is State.SCHEDULED:
            self.rung.add(record.queue)

    def _enter(self, record: Record) -> None:
        if record.lock is not None:
            lock = self.locks.get(record.lock)
            if lock is None:
                lock = self.locks[record.lock] = Lock()
            lock.members.add(record.rank)
        self._enter_state(record)

    def _leave(self, record: Record) -> None:
        self._leave_state(record)
        if record.lock is not None:
            members = self.locks[record.lock].members
            members.discard(record.rank)
            if not members:
                del self.locks[record.lock]

    def _enter_state(self, record: Record) -> None:
        state = record.state
        if record.expires_at is not None and record.attempt == 0 and state is not State.RUNNING:
            self.expiring.add((record.expires_at, record.id))
        if state is State.READY:
            _line(self.ready, record).add(record.rank)
        elif state is State.SCHEDULED:
            self.scheduled.add((record.scheduled_at, record.id))
        elif state is State.RUNNING:
            self.running.setdefault(record.worker, set()).add(record.id)
            if record.lock is not None:
                self.locks[record.lock].running = record.id
        elif record.lock is not None and record.lock_mode == "mutex":
            _line(self.locks[record.lock].blocked, record).add(record.rank)
        if record.lock is not None:
            self._touched.add(record.lock)
        self._take_key(record)

    def _leave_state(self, record: Record) -> None:
        if record.id in self.in_hand:
            self.in_hand.remove(record.id)
        else:
            self._leave_line(record)
        if record.lock is not None:
            self._touched.add(record.lock)
        if record.unique_key is not None and record.unique_scope is not None and _holds_key(record):
            del self.unique[record.unique_scope, record.unique_key]

    def _take_key(self, record: Record) -> None:
        if record.unique_key is not None and record.unique_scope is not None and _holds_key(record):
            self.unique[record.unique_scope, record.unique_key] = record.id

    def _leave_line(self, record: Record) -> None:
        state = record.state
        if record.expires_at is not None:
            self.expiring.discard((record.expires_at, record.id))
        if state is State.READY:
            _strike(self.ready, record)
        elif state is State.SCHEDULED:
            self.scheduled.discard((record.scheduled_at, record.id))
        elif state is State.RUNNING:
            theirs = self.running[record.worker]
            theirs.remove(record.id)
            if not theirs:
                del self.running[record.worker]
            if record.lock is not None:
                self.locks[record.lock].running = None
        elif record.lock is not None and record.lock_mode == "mutex":
            _strike(self.locks[record.lock].blocked, record)


def _holds_key(record: Record) -> bool:
    return record.unique_scope == "live" or record.state is not State.RUNNING


def _line(lines: dict[tuple[str, bool], Line[Rank]], record: Record) -> Line[Rank]:
    key = record.queue, record.last_life
    line = lines.get(key)
    if line is None:
        line = lines[key] = Line()
    return line


def _strike(lines: dict[tuple[str, bool], Line[Rank]], record: Record) -> None:
    key = record.queue, record.last_life
    line = lines[key]
    line.discard(record.rank)
    if not line:
        del lines[key]
