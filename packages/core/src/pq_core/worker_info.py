"""Who a worker is, and what a store knows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from pq_core.errors import InvalidJob
from pq_core.given import as_option, check_queues, check_worker
from pq_core.job import check_name, overwrite
from pq_core.payload import NO_NAMES, check_mapping


@attrs.frozen(kw_only=True)
class WorkerInfo:
    """Who a worker is. The id is a random 63-bit number, so that it needs no trip to the database.

    Raises:
        InvalidOption: a value that cannot be stored.

    Attributes:
        queues: the queues it serves; None means every queue.
        details: what helps an operator to find it: host, process id, version, concurrency.
    """

    id: int
    name: str = "worker"
    queues: Sequence[str] | None = None
    details: Mapping[str, Any] = attrs.field(factory=NO_NAMES)

    def __attrs_post_init__(self) -> None:
        overwrite(self, id=check_worker(self.id), queues=check_queues(self.queues))
        with as_option():
            overwrite(self, name=check_name("name", self.name))
            check_mapping(self.details, "details", error=InvalidJob)


@attrs.frozen(kw_only=True)
class WorkerStatus:
    """A worker that the store knows.

    .. versionadded:: 0.1

    Attributes:
        info: what it said of itself when it made itself known.
        started_at: when that was.
        heartbeat_at: when it was last heard of.
        lease_until: when it counts as dead, unless it is heard of before.
        alive: whether that time has not come.
        running: how many jobs it runs, or holds to run next.
    """

    info: WorkerInfo
    started_at: datetime
    heartbeat_at: datetime
    lease_until: datetime
    alive: bool
    running: int = 0
