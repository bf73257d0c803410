"""Schedules: which job is stored again and again, and when. Plain data, stored and not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import attrs

from pq_core.cron import Cron, check_cron, check_zone
from pq_core.errors import InvalidArguments, InvalidJob, InvalidOption, shown
from pq_core.given import as_option, several
from pq_core.job import NewJob, check_delay, check_name, overwrite
from pq_core.payload import clean_text, dump, dump_mapping, load

CatchUp = Literal["none", "last", "all"]
"""What becomes of ticks that were missed: nothing, the last of them is made up for, or all are."""
CATCH_UPS: tuple[CatchUp, ...] = ("none", "last", "all")

DECLARED_FOR = timedelta(minutes=5)
"""How long a declaration in code holds after a worker has made it. Workers repeat theirs each minute."""
BETWEEN_DECLARATIONS = timedelta(minutes=1)
SCHEDULE, TICK = "pq.schedule", "pq.tick"
"""Names in the metadata of a job that a schedule has stored: the schedule's id; the tick, as ISO 8601."""


@attrs.frozen(kw_only=True)
class NewSchedule:
    """A schedule that is not stored yet.

    Raises:
        InvalidOption: a value that no schedule may have; of a bad cron text, the message names the place.

    .. versionadded:: 0.1

    Attributes:
        id: its name: 1 to 500 characters.
        job: what each tick stores; it has no time of its own, and waits for no time.
        cron: when, see :mod:`pq_core.cron`.
        timezone: of the cron text, as ``Europe/Paris``.
        catch_up: what becomes of ticks that were missed: those older than ten seconds.
        max_delay: ticks older than that are dropped whatever `catch_up` says, and their jobs expire then.
    """

    id: str
    job: NewJob
    cron: str
    timezone: str = "UTC"
    catch_up: CatchUp = "last"
    max_delay: timedelta | None = None

    def __attrs_post_init__(self) -> None:
        with as_option("schedule: "):
            overwrite(self, id=check_name("id", self.id))
        check_cron(self.cron)
        check_zone(self.timezone)
        overwrite(self, catch_up=check_catch_up(self.catch_up))
        if self.max_delay is not None:
            with as_option():
                check_delay("max_delay", self.max_delay)
            if not self.max_delay:
                raise InvalidOption("max_delay of zero leaves no time to run; give more, or None for any delay")
        overwrite(
            self, cron=str.__str__(self.cron), timezone=str.__str__(self.timezone), catch_up=str.__str__(self.catch_up)
        )
        self._check_job()

    def _check_job(self) -> None:
        if not isinstance(self.job, NewJob):  # pyright: ignore[reportUnnecessaryIsInstance] - users need no type checker
            raise InvalidOption(f"schedule {shown(self.id)}: {shown(self.job)} is no job; make one with task.job(...)")
        if self.job.scheduled_at is not None or self.job.delay is not None:
            raise InvalidOption(f"schedule {shown(self.id)}: its job has a time of its own; the cron text says when")
        if self.job.expires_at is not None:
            raise InvalidOption(f"schedule {shown(self.id)}: its job expires at a fixed time; say max_delay instead")
        for name in (SCHEDULE, TICK):
            if name in self.job.metadata:
                raise InvalidOption(f"schedule {shown(self.id)}: {name!r} in the metadata is pq's own")

    @property
    def ticks(self) -> Cron:
        """When it ticks."""
        return Cron(self.cron, self.timezone)


@attrs.frozen(kw_only=True)
class Schedule(NewSchedule):
    """A stored schedule.

    .. versionadded:: 0.1

    Attributes:
        revision: another one after each change and each tick.
        next_tick: when it ticks next; if not `planned`, the first tick later than that is the next.
        planned: whether a worker has worked out the next tick since the schedule was stored, changed or resumed.
        last_tick: the latest that has stored a job.
        paused_at: since when it does not tick; None if it does.
        declared_at: when a worker last said that code declares it; None if it was made at run time.
        undeclared: whether no worker has said so for five minutes: then it does not tick.
    """

    revision: int
    next_tick: datetime
    planned: bool
    created_at: datetime
    last_tick: datetime | None = None
    paused_at: datetime | None = None
    declared_at: datetime | None = None
    undeclared: bool = False

    def __attrs_post_init__(self) -> None:
        """Check nothing: one that was spoilt by hand, or is of a zone unknown here, must not hide the others."""

    @property
    def comes_next(self) -> datetime:
        """When the next tick is, whether it was worked out or not."""
        return self.next_tick if self.planned else self.ticks.after(self.next_tick)


@attrs.frozen(kw_only=True)
class Move:
    """One schedule that goes on to its next tick, and the ticks for which jobs are stored meanwhile.

    Attributes:
        id: of the schedule.
        revision: it must still have, or it is not moved.
        next_tick: to go on to.
        ticks: in order.
        dropped: the first tick that is dropped on the way, if any is.
    """

    id: str
    revision: int
    next_tick: datetime
    ticks: Sequence[datetime] = ()
    dropped: datetime | None = None


@attrs.frozen(kw_only=True)
class Ticked:
    """What a call of `tick` has done, and what there is to do.

    Attributes:
        now: the time of the store.
        moved: ids of the schedules that were moved, sorted.
        due: schedules that are due now, or not planned, at most a hundred; the one due first comes first.
        next_in: seconds until the next one of the others is due, or None if there is none.
    """

    now: datetime
    moved: Sequence[str] = ()
    due: Sequence[Schedule] = ()
    next_in: float | None = None


def dump_job(job: NewJob) -> str:
    """Return the JSON text of the job of a schedule, by the names of its fields; the same for the same job.

    Raises:
        InvalidJob: its arguments or metadata cannot be stored.
    """
    fields: dict[str, str] = {
        "task": dump(job.task),
        "args": dump_mapping(job.args, "args", error=InvalidArguments),
        "queue": dump(job.queue),
        "priority": dump(job.priority),
        "lock": dump(job.lock),
        "lock_mode": dump(job.lock_mode),
        "max_losses": dump(job.max_losses),
        "metadata": dump_mapping(job.metadata, "metadata", error=InvalidJob),
        "delivery": dump(job.delivery),
        "version": dump(job.version),
        "unique_key": dump(job.unique_key),
        "unique_scope": dump(job.unique_scope),
        "unique_period": dump(_seconds(job.unique_period)),
        "expires_in": dump(_seconds(job.expires_in)),
    }
    return "{" + ",".join(f'"{name}":{text}' for name, text in fields.items()) + "}"


def load_job(text: str) -> NewJob:
    """Return the job that :func:`dump_job` has made a text of."""
    fields: dict[str, Any] = load(text)
    for name in ("unique_period", "expires_in"):
        seconds = fields.get(name)
        fields[name] = None if seconds is None else timedelta(seconds=seconds)
    return NewJob(**fields)


def is_declared(declared_at: datetime | None, now: datetime) -> bool:
    """Return whether code declares the schedule that a worker last declared then."""
    return declared_at is not None and declared_at > now - DECLARED_FOR


def read_schedule(*, job: str, now: datetime, declared_at: datetime | None, **fields: Any) -> Schedule:
    """Return a schedule as it is stored, as of `now`, its job as :func:`dump_job` has made it."""
    undeclared = declared_at is not None and not is_declared(declared_at, now)
    return Schedule(job=load_job(job), declared_at=declared_at, undeclared=undeclared, **fields)


def check_catch_up(value: object) -> CatchUp:
    """Return what becomes of missed ticks.

    Raises:
        InvalidOption: it is none of the three ways.
    """
    if not isinstance(value, str) or value not in CATCH_UPS:
        raise InvalidOption(f"catch_up {shown(value)} is none of {', '.join(map(repr, CATCH_UPS))}")
    return CATCH_UPS[CATCH_UPS.index(value)]


def check_schedules(schedules: object) -> tuple[NewSchedule, ...]:
    """Return schedules to store.

    Raises:
        InvalidOption: this is no list of them, or two have one id.
    """
    given = several("schedules", schedules, "a list of schedules")
    for each in given:
        if not isinstance(each, NewSchedule):
            raise InvalidOption(f"schedules holds {shown(each)}, which is no NewSchedule")
    ids = [each.id for each in given]
    for each in ids:
        if ids.count(each) > 1:
            raise InvalidOption(f"two schedules have the id {shown(each)}")
    return given


def check_schedule_ids(ids: object) -> tuple[str, ...]:
    """Return ids of schedules, sorted, each once. One that no schedule can have is no error: it is found nowhere.

    Raises:
        InvalidOption: this is not a list of texts.
    """
    given = several("schedule ids", ids, "a list of ids of schedules")
    for each in given:
        if not isinstance(each, str):
            raise InvalidOption(f"schedule id {shown(each)} is not a text")
    return tuple(sorted({str.__str__(each) for each in given if clean_text(each) == each}))


def job_of(schedule: NewSchedule, tick: datetime) -> NewJob:
    """Return the job that a tick stores: due at the tick, and it says of which schedule and tick it is.

    A job whose unique key is taken is skipped: the tick is spent.
    """
    named = {SCHEDULE: schedule.id, TICK: tick.astimezone(UTC).isoformat(timespec="seconds")}
    job = attrs.evolve(schedule.job, scheduled_at=tick, metadata={**schedule.job.metadata, **named}, on_conflict="skip")
    if schedule.max_delay is None:
        return job
    return attrs.evolve(job, expires_at=tick + schedule.max_delay, expires_in=None)


def _seconds(length: timedelta | None) -> float | None:
    return None if length is None else length.total_seconds()
