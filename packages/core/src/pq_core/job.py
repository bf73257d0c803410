"""A job is plain data, twice: `NewJob` (not stored yet) and `Job` (stored). Neither knows a task or a connector."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, cast

import attrs

from pq_core.errors import InvalidArguments, InvalidJob, shown
from pq_core.fact import Empty, Moment, fact_of, stand_for_defaults
from pq_core.payload import NO_NAMES, check_mapping
from pq_core.states import ENDED, State

LockMode = Literal["ordered", "mutex"]
"""``ordered``: wait for every earlier live job of the lock. ``mutex``: wait only for a running one."""
Delivery = Literal["at_least_once", "at_most_once", "transactional"]
"""What the death of its worker means for a job.

``at_least_once``: it runs again. ``at_most_once``: it never does, and ends as failed. ``transactional``: it runs again,
and what it did in the database is undone, because that and its end are one transaction.
"""
Scope = Literal["waiting", "live"]
"""Among which jobs a unique key is unique: those that wait to run, or those that wait or run."""
OnConflict = Literal["raise", "skip", "replace"]
"""What becomes of a new job whose unique key is taken.

``raise``: `AlreadyDeferred`. ``skip``: it is not stored; the answer names the job that has the key. ``replace``: that
job, if it waits, takes over arguments, time, priority, metadata, version and expiry of the new one; else as ``skip``.
"""

_LOCK_MODES: tuple[LockMode, ...] = ("ordered", "mutex")
_DELIVERIES: tuple[Delivery, ...] = ("at_least_once", "at_most_once", "transactional")
_SCOPES: tuple[Scope, ...] = ("waiting", "live")
_ON_CONFLICT: tuple[OnConflict, ...] = ("raise", "skip", "replace")

MAX_NAME = 500
"""Longest name of a queue or a task, in characters: an entry of a PostgreSQL index holds about 2,700 bytes."""
MAX_LOCK = 2_000
"""Longest lock, in characters; locks are compared by a 64-bit hash, so no index limits them."""
MAX_UNIQUE_KEY = 500
"""Longest unique key, in characters: an index holds the key itself, for two keys of one hash would lose a job."""
MAX_VERSION = 2**31 - 1
MIN_PRIORITY, MAX_PRIORITY = -32_768, 32_767
MAX_ERRORS = 10
"""A job keeps the errors of its last ten failed attempts."""
MAX_LOSSES = 3
"""Workers that a job may lose, unless it says otherwise: with the last of them it ends as failed."""

_NO_ERRORS = cast("Callable[[], list[dict[str, Any]]]", list)


@attrs.frozen(kw_only=True, slots=False)  # made in half the time, which is what counts for one of many
class NewJob:
    """A job to be stored. It is checked when it is made; texts and numbers of an enum become plain ones.

    `scheduled_at` (aware) and `delay` exclude each other; with neither, the job may run at once. A delay is added by
    the database, to its own time.

    Raises:
        InvalidJob: a field has a value that no job may hold.

    .. versionadded:: 0.1
    """

    task: str
    args: Mapping[str, Any] = attrs.field(factory=NO_NAMES)
    queue: str = "default"
    priority: int = 0
    lock: str | None = None
    lock_mode: LockMode = "ordered"
    scheduled_at: datetime | None = None
    delay: timedelta | None = None
    max_losses: int = MAX_LOSSES
    metadata: Mapping[str, Any] = attrs.field(factory=NO_NAMES)
    delivery: Delivery = "at_least_once"
    version: int = 1
    unique_key: str | None = None
    unique_scope: Scope = "waiting"
    unique_period: timedelta | None = None
    on_conflict: OnConflict = "raise"
    expires_at: datetime | None = None
    expires_in: timedelta | None = None

    def __attrs_post_init__(self) -> None:
        if not (str is type(self.task) is type(self.queue) is type(self.lock_mode)):
            overwrite(self, task=_plain_text(self.task), queue=_plain_text(self.queue))
            overwrite(self, lock_mode=_plain_text(self.lock_mode))
        if not (int is type(self.priority) is type(self.max_losses)):
            overwrite(self, priority=_plain_number(self.priority), max_losses=_plain_number(self.max_losses))
        check_name("task", self.task)
        check_name("queue", self.queue)
        check_priority(self.priority)
        if self.lock is not None and check_lock(self.lock) is not self.lock:
            overwrite(self, lock=check_lock(self.lock))
        if type(self.lock_mode) is not str or self.lock_mode not in _LOCK_MODES:
            raise _invalid("lock_mode", self.lock_mode, "is neither 'ordered' nor 'mutex'")
        if type(self.max_losses) is not int or not 1 <= self.max_losses <= MAX_PRIORITY:
            raise _invalid("max_losses", self.max_losses, f"is not a whole number from 1 to {MAX_PRIORITY}")
        if type(self.args) is not dict:
            check_mapping(self.args, "args", error=InvalidArguments)
        if type(self.metadata) is not dict:
            check_mapping(self.metadata, "metadata", error=InvalidJob)
        check_time(self.scheduled_at, self.delay)
        if not self.has_usual_terms:
            self._check_terms()

    @property
    def has_usual_terms(self) -> bool:
        """Whether delivery, version, uniqueness and expiry are the default ones."""
        return (
            self.delivery == "at_least_once"
            and self.version == 1
            and self.unique_key is None
            and self.unique_scope == "waiting"
            and self.unique_period is None
            and self.on_conflict == "raise"
            and self.expires_at is None
            and self.expires_in is None
        )

    def _check_terms(self) -> None:
        overwrite(self, delivery=_one_of("delivery", self.delivery, _DELIVERIES))
        overwrite(self, unique_scope=check_scope(self.unique_scope), on_conflict=check_on_conflict(self.on_conflict))
        overwrite(self, version=check_version(self.version))
        if self.unique_key is not None:
            overwrite(self, unique_key=check_unique_key(self.unique_key))
        if self.unique_period is not None:
            check_delay("unique_period", self.unique_period)
            if self.unique_key is None:
                raise _invalid("unique_period", self.unique_period, "is of no use without a unique_key")
        if self.expires_at is not None:
            if self.expires_in is not None:
                raise _invalid("expires_in", self.expires_in, "and expires_at exclude each other; give one of them")
            check_moment("expires_at", self.expires_at)
        if self.expires_in is not None:
            check_delay("expires_in", self.expires_in)


def filled_in(model: NewJob, args: dict[str, Any], unique_key: str | None) -> NewJob:
    """Return a job with these fields, which the caller has checked, and the others of `model`, which have been too.

    It remembers the model, so that of many jobs need not be asked what is the same in all: see :func:`model_of`.
    """
    fields = vars(model).copy()
    fields["args"], fields["unique_key"], fields["_model"] = args, unique_key, model
    return fact_of(NewJob, fields)


def model_of(jobs: Sequence[NewJob]) -> NewJob | None:
    """Return the job that is like all these in all but arguments and unique key; None if none is known to be."""
    models: list[NewJob | None] = [vars(job).get("_model") for job in jobs]
    return models[0] if models[0] is not None and models.count(models[0]) == len(models) else None


@attrs.frozen(kw_only=True, slots=False)  # as above
class Job:
    """A stored job, as it was when it was read. Changing its lists and dicts changes nothing stored.

    .. versionadded:: 0.1

    Attributes:
        attempt: runs so far, the current one included; a released or snoozed run is not counted.
        claim: grows by one at each fetch and never shrinks: with the id, the fencing token of a run.
        losses: workers that died under this job.
        scheduled_at: when the job was, or is, due.
        worker: id of the worker that runs it, or that ended it.
        errors: one entry per failed attempt, the oldest first, at most the last ten: a dict with ``type`` (name of the
            exception's class), ``message``, ``traceback``, ``attempt`` and ``at`` (ISO 8601, UTC).
        cancel_requested_at: when a running job was asked to stop.
        reason: why a job was cancelled, in words.
        progress: what the run said last of how far it is: a dict with ``fraction`` (0 to 1, or None), ``message`` (a
            text, or None) and ``at`` (ISO 8601, UTC); None if it said nothing.
        delivery: see :data:`Delivery`.
        version: of its arguments.
        unique_key: its key, unique among the jobs of `unique_scope`.
        unique_scope: None if there is no key.
        expires_at: when it is cancelled, unless it was started before.
        unreadable: why `args`, `errors`, `metadata` and `result` could not be read, and are empty; None if they could.
            A worker fails such a job. Only a job that was written or edited by hand can be one.
    """

    id: int
    task: str
    args: dict[str, Any]
    queue: str
    priority: int
    lock: str | None
    lock_mode: LockMode
    state: State
    attempt: int
    claim: int
    losses: int
    max_losses: int
    scheduled_at: datetime
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    worker: int | None = None
    cancel_requested_at: datetime | None = None
    errors: list[dict[str, Any]] = attrs.field(factory=_NO_ERRORS)
    result: Any = None
    reason: str | None = None
    metadata: dict[str, Any] = attrs.field(factory=NO_NAMES)
    progress: Any = None
    delivery: Delivery = "at_least_once"
    version: int = 1
    unique_key: str | None = None
    unique_scope: Scope | None = None
    expires_at: datetime | None = None
    unreadable: str | None = None

    @property
    def ended(self) -> bool:
        """Whether the job has succeeded, failed or been cancelled."""
        return self.state in ENDED


stand_for_defaults(Job)
for _name in ("scheduled_at", "created_at", "started_at"):
    setattr(Job, _name, Moment(_name))
for _name, _make in (("errors", list), ("metadata", dict)):
    setattr(Job, _name, Empty(_name, _make))


def overwrite(fact: object, **fields: object) -> None:
    """Give a frozen value, while it is being made, the plain form of its fields: a `str` for a `StrEnum`."""
    for name, value in fields.items():
        object.__setattr__(fact, name, value)


def check_time(scheduled_at: datetime | None, delay: timedelta | None) -> None:
    """Refuse a time at which no job may be due.

    Raises:
        InvalidJob: it is too far away, naive or negative, or both are given.
    """
    if scheduled_at is not None:
        refuse_two_times(scheduled_at, delay)
        check_moment("scheduled_at", scheduled_at)
    if delay is not None:
        check_delay("delay", delay)


def refuse_two_times(scheduled_at: object, delay: object) -> None:
    """Refuse a time and a delay together.

    Raises:
        InvalidJob: neither is None.
    """
    if scheduled_at is not None and delay is not None:
        raise _invalid("delay", delay, "and scheduled_at exclude each other; give one of them")


def check_name(field: str, value: object, most: int = MAX_NAME, otherwise: str = "") -> str:
    """Return what names a queue or a task as a plain text: 1 to 500 characters, none of them NUL.

    Args:
        field: how the message calls it.
        value: the name.
        most: characters, if it is the name of something else.
        otherwise: what the message says to those who mean no name at all.

    Raises:
        InvalidJob: `value` is no name.
    """
    text = value if type(value) is str else _plain_text(value)
    if not isinstance(text, str) or not text:
        raise _invalid(field, value, f"is not a text of at least one character{otherwise}")
    if len(text) > most:
        raise _invalid(field, value, f"has {len(text)} characters; at most {most} are allowed")
    _check_text(field, text)
    return text


def check_lock(value: object) -> str:
    """Return a lock as a plain text: 1 to 2,000 characters, none of them NUL.

    Raises:
        InvalidJob: `value` is none.
    """
    return check_name("lock", value, MAX_LOCK, "; None means no lock")


def check_priority(value: object) -> int:
    """Return a priority as a plain number: a whole one from -32,768 to 32,767; higher runs first.

    Raises:
        InvalidJob: `value` is none.
    """
    number = value if type(value) is int else _plain_number(value)
    if type(number) is not int or not MIN_PRIORITY <= number <= MAX_PRIORITY:
        raise _invalid("priority", value, f"is not a whole number from {MIN_PRIORITY} to {MAX_PRIORITY}")
    return number


def check_unique_key(value: object) -> str:
    """Return a unique key as a plain text: 1 to 500 characters, none of them NUL.

    Raises:
        InvalidJob: `value` is none.
    """
    return check_name("unique_key", value, MAX_UNIQUE_KEY, "; None means no key")


def check_scope(value: object) -> Scope:
    """Return among which jobs a unique key is unique.

    Raises:
        InvalidJob: `value` is no scope.
    """
    return cast("Scope", _one_of("unique_scope", value, _SCOPES))


def check_on_conflict(value: object) -> OnConflict:
    """Return what becomes of a job whose unique key is taken.

    Raises:
        InvalidJob: `value` is nothing that can.
    """
    return cast("OnConflict", _one_of("on_conflict", value, _ON_CONFLICT))


def check_version(value: object) -> int:
    """Return the version of a task's arguments as a plain number, from 1.

    Raises:
        InvalidJob: `value` is none.
    """
    number = value if type(value) is int else _plain_number(value)
    if type(number) is not int or not 1 <= number <= MAX_VERSION:
        raise _invalid("version", value, f"is not a whole number from 1 to {MAX_VERSION}")
    return number


def check_delivery(value: object) -> Delivery:
    """Return what a worker's death means for a job.

    Raises:
        InvalidJob: `value` is none of the deliveries.
    """
    return cast("Delivery", _one_of("delivery", value, _DELIVERIES))


def check_moment(field: str, value: object) -> None:
    """Refuse a datetime that does not say where on Earth, so when, it is; or that is too far away.

    Raises:
        InvalidJob: it is such a one, or no datetime.
    """
    if not isinstance(value, datetime):
        raise _invalid(field, value, "is not a datetime")
    try:
        offset = value.utcoffset()
    except Exception as reason:
        raise _invalid(field, value, f"has a time zone that does not tell its offset: {shown(reason)}") from reason
    if offset is None:
        raise _invalid(field, value, "has no time zone; use for example datetime.now(timezone.utc)")
    if not FIRST_YEAR < value.year < LAST_YEAR:
        raise _invalid(field, value, f"is not between the years {FIRST_YEAR} and {LAST_YEAR}")


def check_delay(field: str, value: object) -> None:
    """Refuse a delay that is negative or longer than a thousand years.

    Raises:
        InvalidJob: it is such a one, or no timedelta.
    """
    if not isinstance(value, timedelta):
        raise _invalid(field, value, "is not a timedelta")
    if value < timedelta(0):
        raise _invalid(field, value, "is negative; nothing can be due before it is deferred, or over before it begins")
    if value > LONGEST_DELAY:
        raise _invalid(field, value, "is longer than a thousand years")


def check_end(field: str, moment: datetime) -> datetime:
    """Return where a delay leads, if clients can read that; the functions of PostgreSQL refuse the same.

    Raises:
        InvalidJob: it is too far away.
    """
    if moment.year > LAST_YEAR:
        raise _invalid(field, moment, f"is where the delay leads, and not before the end of the year {LAST_YEAR}")
    return moment


FIRST_YEAR, LAST_YEAR = 1900, 8999
"""Neither is allowed itself, so that a time zone cannot move a moment beyond them."""
LONGEST_DELAY = timedelta(days=365_250)


def _plain_text(value: Any) -> Any:
    return str.__str__(value) if isinstance(value, str) else value


def _plain_number(value: Any) -> Any:
    return int.__int__(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_text(field: str, value: str) -> None:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _invalid(field, value, "holds half of a surrogate pair, which is not valid Unicode") from None
    if "\x00" in value:
        raise _invalid(field, value, "holds a NUL character, which PostgreSQL does not store")


def _one_of(field: str, value: object, known: tuple[str, ...]) -> str:
    text = _plain_text(value)
    if type(text) is not str or text not in known:
        raise _invalid(field, value, f"is none of {', '.join(map(repr, known))}")
    return text


def _invalid(field: str, value: object, why: str) -> InvalidJob:
    return InvalidJob(f"{field} {shown(value)} {why}", field=field, value=value)
