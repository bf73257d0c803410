"""Reviving: ended jobs that live again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs

from pq_core.answers import JobState
from pq_core.errors import StoreBusy
from pq_core.given import check_ids
from pq_core.memory.record import Record
from pq_core.memory.store import Store
from pq_core.states import State


@attrs.frozen
class Retry:
    """Make ended jobs live again, but for those whose unique key is taken."""

    ids: Sequence[int]

    def apply(self, store: Store, now: datetime) -> list[JobState]:
        """Return the jobs that live again with their states."""
        found = [record for number in sorted(set(check_ids(self.ids))) if (record := store.ended.get(number))]
        for record in found:
            if record.unique_key is not None and (record.unique_scope, record.unique_key) in store.promised:
                raise StoreBusy(
                    f"unique_key {record.unique_key!r} of job {record.id} is in the hands of a transaction that is "
                    "open; in memory nobody can wait for its end: end it first"
                )
        back: list[JobState] = []
        for record in found:
            if store.twin(record) is None:
                _revive(store, record, now)
                back.append(JobState(record.id, record.state))
        return back


def _revive(store: Store, record: Record, now: datetime) -> None:
    del store.ended[record.id]
    record.state = State.READY
    record.attempt = record.losses = 0
    record.scheduled_at = now
    record.result = record.progress = record.reason = record.worker = record.expires_at = None
    record.started_at = record.finished_at = record.cancel_requested_at = None
    store.insert(record)
