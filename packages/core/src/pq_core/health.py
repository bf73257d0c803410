"""How a store is, and what of that somebody should look into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import attrs

LONG_PIN = timedelta(minutes=5)
"""For so long a transaction may be open before it counts as a finding."""
LONG_WAIT = timedelta(minutes=5)
"""For so long a job may be ready before it counts as a finding."""
UNSERVED_WAIT = timedelta(seconds=30)
"""For so long one may be ready in a queue that nobody serves: workers may just be deployed anew."""
MANY_DEAD_ROWS = 100_000
"""Fewer dead rows slow no fetch that would be noticed."""
FEW_DAYS_AHEAD = 1


@attrs.frozen(kw_only=True)
class Pin:
    """What keeps PostgreSQL from removing dead rows: each fetch walks past those of jobs that have ended meanwhile.

    .. versionadded:: 0.1

    Attributes:
        kind: ``session``, ``prepared transaction``, ``replication slot`` or ``standby``.
        name: of the application, the prepared transaction or the slot; None if it has none.
        pid: of the backend, for ``pg_terminate_backend``; None if there is none.
        role: whose session it is.
        state: of the session, such as ``idle in transaction``, or of the slot.
        age: how long the transaction has been open, by the real clock.
        transactions: how many have begun since.
    """

    kind: str
    name: str | None = None
    pid: int | None = None
    role: str | None = None
    state: str | None = None
    age: timedelta | None = None
    transactions: int | None = None

    @property
    def is_long(self) -> bool:
        """Whether it has been there for so long that somebody should look into it, as far as the role may see."""
        if self.age is None:
            return self.kind != "session"  # of another role's session only the superuser sees how old it is
        return self.age >= LONG_PIN

    @property
    def finding(self) -> str:
        """What is said of it if it is."""
        since = "" if self.age is None else f" for {_short(self.age)}"
        return f"{self} has kept vacuum{since} from removing dead rows"

    def __str__(self) -> str:
        known = [
            repr(self.name) if self.name else "",
            f"of {self.role}" if self.role else "",
            f"(pid {self.pid})" if self.pid else "",
            self.state or "",
        ]
        return " ".join([self.kind, *filter(None, known)])


@attrs.frozen(kw_only=True)
class QueueHealth:
    """A queue with ready jobs.

    .. versionadded:: 0.1

    Attributes:
        name: of the queue.
        since: when the first in line was due. Each priority has a line of its own, in order of ids, and so have the
            jobs in their last life; of all these lines the one is told of whose first has waited longest.
        served: whether a live worker serves the queue.
        paused: whether it is paused, by itself or with all others. The jobs of a paused task count as ready until a
            fetch comes to them.
    """

    name: str
    since: datetime
    served: bool
    paused: bool


@attrs.frozen(kw_only=True)
class Health:
    """How a store is. What it does not have, or the role may not see, is None.

    .. versionadded:: 0.1

    Attributes:
        at: the time by which it was looked at.
        workers: live ones.
        lost_workers: those whose lease has run out and whose jobs nobody has given back yet.
        queues: those with ready jobs, sorted by name.
        live_rows: rows of the table of live jobs, as PostgreSQL estimates them.
        dead_rows: those that vacuum has yet to remove, likewise.
        size: of that table with its indexes, in bytes.
        history_size: of ended jobs, likewise.
        vacuumed_at: when that table was last vacuumed.
        days_ahead: the coming days for which the history has a partition.
        pins: who keeps vacuum from removing dead rows, the worst first, ten at most.
    """

    at: datetime
    workers: int
    lost_workers: int = 0
    queues: Sequence[QueueHealth] = ()
    live_rows: int | None = None
    dead_rows: int | None = None
    size: int | None = None
    history_size: int | None = None
    vacuumed_at: datetime | None = None
    days_ahead: int | None = None
    pins: Sequence[Pin] = ()

    @property
    def findings(self) -> list[str]:
        """What somebody should look into, one sentence each; empty if all is well."""
        return [*self._about_queues(), *self._about_workers(), *self._about_tables()]

    def _about_queues(self) -> Iterator[str]:
        for queue in self.queues:
            waited = self.at - queue.since
            if queue.paused:
                continue
            if not queue.served and waited >= UNSERVED_WAIT:
                yield f"no live worker serves the queue {queue.name!r}, in which a job has waited for {_short(waited)}"
            elif queue.served and waited >= LONG_WAIT:
                yield f"in the queue {queue.name!r} a job has waited for {_short(waited)}: its workers do not keep up"

    def _about_workers(self) -> Iterator[str]:
        if self.lost_workers:
            also = "" if self.workers else ", and no other is alive to give jobs back"
            lost = "1 worker has" if self.lost_workers == 1 else f"{self.lost_workers} workers have"
            yield f"{lost} been lost{also}"

    def _about_tables(self) -> Iterator[str]:
        yield from (pin.finding for pin in self.pins if pin.is_long)
        if self.dead_rows is not None and self.dead_rows > max(MANY_DEAD_ROWS, self.live_rows or 0):
            yield f"the table of live jobs has {self.dead_rows} dead rows beside {self.live_rows} live ones"
        if self.days_ahead is not None and self.days_ahead < FEW_DAYS_AHEAD:
            yield "the history has no partition for tomorrow: no worker has looked after it"


def _short(length: timedelta) -> str:
    """Return a length of time in its two largest units."""
    seconds = max(0, int(length.total_seconds()))
    parts = [seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60]
    named = [f"{number} {unit}" for number, unit in zip(parts, ("d", "h", "min", "s"), strict=True) if number]
    return " ".join(named[:2]) or "0 s"
