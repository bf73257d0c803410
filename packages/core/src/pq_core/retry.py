"""Whether a job that failed runs again, when, and where."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from inspect import isclass
from typing import cast

import attrs

from pq_core.delays import Delay, as_wait
from pq_core.errors import InvalidOption, shown
from pq_core.given import as_option, several
from pq_core.job import LONGEST_DELAY, Job, check_moment, overwrite
from pq_core.outcome import UNCHANGED, Unchanged, check_transfer


@attrs.frozen(kw_only=True)
class RetryDecision:
    """Run the job again: after `retry_in`, or at `retry_at`; with neither, at once.

    .. versionadded:: 0.1

    Attributes:
        retry_in: seconds, a timedelta, or a dict such as ``{"minutes": 5}``.
        retry_at: an aware datetime; one in the past means at once.
        queue: the queue to move to; None to stay.
        priority: the priority from now on; None to keep it.
        lock: the lock from now on; None for no lock; UNCHANGED to keep it.

    Raises:
        InvalidOption: a value that no job may have, a negative wait, or both `retry_in` and `retry_at`.
    """

    retry_in: float | timedelta | Delay | None = None
    retry_at: datetime | None = None
    queue: str | None = None
    priority: int | None = None
    lock: str | Unchanged | None = UNCHANGED

    def __attrs_post_init__(self) -> None:
        if self.retry_in is not None and self.retry_at is not None:
            raise InvalidOption(
                f"retry_in {shown(self.retry_in)} and retry_at {shown(self.retry_at)} exclude each other; give one"
            )
        with as_option():
            if self.retry_in is not None:
                as_wait(self.retry_in, "retry_in")
            if self.retry_at is not None:
                check_moment("retry_at", self.retry_at)
            queue, priority, lock = check_transfer(self.queue, self.priority, self.lock)
            overwrite(self, queue=queue, priority=priority, lock=lock)

    def delay(self, now: datetime) -> timedelta:
        """Return how long to wait, counted from `now` (aware); never negative."""
        if self.retry_at is not None:
            return min(max(self.retry_at - now, timedelta(0)), LONGEST_DELAY)
        return timedelta(0) if self.retry_in is None else as_wait(self.retry_in, "retry_in")


class BaseRetryStrategy:
    """To subclass: define `get_schedule_in`, or `get_retry_decision` for control of queue, priority and lock.

    pq calls `get_retry_decision` with its arguments by keyword. An error that a strategy raises ends the job as failed.

    .. versionadded:: 0.1
    """

    def get_schedule_in(self, attempts: int) -> float | timedelta | Delay | None:
        """Return how long to wait before the next run (a number means seconds), or None to give up.

        Args:
            attempts: runs so far, the failed one included: 1 after the first.
        """
        raise NotImplementedError(f"{type(self).__qualname__} defines neither get_schedule_in nor get_retry_decision")

    def get_retry_decision(self, exception: BaseException, job: Job) -> RetryDecision | None:  # noqa: ARG002 - for subclasses
        """Return how to run `job` again after `exception`, or None to give up."""
        wait = self.get_schedule_in(attempts=job.attempt)
        return None if wait is None else RetryDecision(retry_in=wait)


def _exceptions(
    given: Iterable[type[BaseException]] | type[BaseException] | None,
) -> tuple[type[BaseException], ...] | None:
    if given is None:
        return None
    wanted = "a class of exceptions or a list of them; None means all"
    kinds = (given,) if isinstance(given, type) else several("retry_exceptions", given, wanted)
    for kind in kinds:
        _check_exception(kind)
    return kinds


@attrs.frozen(kw_only=True)
class RetryStrategy(BaseRetryStrategy):
    """Wait ``wait + linear_wait * n + exponential_wait ** (n + 1)`` seconds after run n, and jitter, up to `max_wait`.

    .. versionadded:: 0.1

    Attributes:
        max_attempts: runs in all, the first included; None means without end.
        wait: seconds before each retry.
        linear_wait: seconds more with each run.
        exponential_wait: base of a wait that grows by this factor with each run; 0 means none.
        jitter: up to this fraction of the wait, from 0 to 1, is added at random, so that jobs that failed together do
            not come back together.
        max_wait: longest wait in seconds, jitter included; None means a thousand years.
        retry_exceptions: a class of exceptions, or several: only these are retried; None means all.

    Raises:
        InvalidOption: a value out of range.
    """

    max_attempts: int | None = None
    wait: float = 0
    linear_wait: float = 0
    exponential_wait: float = 0
    jitter: float = 0.0
    max_wait: float | None = None
    retry_exceptions: tuple[type[BaseException], ...] | None = attrs.field(default=None, converter=_exceptions)

    def __attrs_post_init__(self) -> None:
        if self.max_attempts is not None:
            _check_runs("max_attempts", self.max_attempts)
        for name in ("wait", "linear_wait", "exponential_wait", "jitter"):
            _check_seconds(name, getattr(self, name))
        if self.max_wait is not None:
            _check_seconds("max_wait", self.max_wait)
        if self.jitter > 1:
            raise InvalidOption(f"jitter {shown(self.jitter)} is not from 0 to 1: it is a fraction of the wait")

    def get_schedule_in(self, attempts: int) -> float | None:
        """Return the seconds to wait after run number `attempts`, or None after the last."""
        if self.max_attempts is not None and attempts >= self.max_attempts:
            return None
        longest = LONGEST_DELAY.total_seconds() if self.max_wait is None else self.max_wait
        try:
            seconds = self.wait + self.linear_wait * attempts + float(self.exponential_wait) ** (attempts + 1)
        except OverflowError:
            return longest
        if seconds >= longest:
            return longest
        return min(seconds + _part(seconds * self.jitter), longest)

    def get_retry_decision(self, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return the decision for the next run, or None: another exception, or no run left."""
        if self.retry_exceptions is not None and not isinstance(exception, self.retry_exceptions):
            return None
        return super().get_retry_decision(exception, job)


def _part(seconds: float) -> float:
    if not seconds:
        return seconds
    import random  # Brings hashlib, which an app that only defers does not need.

    return seconds * random.random()


def strategy(retry: bool | int | BaseRetryStrategy | None) -> BaseRetryStrategy | None:  # noqa: FBT001 - the option's own form
    """Return the strategy that a task's option `retry` means: None or False never, True for ever, n for n runs in all.

    Raises:
        InvalidOption: none of these, or a subclass that decides nothing.
    """
    if retry is None or retry is False:
        return None
    if retry is True:
        return RetryStrategy()
    if isinstance(retry, BaseRetryStrategy):
        _check_decides(type(retry))
        return retry
    if isinstance(retry, type):
        raise InvalidOption(f"retry {shown(cast('object', retry))} is a class; give an instance of it")
    _check_runs("retry", retry)
    return RetryStrategy(max_attempts=retry)


def _check_decides(kind: type[BaseRetryStrategy]) -> None:
    if (
        kind.get_schedule_in is BaseRetryStrategy.get_schedule_in
        and kind.get_retry_decision is BaseRetryStrategy.get_retry_decision
    ):
        raise InvalidOption(f"retry: {kind.__qualname__} must define get_schedule_in or get_retry_decision")


def _check_runs(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidOption(
            f"{name} {shown(value)} is not a number of runs: a whole number from 1; to never retry, use False"
        )


def _check_seconds(name: str, value: object) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= cast("float", value) <= sys.float_info.max:
        raise InvalidOption(f"{name} {shown(value)} is not a finite number from 0")


def _check_exception(value: object) -> None:
    if not (isclass(value) and issubclass(value, BaseException)):
        raise InvalidOption(f"retry_exceptions holds {shown(value)}, which is not a class of exceptions")
