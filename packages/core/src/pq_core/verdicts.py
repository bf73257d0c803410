"""What a run may say becomes of its job: run again, later, never, or have failed for good.

A verdict is raised, by the methods of the job's context, and ends the run. It is no `Exception`: so the `except
Exception` of a task, or of a middleware, lets it through, and `finally` sees it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

from pq_core.delays import Delay, as_wait
from pq_core.errors import InvalidOption, shown
from pq_core.given import as_option
from pq_core.job import check_moment
from pq_core.outcome import UNCHANGED, Unchanged
from pq_core.retry import RetryDecision


class Verdict(BaseException):
    """What a run has decided of its job.

    A middleware that takes every error for a failure of the task should let this through.

    .. versionadded:: 0.1
    """


class Retry(Verdict):
    """Run the job again; this attempt is spent.

    Attributes:
        decision: when, and where.
        why: for the entry in the job's errors.
    """

    def __init__(self, decision: RetryDecision, why: str) -> None:
        super().__init__(decision, why)
        self.decision = decision
        self.why = why

    def __str__(self) -> str:
        return self.why


class Snooze(Verdict):
    """Run the job again later, as if it had not run now.

    Attributes:
        decision: when.
    """

    def __init__(self, decision: RetryDecision) -> None:
        super().__init__(decision)
        self.decision = decision

    def __str__(self) -> str:
        return "the job snoozes"


class Fail(Verdict):
    """End the job as failed, whatever its retry strategy would say.

    Attributes:
        why: the message of its error.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Cancel(Verdict):
    """End the job as cancelled.

    Attributes:
        why: the job's `reason`.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def verdict_in(error: BaseException) -> Verdict | None:
    """Return the verdict that `error` is, or that it holds alone, as a group of exceptions of one does; or None."""
    found: Any = error
    while isinstance(found, BaseExceptionGroup) and len(cast("Any", found).exceptions) == 1:
        found = cast("Any", found).exceptions[0]
    return found if isinstance(found, Verdict) else None


def decision(
    schedule_in: float | timedelta | Delay | None,
    schedule_at: datetime | None,
    *,
    queue: str | None = None,
    priority: int | None = None,
    lock: str | Unchanged | None = UNCHANGED,
) -> RetryDecision:
    """Return when and where a job runs again; without a time, at once.

    Args:
        schedule_in: seconds, a timedelta, or a dict such as ``{"minutes": 5}``.
        schedule_at: an aware datetime; one in the past means at once.
        queue: the queue to move to; None to stay.
        priority: from now on; None to keep it.
        lock: from now on; None for none; UNCHANGED to keep it.

    Raises:
        InvalidOption: a value that no job may have, a negative wait, or two times.
    """
    if schedule_in is not None and schedule_at is not None:
        both = f"schedule_in {shown(schedule_in)} and schedule_at {shown(schedule_at)}"
        raise InvalidOption(f"{both} exclude each other; give one of them")
    with as_option():
        wait = None if schedule_in is None else as_wait(schedule_in, "schedule_in")
        if schedule_at is not None:
            check_moment("schedule_at", schedule_at)
    return RetryDecision(retry_in=wait, retry_at=schedule_at, queue=queue, priority=priority, lock=lock)


def words(what: str, value: object, *, most: int) -> str:
    """Return a text that a task gives, as far as it can be stored.

    Raises:
        InvalidOption: it is none.
    """
    if not isinstance(value, str):
        raise InvalidOption(f"{what} {shown(value)} is not a text")
    return value[:most]
