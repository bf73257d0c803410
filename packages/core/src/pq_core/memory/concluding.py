"""Concluding: what a transaction has deferred, and the outcomes that it has written, come true together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs

from pq_core.errors import StoreBusy
from pq_core.memory.deferring import Commit
from pq_core.memory.ending import Finish
from pq_core.memory.store import Store
from pq_core.outcome import Outcome
from pq_core.states import State


@attrs.frozen
class Current:
    """Say of which outcomes the claim is current."""

    outcomes: Sequence[Outcome]

    def apply(self, store: Store, now: datetime) -> list[int]:  # noqa: ARG002 - as every operation
        """Return the ids of their jobs."""
        found = ((store.live.get(outcome.job_id), outcome.claim) for outcome in self.outcomes)
        return sorted(
            {record.id for record, claim in found if record and record.state is State.RUNNING and record.claim == claim}
        )


@attrs.frozen
class Conclude:
    """Commit a transaction that has written outcomes.

    A database lets nobody change a job in between; here somebody may have.

    Attributes:
        commit: of the jobs that it has deferred.
        outcomes: what it has written.
        told: the ids of the jobs of which it was told that they were current.
    """

    commit: Commit
    outcomes: Sequence[Outcome]
    told: Sequence[int]

    def apply(self, store: Store, now: datetime) -> list[int]:
        """Return the ids of the jobs whose claim was current."""
        if Current(self.outcomes).apply(store, now) != sorted(self.told):
            raise StoreBusy("a job that ends in this transaction was taken from it meanwhile; it is rolled back")
        self.commit.apply(store, now)
        return Finish(self.outcomes).apply(store, now)
