"""What a connector answers: of jobs that were stored, claimed or changed, of queues and pauses, of its schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

import attrs

from pq_core.job import Job
from pq_core.states import State

Status = Literal["new", "skipped", "replaced"]
"""What became of a job that was to be stored."""


@attrs.frozen
class Deferred:
    """What became of one `NewJob`.

    Attributes:
        id: of the job; of the one that was there before, unless the job is new.
        status: ``new``; ``skipped`` or ``replaced`` if its unique key was taken.
    """

    id: int
    status: Status = "new"


@attrs.frozen(kw_only=True)
class Fetched:
    """What a worker got.

    Attributes:
        jobs: claimed for it, the first to run first.
        again: more may be had at once; a worker with free slots fetches again without waiting.
        solo: a ready job in its last life was passed over, because this worker runs something.
        next_in: seconds until the next scheduled job of any queue falls due, or None if there is none.
        set_aside: how many jobs were found to wait for a lock or the end of a pause: no fetch comes to them again.
    """

    jobs: Sequence[Job]
    again: bool = False
    solo: bool = False
    next_in: float | None = None
    set_aside: int = 0


class ToStop(list[int]):
    """Ids of running jobs that were asked to stop, from a store that says more with them.

    Attributes:
        lapses_in: seconds until the first lease of another worker runs out, unless it is prolonged; not above 0 if it
            has; infinity if there is no other.
        others: how many other workers there are.

    .. versionadded:: 0.1
    """

    lapses_in: float = float("inf")
    others: int = 0


@attrs.frozen
class JobState:
    """A job that a verb has changed, and its state after that."""

    id: int
    state: State


@attrs.frozen(kw_only=True)
class Standing:
    """Where a live job stands among others. Of a job that has ended, or never was, only the time is told.

    .. versionadded:: 0.1

    Attributes:
        at: the time of the store.
        holder: id of another job that runs under its lock.
        before: id of the first live job of its lock, by priority, then id, unless that is the job itself.
        ahead: ready jobs of its queue that come before it by priority, then id; counted up to `MOST_AHEAD`.
    """

    at: datetime
    holder: int | None = None
    before: int | None = None
    ahead: int = 0


MOST_AHEAD = 10_000
"""Jobs before a job that are counted at most."""


@attrs.frozen(kw_only=True)
class QueueInfo:
    """One queue: how many of its live jobs are in which state, and whether it is paused."""

    name: str
    paused: bool
    counts: Mapping[State, int]


PauseKind = Literal["queue", "task", "all"]
"""What a pause holds: the jobs of a queue, those of a task, or all."""


@attrs.frozen
class Pause:
    """What is not fetched for now, and since when.

    .. versionadded:: 0.1

    Attributes:
        name: of the queue or the task; empty if all is paused.
    """

    kind: PauseKind
    name: str
    paused_at: datetime


@attrs.frozen(kw_only=True)
class SchemaStatus:
    """What is installed. Up to date if `missing` and `outdated` are empty.

    Attributes:
        version: number of the newest migration applied, 0 if pq is not installed.
        missing: names of the migrations to apply.
        outdated: names of the functions to create anew.
    """

    version: int
    missing: Sequence[str] = ()
    outdated: Sequence[str] = ()

    @property
    def current(self) -> bool:
        """Whether there is nothing to apply."""
        return not self.missing and not self.outdated
