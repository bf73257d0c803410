"""The tasks of an app or a blueprint, by name and alias."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from pq_core.errors import TaskAlreadyRegistered, TaskNotFound, shown
from pq_core.task import Task


@attrs.define(eq=False)
class TaskRegistry(Mapping[str, Task[..., Any]]):
    """Finds a task by its name or by one of its aliases; iterates over names only.

    .. versionadded:: 0.1
    """

    _tasks: dict[str, Task[..., Any]] = attrs.field(init=False, factory=dict[str, Task[..., Any]])
    _aliases: dict[str, str] = attrs.field(init=False, factory=dict[str, str])

    def __getitem__(self, name: str) -> Task[..., Any]:
        """Return the task of that name or alias.

        Raises:
            TaskNotFound: there is none; the message says which names are near.
        """
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - users need no type checker
            raise TaskNotFound(f"no task is named {shown(name)}; names of tasks are texts")
        found = self._tasks.get(self._aliases.get(name, name))
        if found is None:
            raise TaskNotFound(f"no task is named {shown(name)}; {self._near(name)}")
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._tasks or name in self._aliases

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the task of that name or alias, or `default`."""
        return self._tasks.get(self._aliases.get(name, name), default)

    def check(self, tasks: Iterable[Task[..., Any]]) -> None:
        """Refuse tasks that cannot be added.

        Raises:
            TaskAlreadyRegistered: a name or alias is taken, or there twice.
        """
        new: dict[str, Task[..., Any]] = {}
        for task in tasks:
            for name in (task.name, *task.aliases):
                if name in self or name in new:
                    raise TaskAlreadyRegistered(_collision(name, task, new.get(name) or self[name]))
                new[name] = task

    def add(self, tasks: Iterable[Task[..., Any]]) -> None:
        """Register tasks that were checked, with their aliases."""
        for task in tasks:
            self._tasks[task.name] = task
            self._aliases.update(dict.fromkeys(task.aliases, task.name))

    def _near(self, name: str) -> str:
        import difflib  # For this message only.

        known = sorted([*self._tasks, *self._aliases])
        near = difflib.get_close_matches(name, known, n=3)
        if near:
            return f"did you mean {' or '.join(map(repr, near))}?"
        if not known:
            return "there is no task at all: is the module with the tasks imported, or named in import_paths?"
        return f"there are {len(known)} names, such as {known[0]!r}: is the module with the task imported?"


def _collision(name: str, new: Task[..., Any], old: Task[..., Any]) -> str:
    message = f"the name {name!r} is taken by {old.func!r}, and {new.func!r} cannot have it too"
    if "<locals>" in name:
        return (
            f"{message}; if a decorator made them, apply functools.wraps in it, or pass name=... to the task decorator"
        )
    return f"{message}; pass another name=... to the task decorator"
