"""Periodic tasks: schedules that code declares, beside the task that they are for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Protocol, TypedDict

import attrs

from pq_core.binding import Binding
from pq_core.cron import check_cron, check_zone
from pq_core.delays import Delay, as_timedelta
from pq_core.errors import InvalidArguments, InvalidOption, shown
from pq_core.given import as_option
from pq_core.job import NewJob, check_name
from pq_core.payload import NO_NAMES, check_mapping, dump_mapping
from pq_core.schedule import CatchUp, NewSchedule, check_catch_up


class Timing(TypedDict, total=False):
    """When a schedule ticks; what is not given has a default, or stays.

    .. versionadded:: 0.1
    """

    cron: str
    """Five fields, six with the second before them, or a nickname such as ``@daily``: see :mod:`pq_core.cron`."""
    timezone: str
    """Whose clock the cron text means, such as ``Europe/Paris``; UTC by default."""
    catch_up: CatchUp
    """What becomes of ticks that were missed: ``none``, ``last`` (the default) or ``all`` of them are made up for."""
    max_delay: Delay | timedelta | None
    """Ticks older than that are dropped in any case, and their jobs expire then."""


def _no_arguments(given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return NO_NAMES() if given is None else given


def _length(given: Delay | timedelta | None) -> timedelta | None:
    with as_option():
        return None if given is None else as_timedelta(given, "max_delay")


@attrs.frozen(kw_only=True)
class Periodic:
    """What `@app.periodic(...)` says of a task.

    Raises:
        InvalidOption: a value that no schedule may have.

    Attributes:
        id: of the schedule; None: the task's name.
        args: of the task, by name.
        task: the task's own name, without the namespaces of blueprints; None until it has one.
    """

    cron: str
    timezone: str = "UTC"
    id: str | None = None
    args: Mapping[str, Any] = attrs.field(default=None, converter=_no_arguments)
    catch_up: CatchUp = "last"
    max_delay: timedelta | None = attrs.field(default=None, converter=_length)
    task: str | None = None

    def __attrs_post_init__(self) -> None:
        check_cron(self.cron)
        check_zone(self.timezone)
        check_catch_up(self.catch_up)
        with as_option("periodic: "):
            if self.id is not None:
                check_name("id", self.id)
            check_mapping(self.args, "args", error=InvalidArguments)

    def id_for(self, name: str) -> str:
        """Return the id of the schedule for the task that an app knows by that name."""
        if self.id is None or self.task is None:
            return name
        return name.removesuffix(self.task) + self.id


class PeriodicTask(Protocol):
    """As much of a task as it takes to store its jobs again and again."""

    @property
    def name(self) -> str:
        """As its app knows it."""
        ...

    @property
    def binding(self) -> Binding:
        """Knows its parameters."""
        ...

    @property
    def periodics(self) -> list[Periodic]:
        """What was said of it; its copies in the apps that include it share the list."""
        ...

    def job(self, /, *args: Any, **kwargs: Any) -> NewJob:
        """Return a job of it."""
        ...


def attach(periodic: Periodic, task: PeriodicTask) -> None:
    """Let a task be periodic.

    Raises:
        InvalidOption: the arguments do not fit the task, or JSON cannot carry them.
    """
    with as_option(f"periodic task {task.name!r}: "):
        args = task.binding.bind((), periodic.args)
        dump_mapping(args, "args", error=InvalidArguments)
    task.periodics.append(attrs.evolve(periodic, task=task.name))


def detach(task: PeriodicTask) -> None:
    """Take back the last :func:`attach`."""
    task.periodics.pop()


def refuse_same_ids(tasks: Iterable[PeriodicTask]) -> None:
    """Refuse tasks of one app of which two schedules have one id.

    Raises:
        InvalidOption: there are such.
    """
    owners: dict[str, str] = {}
    for task in tasks:
        for periodic in task.periodics:
            name = periodic.id_for(task.name)
            if name in owners:
                whose = f"one of {owners[name]}, one of {task.name}"
                raise InvalidOption(f"two schedules have the id {shown(name)}, {whose}: give another one id=...")
            owners[name] = task.name


def declared(tasks: Iterable[PeriodicTask]) -> list[NewSchedule]:
    """Return the schedules that code declares for the tasks of an app."""
    return [
        NewSchedule(
            id=periodic.id_for(task.name),
            job=task.job(**periodic.args),
            cron=periodic.cron,
            timezone=periodic.timezone,
            catch_up=periodic.catch_up,
            max_delay=periodic.max_delay,
        )
        for task in tasks
        for periodic in task.periodics
    ]
