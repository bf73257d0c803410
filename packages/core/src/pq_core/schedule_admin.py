"""`app.schedules`: to look at schedules, and to make and change them at run time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from typing import Any, Unpack

import attrs

from pq_core.connector import Connector
from pq_core.deferrer import refuse_unknown
from pq_core.delays import as_timedelta
from pq_core.errors import InvalidOption, ScheduleNotFound, shown
from pq_core.given import as_option, check_limit
from pq_core.job import NewJob
from pq_core.periodic import Timing
from pq_core.schedule import NewSchedule, Schedule

ScheduleIds = str | Iterable[str]
"""One id of a schedule, or several."""


class ScheduleChanges(Timing, total=False):
    """What `change` changes; what is not given stays.

    .. versionadded:: 0.1
    """

    job: NewJob
    """As ``task.job(...)`` makes it."""


@attrs.frozen
class ScheduleAdmin:
    """The schedules of an app: those that code declares, and those made here. Each verb also as ``..._async``.

    .. versionadded:: 0.1
    """

    _connector: Callable[[], Connector]

    def all(self) -> list[Schedule]:
        """Return all schedules, sorted by id."""
        return self._connector().sync.schedules()

    async def all_async(self) -> list[Schedule]:
        """Do what :meth:`all` does."""
        return await self._connector().schedules()

    def get(self, id: str) -> Schedule:  # noqa: A002 - as `schedule.id`
        """Return the schedule with that id.

        Raises:
            ScheduleNotFound: there is none.
        """
        return _only(id, self._connector().sync.schedules([id]))

    async def get_async(self, id: str) -> Schedule:  # noqa: A002 - as above
        """Do what :meth:`get` does."""
        return _only(id, await self._connector().schedules([id]))

    def add(self, id: str, job: NewJob, **timing: Unpack[Timing]) -> None:  # noqa: A002 - as above
        """Store a schedule; workers know it within their `poll_interval`.

        Args:
            id: its name.
            job: what each tick stores, as ``task.job(...)`` makes it.
            timing: `cron`, and, if need be, `timezone`, `catch_up` and `max_delay`.

        Raises:
            InvalidOption: a value that no schedule may have, or there is a schedule with that id.
        """
        new = _new(id, job, timing)
        _refuse_taken(new, self._connector().sync.put_schedules([new], replace=False))

    async def add_async(self, id: str, job: NewJob, **timing: Unpack[Timing]) -> None:  # noqa: A002 - as above
        """Do what :meth:`add` does."""
        new = _new(id, job, timing)
        _refuse_taken(new, await self._connector().put_schedules([new], replace=False))

    def change(self, id: str, **changes: Unpack[ScheduleChanges]) -> None:  # noqa: A002 - as above
        """Change a schedule that was made at run time. Its next tick stays, unless cron text or time zone change.

        Raises:
            ScheduleNotFound: there is none with that id.
            InvalidOption: a value that no schedule may have; or code declares it, and would undo the change.
        """
        new = _changed(self.get(id), changes)
        _refuse_declared(new, self._connector().sync.put_schedules([new]))

    async def change_async(self, id: str, **changes: Unpack[ScheduleChanges]) -> None:  # noqa: A002 - as above
        """Do what :meth:`change` does."""
        new = _changed(await self.get_async(id), changes)
        _refuse_declared(new, await self._connector().put_schedules([new]))

    def pause(self, ids: ScheduleIds) -> list[str]:
        """Let schedules not tick until they are resumed; return the ids of those that there are, sorted.

        Ticks meanwhile are nobody's: they are not made up for.
        """
        return self._connector().sync.pause_schedules(_listed(ids))

    async def pause_async(self, ids: ScheduleIds) -> list[str]:
        """Do what :meth:`pause` does."""
        return await self._connector().pause_schedules(_listed(ids))

    def resume(self, ids: ScheduleIds) -> list[str]:
        """Undo :meth:`pause`; return the ids of those that there are, sorted."""
        return self._connector().sync.pause_schedules(_listed(ids), paused=False)

    async def resume_async(self, ids: ScheduleIds) -> list[str]:
        """Do what :meth:`resume` does."""
        return await self._connector().pause_schedules(_listed(ids), paused=False)

    def remove(self, ids: ScheduleIds) -> list[str]:
        """Forget schedules; return the ids of those that there were, sorted.

        Jobs that they have stored stay. One that code declares comes back with the next declaration.
        """
        return self._connector().sync.remove_schedules(_listed(ids))

    async def remove_async(self, ids: ScheduleIds) -> list[str]:
        """Do what :meth:`remove` does."""
        return await self._connector().remove_schedules(_listed(ids))

    def next_ticks(self, id: str, count: int = 5) -> list[datetime]:  # noqa: A002 - as above
        """Return the next ticks of a schedule, in UTC: for a paused one, those it would have.

        Raises:
            ScheduleNotFound: there is none with that id.
        """
        return coming(self.get(id), count)

    async def next_ticks_async(self, id: str, count: int = 5) -> list[datetime]:  # noqa: A002 - as above
        """Do what :meth:`next_ticks` does."""
        return coming(await self.get_async(id), count)


def coming(schedule: Schedule, count: int) -> list[datetime]:
    """Return the next ticks of a schedule."""
    first = schedule.comes_next
    return [first, *islice(schedule.ticks.from_on(first), check_limit(count, 1) - 1)]


def _new(id_: str, job: NewJob, timing: Timing) -> NewSchedule:
    refuse_unknown("a schedule", timing, Timing)
    if "cron" not in timing:
        raise InvalidOption(f"schedule {shown(id_)} says no cron text, such as cron='*/5 * * * *'")
    return NewSchedule(id=id_, job=job, **_fields(timing))


def _changed(old: Schedule, changes: ScheduleChanges) -> NewSchedule:
    refuse_unknown("a change of a schedule", changes, ScheduleChanges)
    given: dict[str, Any] = {
        "job": old.job,
        "cron": old.cron,
        "timezone": old.timezone,
        "catch_up": old.catch_up,
        "max_delay": old.max_delay,
    }
    return NewSchedule(id=old.id, **(given | _fields(changes)))


def _fields(given: Timing | ScheduleChanges) -> dict[str, Any]:
    fields: dict[str, Any] = dict(given)
    if fields.get("max_delay") is not None:
        with as_option():
            fields["max_delay"] = as_timedelta(fields["max_delay"], "max_delay")
    return fields


def _refuse_taken(new: NewSchedule, put: list[str]) -> None:
    if not put:
        raise InvalidOption(f"there is a schedule with the id {shown(new.id)}; change it, or remove it first")


def _refuse_declared(new: NewSchedule, put: list[str]) -> None:
    if not put:
        raise InvalidOption(
            f"schedule {shown(new.id)} is declared in code, which would undo the change: change it there, or pause it"
        )


def _only(id_: object, found: list[Schedule]) -> Schedule:
    if not found:
        raise ScheduleNotFound(f"no schedule has the id {shown(id_)}")
    return found[0]


def _listed(ids: ScheduleIds) -> list[str]:
    return [ids] if isinstance(ids, str) else [*ids]
