"""What a running job may know of its surroundings."""
# ruff: noqa: D102 - the properties of a Protocol are named after what they hold.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Literal, Protocol

import attrs

from pq_core.connector import Connector
from pq_core.job import Delivery, Job
from pq_core.retry import BaseRetryStrategy

Keep = Literal["all", "failed", "none"]
"""Which ended jobs stay in the history: all of them, only failures, or none."""


class RunnableTask(Protocol):
    """As much of a task as it takes to run it."""

    @property
    def name(self) -> str: ...
    @property
    def func(self) -> Callable[..., Any]: ...
    @property
    def is_async(self) -> bool: ...
    @property
    def pass_context(self) -> bool: ...
    @property
    def retry(self) -> BaseRetryStrategy | None: ...
    @property
    def middleware(self) -> Sequence[Callable[..., Any]]: ...
    @property
    def keep(self) -> Keep | None: ...
    @property
    def delivery(self) -> Delivery: ...

    def unbind(self, args: Mapping[str, Any], /) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and keyword arguments to call `func` with."""
        ...


class Host(Protocol):
    """As much of an app as a worker needs: where jobs are, what they run, and what surrounds them."""

    @property
    def connector(self) -> Connector: ...
    @property
    def tasks(self) -> Mapping[str, Any]: ...
    @property
    def middleware(self) -> Sequence[Callable[..., Any]]: ...


@attrs.frozen(kw_only=True, eq=False)
class JobContext:
    """The surroundings of one run: the first argument of a task with ``pass_context=True``.

    .. versionadded:: 0.1

    Attributes:
        job: the job, as it was when it was claimed.
        task: the task that it runs.
        app: the app that the worker serves.
        worker_name: the name of the worker.
    """

    job: Job
    task: RunnableTask
    app: Host
    worker_name: str
    _ask: Callable[[], bool] = attrs.field(repr=False, alias="ask")

    def should_stop(self) -> bool:
        """Return whether the job was asked to stop: it was cancelled, or the worker shuts down. Safe in any thread.

        A task to which this has answered True counts as stopped, however it then ends: a cancelled job ends as
        cancelled, and a job of a worker that shuts down goes back to its queue.
        """
        return self._ask()


def current_context() -> JobContext | None:
    """Return the context of the job that runs here, or None outside of a job.

    .. versionadded:: 0.1
    """
    return CURRENT.get()


CURRENT: ContextVar[JobContext | None] = ContextVar("pq_job_context", default=None)
