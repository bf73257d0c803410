"""Reports: what is known of workers, of where a job stands, of how the queues are. Nothing here changes anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import attrs

from pq_core.answers import MOST_AHEAD, Standing
from pq_core.given import check_id
from pq_core.health import Health, QueueHealth
from pq_core.memory.record import Record
from pq_core.memory.store import Store
from pq_core.payload import dump, load
from pq_core.states import State
from pq_core.worker_info import WorkerInfo, WorkerStatus


@attrs.frozen
class Workers:
    """Look at every worker."""

    def apply(self, store: Store, now: datetime) -> list[WorkerStatus]:
        """Return those that are known, in the order in which they came."""
        found = [
            WorkerStatus(
                info=_copy(seen.info),
                started_at=seen.since,
                heartbeat_at=seen.heard,
                lease_until=lease,
                alive=lease > now,
                running=len(store.running.get(number, ())),
            )
            for number, lease in store.leases.items()
            for seen in [store.seen[number]]
        ]
        return sorted(found, key=lambda status: (status.started_at, status.info.id))


@attrs.frozen
class Stand:
    """Look where a job stands."""

    job_id: int

    def apply(self, store: Store, now: datetime) -> Standing:
        """Return that, or of a job that is not live the time only."""
        record = store.live.get(check_id(self.job_id))
        if record is None:
            return Standing(at=now)
        lock = None if record.lock is None else store.locks[record.lock]
        first = lock.members.first() if lock else None
        ahead = sum(_is_before(other, record) for other in store.live.values())
        return Standing(
            at=now,
            holder=lock.running if lock and lock.running != record.id else None,
            before=first[1] if first and first[1] != record.id else None,
            ahead=min(ahead, MOST_AHEAD),
        )


@attrs.frozen
class Examine:
    """Look at queues and workers."""

    def apply(self, store: Store, now: datetime) -> Health:
        """Return how they are."""
        since: dict[str, datetime] = {}
        for record in _first_in_line(store):
            since[record.queue] = min(record.scheduled_at, since.get(record.queue, record.scheduled_at))
        alive = Counter(lease > now for lease in store.leases.values())
        served = [store.seen[number].info.queues for number, lease in store.leases.items() if lease > now]
        queues = [
            QueueHealth(
                name=name,
                since=since[name],
                served=any(queues is None or name in queues for queues in served),
                paused=store.all_paused or name in store.paused_queues,
            )
            for name in sorted(since)
        ]
        return Health(at=now, workers=alive[True], lost_workers=alive[False], queues=queues)


def _first_in_line(store: Store) -> Iterable[Record]:
    """Return, of each queue and priority, the first ready job, and the first in its last life."""
    first: dict[tuple[str, int, bool], Record] = {}
    for record in store.live.values():
        line = (record.queue, record.priority, record.last_life)
        if record.state is State.READY and (line not in first or record.id < first[line].id):
            first[line] = record
    return first.values()


def _is_before(other: Record, record: Record) -> bool:
    return other.state is State.READY and other.queue == record.queue and other.rank < record.rank


def _copy(info: WorkerInfo) -> WorkerInfo:
    return attrs.evolve(info, details=load(dump(dict(info.details), "details")))
