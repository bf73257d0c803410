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


@attrs.frozen
class Conclude:
    """Commit a transaction that has written outcomes.

    A database lets nobody change a job in between; here somebody may have.

    Attributes:
        commit: of the jobs that it has deferred.
        outcomes: what it has written, and was told to be current; one of a job.
    """

    commit: Commit
    outcomes: Sequence[Outcome]

    def apply(self, store: Store, now: datetime) -> list[int]:
        """Return the ids of the jobs."""
        if not all(store.runs(outcome.job_id, outcome.claim) for outcome in self.outcomes):
            raise StoreBusy("a job that ends in this transaction was taken from it meanwhile; it is rolled back")
        self.commit.apply(store, now)
        return Finish(self.outcomes).apply(store, now)
