"""Tasks that wait for an app to include them, so that a library can define tasks without having an app."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, Unpack, cast, overload

import attrs

from pq_core.context import JobContext
from pq_core.delays import Delay
from pq_core.errors import InvalidOption, TaskNotBound, shown
from pq_core.given import as_option
from pq_core.job import check_name
from pq_core.main_module import refuse_second_run
from pq_core.periodic import Periodic, attach, declared, detach, refuse_same_ids
from pq_core.registry import TaskRegistry
from pq_core.schedule import CatchUp, NewSchedule
from pq_core.streaming import StoresJobs
from pq_core.task import ContextTask, Task, TaskOptions, make_task

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F")


@attrs.frozen
class _Inclusion:
    """That another blueprint, or an app, includes this one. Weak, so that an app that nobody uses does not count."""

    by: weakref.ref[Blueprint]
    namespace: str | None


@attrs.define(kw_only=True, eq=False)
class Blueprint:
    """A set of tasks for any number of apps to include, with :meth:`add_tasks_from`.

    .. versionadded:: 0.1
    """

    _registry: TaskRegistry = attrs.field(init=False, factory=TaskRegistry, repr=False)
    _inclusions: list[_Inclusion] = attrs.field(init=False, factory=list[_Inclusion], repr=False)

    _periodic: list[tuple[object, Periodic]] = attrs.field(
        init=False, factory=list[tuple[object, Periodic]], repr=False
    )

    def __attrs_post_init__(self) -> None:
        refuse_second_run()

    @property
    def tasks(self) -> TaskRegistry:
        """All tasks registered here, by name."""
        return self._registry

    @overload
    def task(self, func: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(
        self, /, *, pass_context: Literal[False] = False, **options: Unpack[TaskOptions]
    ) -> Callable[[Callable[P, R]], Task[P, R]]: ...
    @overload
    def task(
        self, /, *, pass_context: Literal[True], **options: Unpack[TaskOptions]
    ) -> Callable[[Callable[Concatenate[JobContext, P], R]], ContextTask[P, R]]: ...
    def task(
        self, func: Callable[..., Any] | None = None, /, *, pass_context: bool = False, **options: Unpack[TaskOptions]
    ) -> Any:
        """Make a task of a function; used as a decorator, with options or without.

        Args:
            func: the function, sync or async.
            pass_context: call the function with the :class:`JobContext` as its first argument.
            options: see :class:`TaskOptions`.

        Raises:
            InvalidOption: an option that there is not, or with a value that it cannot have; a function without a name.
            TaskAlreadyRegistered: another task has the name, or an alias.
        """
        if func is not None:
            return self._register(func, pass_context=pass_context, options=options)
        return partial(self._register, pass_context=pass_context, options=options)

    def periodic(
        self,
        *,
        cron: str,
        timezone: str = "UTC",
        id: str | None = None,  # noqa: A002 - as `job.id`
        args: Mapping[str, Any] | None = None,
        catch_up: CatchUp = "last",
        max_delay: Delay | timedelta | None = None,
    ) -> Callable[[F], F]:
        """Let workers store a job of a task again and again; a decorator above or below that of the task.

        Args:
            cron: when: five fields, six with the second before them, or a nickname. See :mod:`pq_core.cron`.
            timezone: whose clock that means, such as ``Europe/Paris``.
            id: of the schedule, with the namespace of a blueprint before it; by default the task's name.
            args: of the task, by name.
            catch_up: what becomes of ticks that no worker was there to make: ``"none"``, ``"last"`` or ``"all"`` of
                them are made up for.
            max_delay: ticks older than that are dropped whatever `catch_up` says, and their jobs expire then.

        Raises:
            InvalidOption: a value that it cannot have, arguments that do not fit the task, an id that is taken; or what
                is decorated is no task of this app, nor a function.
        """
        periodic = Periodic(cron=cron, timezone=timezone, id=id, args=args, catch_up=catch_up, max_delay=max_delay)
        return partial(self._declare, periodic)

    def declared_schedules(self) -> list[NewSchedule]:
        """Return the schedules of periodic tasks.

        Raises:
            InvalidOption: a function was declared periodic that was never made a task.
        """
        tasks = self.tasks  # the modules that it imports may declare some
        if self._periodic:
            names = ", ".join(shown(func) for func, _ in self._periodic)
            raise InvalidOption(f"{names} is declared periodic and is no task: decorate it with app.task as well")
        return declared(tasks.values())

    def _declare(self, periodic: Periodic, func: F) -> F:
        given: Any = func
        if isinstance(given, Task):
            self._declare_task(periodic, cast("Task[..., Any]", given))
        elif callable(given) and not isinstance(given, type):
            self._periodic.append((given, periodic))
        else:
            raise InvalidOption(f"{shown(given)} is no task, so it cannot be periodic")
        return func

    def _declare_task(self, periodic: Periodic, task: Task[..., Any]) -> None:
        if self._registry.get(task.name) is not task:
            raise InvalidOption(f"task {task.name!r} belongs to another app or blueprint; declare it periodic there")
        attach(periodic, task)
        try:
            for registry, _ in self._additions([task]):
                refuse_same_ids(registry.values())
        except InvalidOption:
            detach(task)
            raise

    def _register(self, func: Callable[..., Any], *, pass_context: bool, options: TaskOptions) -> Task[..., Any]:
        task = make_task(func, self, pass_context=pass_context, options=options)
        marks = [mark for mark in self._periodic if mark[0] is func]
        for _, periodic in marks:
            attach(periodic, task)
        _add(self._additions([task]))
        self._periodic = [mark for mark in self._periodic if mark[0] is not func]
        return task

    def add_tasks_from(self, blueprint: Blueprint, *, namespace: str | None = None) -> None:
        """Include the tasks of a blueprint, also those that it gets later. The blueprint itself stays as it is.

        Args:
            blueprint: where the tasks are registered.
            namespace: goes before their names and aliases, with a colon: ``namespace:name``.

        Raises:
            TaskAlreadyRegistered: a name or alias is taken; then nothing is included.
            InvalidOption: the blueprint includes this one, or is none; or a name would be too long.
        """
        if not isinstance(blueprint, Blueprint):  # pyright: ignore[reportUnnecessaryIsInstance] - users need no type checker
            raise InvalidOption(f"{shown(blueprint)} is not a blueprint")
        if namespace is not None:
            with as_option():
                namespace = check_name("namespace", namespace)
        if blueprint._includes(self):
            raise InvalidOption("a blueprint cannot include itself")
        _add(self._additions(self._copied(blueprint.tasks.values(), namespace)))
        blueprint._inclusions.append(_Inclusion(weakref.ref(self), namespace))

    def locate(self, task: str) -> tuple[str, StoresJobs]:
        """Return the name that the one app which includes this blueprint knows the task by, and what stores its jobs.

        Raises:
            TaskNotBound: no app includes this blueprint, or several do.
        """
        places = list(self._places(task))
        if len(places) > 1:
            # An app that nobody can reach any more, say that of the test before, must not make the answer ambiguous.
            del places[:]
            gc.collect()
            places = list(self._places(task))
        if not places:
            raise TaskNotBound(
                f"task {task!r} belongs to a blueprint that no app includes; call app.add_tasks_from(blueprint)"
            )
        if len(places) > 1:
            names = ", ".join(repr(name) for name, _ in places)
            raise TaskNotBound(
                f"task {task!r} belongs to a blueprint that is included {len(places)} times, as {names}; "
                f"say which is meant: app.tasks[{places[0][0]!r}].defer(...)"
            )
        return places[0]

    def _additions(self, tasks: list[Task[..., Any]]) -> Iterator[_Addition]:
        """Yield what is to be added where, if `tasks` are added here: also their copies, to all that include this."""
        yield self._registry, tasks
        for includer, namespace in self._includers():
            yield from includer._additions(includer._copied(tasks, namespace))  # noqa: SLF001 - of this class

    def _copied(self, tasks: Iterable[Task[..., Any]], namespace: str | None) -> list[Task[..., Any]]:
        with as_option():
            return [
                attrs.evolve(
                    task,
                    home=self,
                    name=_prefixed(namespace, task.name),
                    aliases=tuple(_prefixed(namespace, alias) for alias in task.aliases),
                )
                for task in tasks
            ]

    def _places(self, task: str) -> Iterator[tuple[str, StoresJobs]]:
        for includer, namespace in self._includers():
            yield from includer._places(_prefixed(namespace, task))  # noqa: SLF001 - of this class

    def _includers(self) -> Iterator[tuple[Blueprint, str | None]]:
        for inclusion in self._inclusions:
            includer = inclusion.by()
            if includer is not None:
                yield includer, inclusion.namespace

    def _includes(self, other: Blueprint) -> bool:
        return other is self or any(self._includes(includer) for includer, _ in other._includers())


_Addition = tuple[TaskRegistry, list[Task[..., Any]]]


def _add(additions: Iterator[_Addition]) -> None:
    """Register all, or none."""
    checked = list(additions)
    for registry, tasks in checked:
        registry.check(tasks)
        if any(task.periodics for task in tasks):
            refuse_same_ids([*registry.values(), *tasks])
    for registry, tasks in checked:
        registry.add(tasks)


def _prefixed(namespace: str | None, name: str) -> str:
    return name if namespace is None else f"{namespace}:{name}"
