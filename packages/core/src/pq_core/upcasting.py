"""Arguments of jobs that an earlier version of a task has deferred, made those of today's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from pq_core.errors import InvalidArguments, InvalidOption, shown
from pq_core.given import as_option
from pq_core.job import check_version

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Is given the arguments of one version by name, and returns those of the next."""
Upcasters = Mapping[int, Upcaster]


def check_upcasters(version: object, upcast: object, *, task: str) -> dict[int, Upcaster]:
    """Return the upcasters of a task, by the version that each is given.

    Args:
        version: of the task's arguments.
        upcast: the option: a dict. It leads, without a gap, from its lowest version to `version`.
        task: for messages.

    Raises:
        InvalidOption: one is missing, leads beyond `version`, or is no sync function; or this is no dict.
    """
    with as_option(f"task {task!r}: "):
        newest = check_version(version)
        if not isinstance(upcast, Mapping):
            raise InvalidOption(f"task {task!r}: upcast {shown(upcast)} is not a dict of functions by version")
        links = {check_version(given): link for given, link in cast("Mapping[object, Any]", upcast).items()}
    for given, link in links.items():
        if given >= newest:
            raise InvalidOption(
                f"task {task!r}: upcast has a function for version {given}, and the task's version is {newest}; "
                f"with arguments that changed again, say version={given + 1}"
            )
        if not callable(link) or inspect.iscoroutinefunction(link):
            raise InvalidOption(
                f"task {task!r}: upcast[{given}] {shown(link)} is not a plain function of a dict of arguments"
            )
    missing = sorted(set(range(min(links, default=newest - 1), newest)) - links.keys() - {0})
    if missing:
        raise InvalidOption(
            f"task {task!r}: upcast has no function for version {missing[0]}, so arguments of that version, and of "
            f"those before, cannot become those of version {newest}; add upcast={{{missing[0]}: ...}}"
        )
    return dict(sorted(links.items()))


def upcasted(args: Mapping[str, Any], version: int, newest: int, upcasters: Upcasters) -> dict[str, Any]:
    """Return the arguments of `version` as those of `newest`.

    Raises:
        InvalidArguments: they are too old, or an upcaster returned no dict by name.
        Exception: what an upcaster raises.
    """
    current = dict(args)
    for each in range(version, newest):
        link = upcasters.get(each)
        if link is None:
            raise InvalidArguments(
                f"the arguments are of version {version}, and upcast leads to version {newest} only from "
                f"{min(upcasters, default=newest)}",
                field="args",
                value=args,
            )
        returned: Any = link(current)
        if not isinstance(returned, dict) or not all(isinstance(name, str) for name in cast("Any", returned)):
            raise InvalidArguments(
                f"upcast[{each}] returned {shown(cast('object', returned))}, which is not a dict of arguments by name",
                field="args",
                value=args,
            )
        current = cast("dict[str, Any]", returned)
    return current
