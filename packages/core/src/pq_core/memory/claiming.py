"""Claiming: workers make themselves known, and take the jobs that they may run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from heapq import heapify, heappop, heapreplace

import attrs

from pq_core.answers import Fetched
from pq_core.errors import InvalidJob, LeaseLost
from pq_core.given import check_lease, check_limit, check_queues, check_worker
from pq_core.job import MIN_PRIORITY
from pq_core.memory.expiring import expire
from pq_core.memory.record import Record
from pq_core.memory.store import Rank, Store
from pq_core.outcome import Progress, newest
from pq_core.payload import dump_mapping, load
from pq_core.states import State
from pq_core.worker_info import WorkerInfo

LAST_RANK = (-MIN_PRIORITY + 1, 0)
"""Where no job stands: behind all."""


@attrs.frozen
class Heartbeat:
    """Make a worker known, or prolong its lease; note what its runs say of their progress."""

    worker: WorkerInfo
    lease: timedelta
    progress: Sequence[Progress] = ()

    def apply(self, store: Store, now: datetime) -> list[int]:
        """Return the ids of its running jobs that were asked to stop."""
        details = load(dump_mapping(self.worker.details, "details", error=InvalidJob))
        store.hear(attrs.evolve(self.worker, details=details), check_lease(self.lease), now)
        for said in newest(self.progress):
            if store.runs(said.job_id, said.claim):
                store.live[said.job_id].note_progress(said.text, now)
        theirs = store.running.get(self.worker.id, ())
        return sorted(number for number in theirs if store.live[number].cancel_requested_at is not None)


@attrs.frozen
class Fetch:
    """Claim up to `limit` runnable jobs for `worker`."""

    worker: int
    queues: Sequence[str] | None
    limit: int

    def apply(self, store: Store, now: datetime) -> Fetched:
        """Return what the worker got."""
        queues, limit = check_queues(self.queues), check_limit(self.limit, 1)
        self._check(store, now)
        expire(store, now)
        due = _promote(store, now)
        names = {queue for queue, _ in store.ready} if queues is None else set(queues)
        open_queues: set[str] = set() if store.all_paused else names - store.paused_queues
        running = [store.live[number] for number in store.running.get(self.worker, ())]
        alone = None if running else self._claim_last_life(store, open_queues, now)
        claimed, again = [alone] if alone else [], False
        if not alone and not any(record.last_life for record in running):
            claimed, again = self._claim(store, open_queues, limit, _share(limit, len(names)), now)
        store.rung.update(record.queue for record in due if record.state is State.READY)
        upcoming = store.scheduled.first()
        return Fetched(
            jobs=[record.as_job() for record in claimed],
            again=again,
            solo=bool(running) and any((queue, True) in store.ready for queue in open_queues),
            next_in=(upcoming[0] - now).total_seconds() if upcoming else None,
        )

    def _check(self, store: Store, now: datetime) -> None:
        lease = store.leases.get(check_worker(self.worker))
        if lease is None or lease <= now:
            raise LeaseLost(
                f"worker {self.worker} has no lease"
                + (f" since {lease.isoformat()}" if lease else "")
                + "; it must send a heartbeat before it may fetch"
            )

    def _claim_last_life(self, store: Store, queues: Iterable[str], now: datetime) -> Record | None:
        lines = [line for queue in queues if (line := store.ready.get((queue, True)))]
        while places := [place for line in lines if (place := line.first())]:
            record = store.live[min(places)[1]]
            if _judge(store, record):
                store.claim(record, self.worker, now)
                return record
        return None

    def _claim(
        self, store: Store, queues: Iterable[str], limit: int, share: int, now: datetime
    ) -> tuple[list[Record], bool]:
        """Return the jobs claimed, and whether the share of a queue left a runnable one that would have come before."""
        claimed: list[Record] = []
        left = dict.fromkeys(queues, share)
        heads = _heads(store, left)
        while heads and len(claimed) < limit:
            place, queue = heads[0]
            record = store.live[place[1]]
            if _judge(store, record):
                store.claim(record, self.worker, now)
                claimed.append(record)
                left[queue] -= 1
            elif store.holds(record.task):
                # A mutex job that waited behind it may be the first of all now.
                heads = _heads(store, left)
                continue
            following = _first(store, queue) if left[queue] else None
            if following:
                heapreplace(heads, (following, queue))
            else:
                heappop(heads)
        last = claimed[-1].rank if len(claimed) == limit else LAST_RANK
        return claimed, any(_has_runnable(store, queue, last) for queue, more in left.items() if not more)


def _promote(store: Store, now: datetime) -> list[Record]:
    due: list[Record] = []
    rung = set(store.rung)
    while (place := store.scheduled.first()) and place[0] <= now:
        record = store.live[place[1]]
        store.move(record, State.READY)
        due.append(record)
    # Whom to wake is known when it is known which of them are claimed.
    store.rung &= rung
    return due


def _share(limit: int, queues: int) -> int:
    return max(1, -(-2 * limit // queues)) if queues else 0


def _heads(store: Store, left: Mapping[str, int]) -> list[tuple[Rank, str]]:
    """Return as a heap the first ready job of each queue of which some may still be claimed."""
    heads = [(place, queue) for queue, more in left.items() if more and (place := _first(store, queue))]
    heapify(heads)
    return heads


def _first(store: Store, queue: str) -> Rank | None:
    line = store.ready.get((queue, False))
    return line.first() if line else None


def _judge(store: Store, record: Record) -> bool:
    """Return whether a ready job may run; if not, call it blocked."""
    if store.holds(record.task):
        store.move(record, State.BLOCKED)
        store.settle()
        return False
    if record.lock is None or store.locks[record.lock].admits(record):
        return True
    store.move(record, State.BLOCKED)
    return False


def _has_runnable(store: Store, queue: str, before: Rank) -> bool:
    while (place := _first(store, queue)) and place < before:
        record = store.live[place[1]]
        if _judge(store, record) or store.holds(record.task):
            return True
    return False
