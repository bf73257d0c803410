"""How to run one task: all that is the same for each of its jobs, worked out once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import attrs

from pq_core.context import Host, JobContext, Keep, RunnableTask
from pq_core.errors import InvalidArguments
from pq_core.job import Job
from pq_core.middleware import surround
from pq_core.upcasting import upcasted

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments, without the context."""


@attrs.frozen(kw_only=True, eq=False)
class Plan:
    """How to run one task.

    Attributes:
        call: the function inside all middleware: of a context, and of the positional and keyword arguments beside it.
        version: of the arguments that the function takes.
        timeout: seconds that a run may take; None: as long as it likes.
        runs_once: whether it never runs again.
        transactional: whether it runs, and ends, in a transaction.
        own_process: whether it runs in a process of its own.
        is_simple: whether it needs nothing around a call by keyword: no deadline, transaction, process or fence.
        keep_success: whether a job that succeeded, or was cancelled, stays stored.
        keep_failure: whether one that failed does.
    """

    task: RunnableTask
    call: Callable[..., Any]
    is_async: bool
    pass_context: bool
    version: int
    timeout: float | None
    store_result: bool
    runs_once: bool
    transactional: bool
    own_process: bool
    is_simple: bool
    keep_success: bool
    keep_failure: bool

    def arguments(self, job: Job) -> Arguments:
        """Return what the function is called with, besides the context.

        Raises:
            InvalidArguments: they cannot be read, or are not of this signature.
            Exception: what an upcaster raises.
        """
        if job.unreadable:
            raise InvalidArguments(job.unreadable, field="args")
        args = job.args
        if job.version < self.version:
            args = upcasted(args, job.version, self.version, self.task.upcast)
        return self.task.unbind(args)

    def fits(self, arguments: Arguments) -> bool:
        """Return whether the function can be called with these arguments at all."""
        args, kwargs = arguments
        try:
            inspect.signature(self.task.func).bind(*((None, *args) if self.pass_context else args), **kwargs)
        except TypeError:
            return False
        except ValueError:  # a function that shows no signature
            return True
        return True


def make_plan(app: Host, name: str, keep: Keep) -> Plan:
    """Return how to run the task of that name.

    Args:
        app: where it is registered.
        name: or alias.
        keep: which ended jobs stay stored, unless the task says otherwise.

    Raises:
        TaskNotFound: there is none.
    """
    task: RunnableTask = app.tasks[name]
    keep = task.keep or keep
    call = surround(task.func, app.middleware, task.middleware, is_async=task.is_async)
    usual = task.timeout is None and task.delivery == "at_least_once" and task.executor is None
    return Plan(
        task=task,
        call=partial(_call_with_context, call) if task.pass_context else call,
        is_async=task.is_async,
        pass_context=task.pass_context,
        version=task.version,
        timeout=None if task.timeout is None else task.timeout.total_seconds(),
        store_result=task.store_result,
        runs_once=task.delivery == "at_most_once",
        transactional=task.delivery == "transactional",
        own_process=task.executor == "process",
        is_simple=usual and task.by_keyword,
        keep_success=keep == "all",
        keep_failure=keep != "none",
    )


def _call_with_context(
    call: Callable[..., Any], context: JobContext, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    return call(context, (context, *args), kwargs)
