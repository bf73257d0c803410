"""Ending: what becomes of a run, by the worker's word, by its death or by its leaving."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import attrs

from pq_core.answers import JobState
from pq_core.given import check_worker
from pq_core.job import LONGEST_DELAY, check_end
from pq_core.memory.expiring import EXPIRED, expire
from pq_core.memory.record import Record
from pq_core.memory.store import Store
from pq_core.outcome import Outcome, Unchanged
from pq_core.states import State

ENDINGS = {"succeeded": State.SUCCEEDED, "failed": State.FAILED, "cancelled": State.CANCELLED}


@attrs.frozen
class Current:
    """Pick the outcomes that are current, in the order of the jobs; of one job the first of the newest claim."""

    outcomes: Sequence[Outcome]

    def apply(self, store: Store, now: datetime) -> list[Outcome]:  # noqa: ARG002 - as every operation
        """Return them."""
        newest: dict[int, Outcome] = {}
        for outcome in self.outcomes:
            other = newest.get(outcome.job_id)
            if other is None or other.claim < outcome.claim:
                newest[outcome.job_id] = outcome
        return [newest[number] for number in sorted(newest) if store.runs(number, newest[number].claim)]


@attrs.frozen
class Finish:
    """Write outcomes as far as they are current.

    They are written in the order of the jobs: of two that want one unique key back, the older one gets it.
    """

    outcomes: Sequence[Outcome]

    def apply(self, store: Store, now: datetime) -> list[int]:
        """Return the ids of the jobs whose claim was current."""
        current = Current(self.outcomes).apply(store, now)
        for outcome in current:
            if outcome.kind not in ENDINGS and store.live[outcome.job_id].cancel_requested_at is None:
                check_end("scheduled_at", now + _delay(outcome))
        for outcome in current:
            _write(store, store.live[outcome.job_id], outcome, now)
        return [outcome.job_id for outcome in current]


@attrs.frozen
class Rescue:
    """Give back the jobs of workers whose lease has run out, or that are not known."""

    def apply(self, store: Store, now: datetime) -> list[JobState]:
        """Return the lost jobs with their states."""
        expire(store, now)
        for worker in [worker for worker, end in store.leases.items() if end <= now]:
            del store.leases[worker]
        store.forget_periods(now)
        lost = [theirs for worker, theirs in store.running.items() if worker not in store.leases]
        return [_lose(store, store.live[number], now) for number in sorted(chain.from_iterable(lost))]


@attrs.frozen
class Leave:
    """Forget a worker, and release its running jobs; those that run at most once fail."""

    worker: int

    def apply(self, store: Store, now: datetime) -> list[JobState]:
        """Return the released jobs with their states."""
        store.leases.pop(check_worker(self.worker), None)
        theirs = [store.live[number] for number in sorted(store.running.get(self.worker, ()))]
        for record in theirs:
            if record.delivery == "at_most_once" and record.cancel_requested_at is None:
                _lose(store, record, now, "left")
            else:
                _write(store, record, Outcome(job_id=record.id, claim=record.claim, kind="released"), now)
        return [JobState(record.id, record.state) for record in theirs]


def worker_lost(worker: int | None, attempt: int, how: str = "was lost") -> dict[str, Any]:
    """Return the entry for `Job.errors` of a job whose worker is gone. The SQL of `give_back` builds the same."""
    return {"type": "WorkerLost", "message": f"worker {worker} {how}", "traceback": "", "attempt": attempt}


def _write(store: Store, record: Record, outcome: Outcome, now: datetime) -> None:
    if outcome.error is not None:
        record.add_error(outcome.error, now)
    if outcome.progress is not None:
        record.note_progress(outcome.progress, now)
    if outcome.kind not in ENDINGS and record.cancel_requested_at is None:
        if not _superseded(store, record, now, keep=outcome.keep):
            _go_on(store, record, outcome, now)
        return
    record.result = outcome.result
    if record.cancel_requested_at is None:
        record.reason = outcome.reason
    store.end(record, ENDINGS.get(outcome.kind, State.CANCELLED), now, keep=outcome.keep)


def _go_on(store: Store, record: Record, outcome: Outcome, now: datetime) -> None:
    delay = _delay(outcome)
    with store.changing(record):
        record.state = State.SCHEDULED if delay else State.READY
        record.scheduled_at = now + delay
        record.worker = record.started_at = None
        if outcome.kind != "retried":
            record.attempt -= 1
        if outcome.queue is not None:
            record.queue = outcome.queue
        if outcome.priority is not None:
            record.priority = outcome.priority
        if not isinstance(outcome.lock, Unchanged):
            record.lock = outcome.lock
        if outcome.delivery is not None:
            record.delivery = outcome.delivery


def _delay(outcome: Outcome) -> timedelta:
    return min(max(outcome.delay, timedelta(0)), LONGEST_DELAY)


def _superseded(store: Store, record: Record, now: datetime, *, keep: bool = True) -> bool:
    """End a run whose unique key a waiting job has by now; return whether there is one."""
    twin = store.twin(record)
    if twin and not twin.attempt and twin.expires_at and twin.expires_at <= now:
        # It will never run, though nobody has ended it yet.
        twin.reason = EXPIRED
        store.end(twin, State.CANCELLED, now)
        twin = None
    if twin is None:
        return False
    record.reason = f"superseded by job {twin.id}"
    store.end(record, State.CANCELLED, now, keep=keep)
    return True


def _lose(store: Store, record: Record, now: datetime, how: str = "was lost") -> JobState:
    record.add_error(worker_lost(record.worker, record.attempt, how), now)
    record.losses += 1
    if record.cancel_requested_at is not None:
        store.end(record, State.CANCELLED, now)
    elif record.losses >= record.max_losses or record.delivery == "at_most_once":
        store.end(record, State.FAILED, now)
    elif not _superseded(store, record, now):
        with store.changing(record):
            record.state = State.READY
            record.scheduled_at = now
            record.worker = record.started_at = None
    return JobState(record.id, record.state)
