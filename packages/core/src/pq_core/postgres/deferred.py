"""What the database answers to jobs that were to be stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pq_core.answers import Deferred, Status
from pq_core.job import NewJob
from pq_core.unique import already_deferred


def read_deferred(
    jobs: Sequence[NewJob], ids: Sequence[int | None], statuses: Sequence[str | None] | None
) -> list[Deferred]:
    """Return what became of each job.

    Args:
        jobs: as they were to be stored.
        ids: in their order.
        statuses: likewise; None: all are new.

    Raises:
        AlreadyDeferred: one has the status ``taken``; nothing was stored.
    """
    if statuses is None:
        return [Deferred(cast("int", id_)) for id_ in ids]
    if "taken" in statuses:
        place = statuses.index("taken")
        raise already_deferred(jobs[place], ids[place], place if len(jobs) > 1 else None)
    return [Deferred(cast("int", id_), cast("Status", status)) for id_, status in zip(ids, statuses, strict=True)]
