"""What a test asks for among its jobs: a task, some arguments, some conditions; and how a job differs from that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from inspect import Parameter
from typing import Any, TypedDict, cast

import attrs

from pq_core.app import App
from pq_core.deferrer import Deferrer, refuse_unknown
from pq_core.delays import Delay, as_timedelta, length
from pq_core.errors import InvalidArguments, InvalidOption, TaskNotFound, shown
from pq_core.given import as_option, check_id, check_states
from pq_core.job import Job, check_lock, check_moment, check_name, check_priority
from pq_core.registry import TaskRegistry
from pq_core.states import State
from pq_core.task import Task
from pq_testing.expected_values import Difference, differences, expected_value
from pq_testing.job_lines import brief, due, one_of

AnyTask = Task[..., Any] | Deferrer[...] | str
"""A task; its name or alias; or, for one that this app does not know, what ``app.configure_task(name)`` gives."""

AnyValue = object | Callable[[Any], object]
"""What an argument may be asked to be: a value, what compares by itself, or a function that is given the value."""


class Conditions(TypedDict, total=False):
    """What `where(...)` takes; what is not given may be anything.

    .. versionadded:: 0.1
    """

    queue: str
    lock: str | None
    """None: without a lock."""
    state: State | str | Iterable[State | str]
    """One state, or several of which the job has one."""
    scheduled_at: datetime | timedelta | str | Delay | None
    """A moment, exactly; a length of time from now by the test's clock, such as ``"1h"``; None: due by now."""
    priority: int
    attempt: int
    """Runs so far."""


@attrs.frozen(kw_only=True)
class Condition:
    """One thing that a job must be.

    Attributes:
        what: name of the job's field.
        expected: in a few words.
        fits: whether a job is so.
        found: how a job is instead, in a few words.
    """

    what: str
    expected: str
    fits: Callable[[Job], bool]
    found: Callable[[Job], str]


@attrs.frozen(kw_only=True)
class Wanted:
    """What a test asks for.

    Attributes:
        task: name of the task; None: any.
        args: what some of its arguments must be, as `expected_value` returns them.
        conditions: all must hold.
    """

    tasks: TaskRegistry = attrs.field(repr=False)
    task: str | None = None
    args: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    conditions: tuple[Condition, ...] = ()

    def is_of_task(self, job: Job) -> bool:
        """Whether the job is one of the task, under whichever of its names."""
        return self.task is None or self.task in (job.task, _canonical(self.tasks, job.task))

    def fits(self, job: Job) -> bool:
        """Whether the job is what is asked for."""
        return self.is_of_task(job) and all(each.fits(job) for each in self.conditions) and not self._in_args(job)

    def differences(self, job: Job) -> list[Difference]:
        """Return what about the job is other than asked for; of another task's arguments only those that both have."""
        found: list[Difference] = []
        of_task = self.is_of_task(job)
        if not of_task:
            found.append(Difference("task", str(self.task), job.task))
        found += self._in_args(job, only_shared=not of_task)
        found += [
            Difference(each.what, each.expected, each.found(job)) for each in self.conditions if not each.fits(job)
        ]
        return found

    def _in_args(self, job: Job, *, only_shared: bool = False) -> list[Difference]:
        found: list[Difference] = []
        for name, expected in self.args.items():
            if name in job.args:
                found += differences(expected, job.args[name], name)
            elif not only_shared:
                found += self._in_default(job.task, name, expected)
        return found

    def _in_default(self, task: str, name: str, expected: Any) -> list[Difference]:
        """Compare an argument that the job was deferred without: the run will get the parameter's default."""
        known = self.tasks.get(task)
        parameter = None if known is None else known.binding.signature.parameters.get(name)
        if parameter is None or parameter.default is Parameter.empty:
            return [Difference(name, brief(expected), "nothing")]
        found = differences(expected, parameter.default, name)
        return [attrs.evolve(each, found=f"the default {each.found}") for each in found]

    def __str__(self) -> str:
        args = ", ".join(f"{name}={brief(value)}" for name, value in self.args.items())
        of = f"{self.task or 'any task'}({args or '...'})"
        return " with ".join(filter(None, (of, ", ".join(f"{each.what} {each.expected}" for each in self.conditions))))


def wanted(
    app: App, jobs: list[Job], task: AnyTask | None, args: Mapping[str, Any], conditions: tuple[Condition, ...]
) -> Wanted:
    """Check what a test asks for.

    Args:
        app: knows the tasks.
        jobs: all of the test.
        task: None: any.
        args: some of the arguments, by name.
        conditions: what else must be.

    Raises:
        TaskNotFound: neither the app nor a job knows the name, so that it can only be mistyped.
        InvalidArguments: the task has no parameter of a name, or JSON cannot carry a value.
        InvalidOption: `task` is none.
    """
    __tracebackhide__ = True
    tasks = app.tasks
    name = None if task is None else _canonical(tasks, _name(task, tasks, jobs))
    for each in args:
        _check_parameter(each, name, tasks, jobs)
    expected = {each: expected_value(value, each) for each, value in args.items()}
    return Wanted(tasks=tasks, task=name, args=expected, conditions=conditions)


def conditions_of(given: Conditions, now: datetime) -> tuple[Condition, ...]:
    """Check what `where(...)` was given.

    Raises:
        InvalidOption: there is no such condition, or it has a value that no job has; of a state, the message lists
            what there is.
    """
    refuse_unknown("where", given, Conditions)
    found: list[Condition] = []
    with as_option():
        if "queue" in given:
            found.append(_equal("queue", check_name("queue", given["queue"])))
        if "lock" in given:
            found.append(_equal("lock", None if given["lock"] is None else check_lock(given["lock"])))
        if "state" in given:
            found.append(_in_state(given["state"]))
        if "scheduled_at" in given:
            found.append(_scheduled(given["scheduled_at"], now))
        if "priority" in given:
            found.append(_equal("priority", check_priority(given["priority"])))
    if "attempt" in given:
        found.append(_equal("attempt", check_id(given["attempt"], "attempt")))
    return tuple(found)


def _equal(field: str, value: str | int | None) -> Condition:
    return Condition(
        what=field,
        expected=_said(value),
        fits=lambda job: getattr(job, field) == value,
        found=lambda job: _said(getattr(job, field)),
    )


def _said(value: object) -> str:
    return "none" if value is None else brief(value)


def _in_state(given: State | str | Iterable[State | str]) -> Condition:
    states = check_states([given] if isinstance(given, str) else given)
    if not states:
        raise InvalidOption("state names none, so no job could be in it; leave it out for jobs in any state")

    def found(job: Job) -> str:
        return f"{job.state} ({brief(job.reason)})" if job.state is State.CANCELLED and job.reason else str(job.state)

    return Condition(what="state", expected=one_of(states), fits=lambda job: job.state in states, found=found)


def _scheduled(given: datetime | timedelta | str | Delay | None, now: datetime) -> Condition:
    def found(job: Job) -> str:
        return due(job.scheduled_at, now, parts=None)

    if given is None:
        return Condition(
            what="scheduled_at", expected="now or before", fits=lambda job: job.scheduled_at <= now, found=found
        )
    moment = _moment(given, now)
    return Condition(
        what="scheduled_at",
        expected=due(moment, now, parts=None),
        fits=lambda job: job.scheduled_at == moment,
        found=found,
    )


def _moment(given: datetime | timedelta | str | Delay, now: datetime) -> datetime:
    if isinstance(given, datetime):
        check_moment("scheduled_at", given)
        return given
    if isinstance(given, timedelta):
        return now + given  # also a negative one: for a job that was due some time ago
    return now + (length(given) if isinstance(given, str) else as_timedelta(given, "scheduled_at"))


def _name(task: object, tasks: TaskRegistry, jobs: list[Job]) -> str:
    __tracebackhide__ = True
    if isinstance(task, Deferrer):
        return task.home.locate(task.template.task)[0]
    name: object = cast("Task[..., Any]", task).located_name if isinstance(task, Task) else task
    if not isinstance(name, str):
        raise InvalidOption(f"task {shown(name)} is neither a task nor the name of one")
    if name not in tasks and all(job.task != name for job in jobs):
        try:
            tasks[name]
        except TaskNotFound as reason:
            raise TaskNotFound(
                f"{reason} No job of this test has that name either. For a task of other code, pass "
                f"app.configure_task({name!r})"
            ) from None
    return str.__str__(name)


def _canonical(tasks: TaskRegistry, name: str) -> str:
    known = tasks.get(name)
    return name if known is None else cast("Task[..., Any]", known).name


def _check_parameter(name: str, task: str | None, tasks: TaskRegistry, jobs: list[Job]) -> None:
    """Refuse the name of an argument that no job asked for can have: it is mistyped, and `none` would say yes to it."""
    __tracebackhide__ = True
    known = None if task is None else tasks.get(task)
    if known is not None and not _takes(known, name):
        parameters = ", ".join(known.binding.signature.parameters) or "none"
        raise InvalidArguments(
            f"task {task!r} has no parameter {name!r}; its parameters: {parameters}", field="args", value=name
        )
    if (
        task is None
        and not any(_takes(each, name) for each in tasks.values())
        and all(name not in j.args for j in jobs)
    ):
        raise InvalidArguments(
            f"no task of this app has a parameter {name!r}, and no job of this test such an argument; a condition that "
            "is no argument, such as queue, goes into where(...)",
            field="args",
            value=name,
        )


def _takes(task: Task[..., Any], name: str) -> bool:
    parameters = task.binding.signature.parameters
    return name in parameters or any(each.kind is Parameter.VAR_KEYWORD for each in parameters.values())
