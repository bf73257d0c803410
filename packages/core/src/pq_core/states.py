"""The life of a job: all its states, and all that may happen to it.

Two rules. Every change of state that pq makes stands in :data:`TRANSITIONS`, and nowhere does pq make another. An ended
job changes only by being retried, which makes it a live job again, or by being pruned.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a job is in its life.

    .. versionadded:: 0.1
    """

    SCHEDULED = "scheduled"
    """Waits for its `scheduled_at`: deferred for later, or between two attempts."""
    READY = "ready"
    """May run now, as far as is known."""
    BLOCKED = "blocked"
    """Another live job holds its lock, or its task is paused, as fetch found out."""
    RUNNING = "running"
    """Claimed by a worker."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


LIVE = frozenset({State.SCHEDULED, State.READY, State.BLOCKED, State.RUNNING})
WAITING = frozenset({State.SCHEDULED, State.READY, State.BLOCKED})
ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

TRANSITIONS: dict[str, tuple[tuple[State | None, State], ...]] = {
    "defer": ((None, State.READY), (None, State.SCHEDULED)),
    "fall due": ((State.SCHEDULED, State.READY),),
    "find the lock taken": ((State.READY, State.BLOCKED),),
    "find the lock free": ((State.BLOCKED, State.READY),),
    "find the task paused": ((State.READY, State.BLOCKED),),
    "resume the task": ((State.BLOCKED, State.READY),),
    "claim": ((State.READY, State.RUNNING),),
    "succeed": ((State.RUNNING, State.SUCCEEDED),),
    "fail": ((State.RUNNING, State.FAILED),),
    "retry later": ((State.RUNNING, State.SCHEDULED), (State.RUNNING, State.READY)),
    "snooze": ((State.RUNNING, State.SCHEDULED), (State.RUNNING, State.READY)),
    "release": ((State.RUNNING, State.READY), (State.RUNNING, State.SCHEDULED)),
    "lose the worker": ((State.RUNNING, State.READY), (State.RUNNING, State.FAILED)),
    "cancel": (
        (State.SCHEDULED, State.CANCELLED),
        (State.READY, State.CANCELLED),
        (State.BLOCKED, State.CANCELLED),
        (State.RUNNING, State.CANCELLED),
    ),
    "expire": (
        (State.SCHEDULED, State.CANCELLED),
        (State.READY, State.CANCELLED),
        (State.BLOCKED, State.CANCELLED),
    ),
    "reschedule": (
        (State.SCHEDULED, State.READY),
        (State.READY, State.SCHEDULED),
        (State.BLOCKED, State.SCHEDULED),
        (State.BLOCKED, State.READY),
    ),
    "retry": ((State.SUCCEEDED, State.READY), (State.FAILED, State.READY), (State.CANCELLED, State.READY)),
}
"""What may happen to a job, and from which state to which it then goes (None: it was not stored yet)."""
