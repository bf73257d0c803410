"""Listing: what readers see of jobs and queues. Nothing here changes anything."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

import attrs

from pq_core.answers import Pause, QueueInfo
from pq_core.given import check_id, check_limit
from pq_core.job import Job
from pq_core.memory.fitting import Sieve
from pq_core.memory.record import Record
from pq_core.memory.store import Store
from pq_core.selection import JobFilter
from pq_core.states import LIVE, State


@attrs.frozen
class Find:
    """Look up to `limit` jobs up, with ids above `after`."""

    which: JobFilter
    limit: int
    after: int

    def apply(self, store: Store, now: datetime) -> list[Job]:  # noqa: ARG002 - as every operation
        """Return them in order of id."""
        limit, after = check_limit(self.limit), check_id(self.after, "after")
        ids = store.all_ids() if self.which.ids is None else sorted(set(self.which.ids))
        fitting = _fitting(store, self.which, ids[bisect_right(ids, after) :])
        return [record.as_job() for record in islice(fitting, limit)]


@attrs.frozen
class Count:
    """Count the jobs that fit."""

    which: JobFilter

    def apply(self, store: Store, now: datetime) -> dict[State, int]:  # noqa: ARG002 - as every operation
        """Return how many are in each state."""
        counts = dict.fromkeys(State, 0)
        ids = [*store.live, *store.ended] if self.which.ids is None else set(self.which.ids)
        for record in _fitting(store, self.which, ids):
            counts[record.state] += 1
        return counts


@attrs.frozen
class Queues:
    """Look at every queue."""

    def apply(self, store: Store, now: datetime) -> list[QueueInfo]:  # noqa: ARG002 - as every operation
        """Return those that have live jobs or are paused, sorted by name."""
        counts: dict[str, dict[State, int]] = {}
        paused = store.paused_queues
        for record in store.live.values():
            counts.setdefault(record.queue, _none())[record.state] += 1
        return [
            QueueInfo(name=name, paused=name in paused, counts=counts.get(name) or _none())
            for name in sorted({*counts, *paused})
        ]


@attrs.frozen
class Pauses:
    """Look at what is paused."""

    def apply(self, store: Store, now: datetime) -> list[Pause]:  # noqa: ARG002 - as every operation
        """Return it sorted by kind, then name."""
        return [Pause(kind, name, since) for (kind, name), since in sorted(store.pauses.items())]


@attrs.frozen
class Everything:
    """Look at all jobs."""

    def apply(self, store: Store, now: datetime) -> dict[int, Job]:  # noqa: ARG002 - as every operation
        """Return them by id, in order of id."""
        return {record.id: record.as_job() for record in _fitting(store, JobFilter(), store.all_ids())}


def _none() -> dict[State, int]:
    return {state: 0 for state in State if state in LIVE}


def _fitting(store: Store, which: JobFilter, ids: Iterable[int]) -> Iterator[Record]:
    sieve = Sieve.of(which)
    for number in ids:
        record = store.get(number)
        if record is not None and sieve.lets_through(record):
            yield record
