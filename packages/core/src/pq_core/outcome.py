"""What became of one run of a job: decided by the executor, written by the writer, many at a time."""

from __future__ import annotations

import traceback
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum
from typing import Any, Final, Literal

import attrs

from pq_core.errors import InvalidJob, InvalidOption, InvalidResult
from pq_core.fact import fact_of, stand_for_defaults
from pq_core.job import Delivery, Job, check_delay, check_lock, check_name, check_priority
from pq_core.payload import clean_text, dump

MAX_MESSAGE = 8_000
"""Characters kept of an error's message, and of its traceback (the end of it)."""

MAX_RESULT = 1_000_000
"""Bytes of JSON that a result may have, unless the worker says otherwise: results are read with their jobs."""
BYTES_PER_CHARACTER = 4
"""At most, in UTF-8."""

Kind = Literal["succeeded", "failed", "retried", "snoozed", "cancelled", "released"]


class Unchanged(Enum):
    """The type of :data:`UNCHANGED`."""

    UNCHANGED = "unchanged"

    def __repr__(self) -> str:
        return self.name


UNCHANGED: Final = Unchanged.UNCHANGED
"""Says that a field keeps its value, where None is a value of its own."""


def check_transfer(
    queue: str | None, priority: int | None, lock: str | Unchanged | None
) -> tuple[str | None, int | None, str | Unchanged | None]:
    """Return, as plain values, to which queue, priority and lock a job is moved; queue and priority None: it stays.

    Raises:
        InvalidJob: a value that no job may have.
    """
    return (
        None if queue is None else check_name("queue", queue),
        None if priority is None else check_priority(priority),
        lock if lock is None or lock is UNCHANGED else check_lock(lock),
    )


@attrs.frozen(kw_only=True, slots=False)  # as for a job
class Outcome:
    """The end of one run, fenced by (job id, claim): if that claim is not current any more, it changes nothing.

    Made by the named constructors; everything in it can be written without an error. Delays count from the moment at
    which the outcome is written.

    .. versionadded:: 0.1
    """

    job_id: int
    claim: int
    kind: Kind
    delay: timedelta = timedelta(0)
    queue: str | None = None
    priority: int | None = None
    lock: str | Unchanged | None = UNCHANGED
    error: dict[str, Any] | None = None
    result: str | None = None
    """JSON text, or None if there is no result."""
    reason: str | None = None
    keep: bool = True
    """Whether an ended job stays in `finished_jobs`."""
    delivery: Delivery | None = None
    """What the death of a worker means for a job that goes on, from now on; None: as before."""
    progress: str | None = None
    """JSON text of what the run said last of its progress, as in `Progress`; None if it said nothing."""
    written: bool | None = None
    """Whether the job's own transaction has written it; False if it came too late. None: it is to be written."""

    @classmethod
    def succeeded(cls, job: Job, result: Any = None, *, keep: bool = True, most: int | None = None) -> Outcome:
        """The task returned `result`.

        Raises:
            InvalidResult: JSON cannot carry `result`, or its text has more than `most` bytes.
        """
        fields: dict[str, Any] = {"job_id": job.id, "claim": job.claim, "kind": "succeeded", "keep": keep}
        if result is not None:
            fields["result"] = _result_text(result, most)
        return fact_of(cls, fields)

    @classmethod
    def failed(cls, job: Job, error: BaseException, *, keep: bool = True) -> Outcome:
        """The task raised `error`, and will not run again."""
        return cls(job_id=job.id, claim=job.claim, kind="failed", error=describe(error, job.attempt), keep=keep)

    @classmethod
    def retried(
        cls,
        job: Job,
        error: BaseException,
        *,
        delay: timedelta = timedelta(0),
        queue: str | None = None,
        priority: int | None = None,
        lock: str | Unchanged | None = UNCHANGED,
    ) -> Outcome:
        """The task raised `error`, and runs again after `delay`, where it is told to.

        Raises:
            InvalidOption: the delay, queue, priority or lock is not one that a job may have.
        """
        with _naming(job):
            check_delay("delay", delay)
            queue, priority, lock = check_transfer(queue, priority, lock)
        return cls(
            job_id=job.id,
            claim=job.claim,
            kind="retried",
            delay=delay,
            queue=queue,
            priority=priority,
            lock=lock,
            error=describe(error, job.attempt),
        )

    @classmethod
    def snoozed(cls, job: Job, delay: timedelta) -> Outcome:
        """The task wants to run later; no attempt is spent.

        Raises:
            InvalidOption: the delay is negative, or longer than a thousand years.
        """
        with _naming(job):
            check_delay("delay", delay)
        return cls(job_id=job.id, claim=job.claim, kind="snoozed", delay=delay)

    @classmethod
    def cancelled(cls, job: Job, reason: str, *, keep: bool = True) -> Outcome:
        """The job was stopped for `reason`, and will not run again."""
        return cls(job_id=job.id, claim=job.claim, kind="cancelled", reason=clean_text(reason), keep=keep)

    @classmethod
    def released(cls, job: Job, delay: timedelta = timedelta(0)) -> Outcome:
        """The worker gives the job back unrun, or half run; no attempt is spent.

        Raises:
            InvalidOption: the delay is negative, or longer than a thousand years.
        """
        with _naming(job):
            check_delay("delay", delay)
        return cls(job_id=job.id, claim=job.claim, kind="released", delay=delay)


stand_for_defaults(Outcome)


@attrs.frozen(kw_only=True)
class Progress:
    """How far a run says it is, fenced as an `Outcome` is. Made by `of`; everything in it can be written.

    .. versionadded:: 0.1

    Attributes:
        text: JSON text of an object; the store adds ``at``, the time at which it is written.
    """

    job_id: int
    claim: int
    text: str

    @classmethod
    def of(cls, job: Job, said: Mapping[str, Any]) -> Progress:
        """Take what `JobContext.progress` has put together: ``fraction`` and ``message``.

        Raises:
            InvalidOption: JSON cannot carry it.
        """
        with _naming(job):
            return cls(job_id=job.id, claim=job.claim, text=dump({**said}, "progress", error=InvalidJob))


def newest(said: Iterable[Progress]) -> list[Progress]:
    """Return one word a job, in order of ids: the last of the newest claim."""
    latest: dict[int, Progress] = {}
    for word in said:
        other = latest.get(word.job_id)
        if other is None or other.claim <= word.claim:
            latest[word.job_id] = word
    return [latest[job_id] for job_id in sorted(latest)]


def describe(error: BaseException, attempt: int) -> dict[str, Any]:
    """Return the entry for `Job.errors`: ``type``, ``message``, ``traceback``, ``attempt``; the store adds ``at``."""
    try:
        message = str(error)
    except Exception as broken:  # noqa: BLE001 - the user's __str__ may raise anything, and must not cost the outcome
        message = f"(no message: {type(broken).__name__} in __str__)"
    try:
        lines = "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - likewise: format_exception calls __str__, __notes__ and __cause__
        lines = ""
    return {
        "type": clean_text(f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")),
        "message": clean_text(message)[:MAX_MESSAGE],
        "traceback": clean_text(lines)[-MAX_MESSAGE:],
        "attempt": attempt,
    }


@contextmanager
def _naming(job: Job) -> Generator[None]:
    try:
        yield
    except InvalidJob as reason:
        raise InvalidOption(f"outcome of job {job.id}: {reason}") from None


def _result_text(result: Any, most: int | None) -> str:
    try:
        text = dump(result, "result")
    except InvalidJob as reason:
        raise InvalidResult(str(reason)) from None
    if most is not None and len(text) * BYTES_PER_CHARACTER > most and (size := len(text.encode())) > most:
        raise InvalidResult(
            f"the result is {size:,} bytes of JSON, and max_result_bytes allows {most:,}: store it elsewhere and "
            "return where, raise that option of the worker, or do without, by the task's store_result=False"
        )
    return text
