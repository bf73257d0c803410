"""What happens to workers and their jobs, as values, and the functions that are told of it.

A worker tells of a run when it has ended, before the store has taken its outcome; an outcome that the store refuses,
because the run was not current any more, is told of once more, as `OutcomeLost`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeVar, cast

import attrs

from pq_core.errors import InvalidOption, shown
from pq_core.job import Job
from pq_core.log import fields

logger = logging.getLogger("pq_core.worker")


@attrs.frozen(kw_only=True, eq=False)
class Event:
    """Something that happened in a worker. To listen to a class is to listen to those below it.

    .. versionadded:: 0.1

    Attributes:
        worker: the name of the worker.
    """

    worker: str


@attrs.frozen(kw_only=True, eq=False)
class WorkerEvent(Event):
    """Something about a worker.

    .. versionadded:: 0.1

    Attributes:
        worker_id: by which the store knows the worker.
    """

    worker_id: int


@attrs.frozen(kw_only=True, eq=False)
class WorkerStarted(WorkerEvent):
    """The worker is known to the store, and fetches jobs from now on.

    .. versionadded:: 0.1
    """


@attrs.frozen(kw_only=True, eq=False)
class WorkerStopped(WorkerEvent):
    """The worker has signed off: it runs no jobs, and writes no outcomes, any more.

    .. versionadded:: 0.1
    """


@attrs.frozen(kw_only=True, eq=False)
class JobEvent(Event):
    """Something about a job.

    .. versionadded:: 0.1

    Attributes:
        job: as it was when it was claimed.
    """

    job: Job


@attrs.frozen(kw_only=True, eq=False)
class JobStarted(JobEvent):
    """A run of a job begins.

    .. versionadded:: 0.1
    """


@attrs.frozen(kw_only=True, eq=False)
class RunEnded(JobEvent):
    """A run of a job has ended, one way or another.

    .. versionadded:: 0.1

    Attributes:
        seconds: how long it took; 0 if nobody knows.
    """

    seconds: float


@attrs.frozen(kw_only=True, eq=False)
class JobSucceeded(RunEnded):
    """The job has succeeded.

    .. versionadded:: 0.1
    """


@attrs.frozen(kw_only=True, eq=False)
class JobFailed(RunEnded):
    """The job has failed for good: it will not run again. This is the event for error trackers.

    .. versionadded:: 0.1

    Attributes:
        error: what the task raised; `WorkerLost` if it died with its worker too often, which another worker tells of.
    """

    error: BaseException


@attrs.frozen(kw_only=True, eq=False)
class JobRetried(RunEnded):
    """The job has failed, and runs again.

    .. versionadded:: 0.1

    Attributes:
        error: what the task raised; None if it asked for another run itself.
        delay: how long the job waits before.
    """

    error: BaseException | None
    delay: timedelta


@attrs.frozen(kw_only=True, eq=False)
class JobSnoozed(RunEnded):
    """The task wants to run later; no attempt is spent.

    .. versionadded:: 0.1

    Attributes:
        delay: how long the job waits before.
    """

    delay: timedelta


@attrs.frozen(kw_only=True, eq=False)
class JobCancelled(RunEnded):
    """The job has been stopped, by request or by itself, and will not run again.

    .. versionadded:: 0.1

    Attributes:
        reason: in words; None if only the store knows it.
    """

    reason: str | None


@attrs.frozen(kw_only=True, eq=False)
class JobReleased(RunEnded):
    """The job goes back to its queue, because its worker ends or cannot run it; no attempt is spent.

    .. versionadded:: 0.1

    Attributes:
        delay: how long the job waits before.
    """

    delay: timedelta


@attrs.frozen(kw_only=True, eq=False)
class OutcomeLost(Event):
    """The outcome of a run came too late, or twice: the store has not taken it.

    .. versionadded:: 0.1

    Attributes:
        job_id: of the job.
        claim: of the run.
        kind: of the outcome, such as ``"succeeded"``.
    """

    job_id: int
    claim: int
    kind: str


EVENTS: tuple[type[Event], ...] = (
    WorkerStarted,
    WorkerStopped,
    JobStarted,
    JobSucceeded,
    JobFailed,
    JobRetried,
    JobSnoozed,
    JobCancelled,
    JobReleased,
    OutcomeLost,
)
"""All that there are; the other classes stand for several of them."""

E = TypeVar("E", bound=Event)
Hook = Callable[[Any], object]


@attrs.define(eq=False)
class Hooks:
    """The functions of an app that are told of events.

    Ask ``kind in hooks.functions`` first: an event is only made if somebody listens.

    Attributes:
        functions: those that listen to an event, by its class.
    """

    functions: dict[type[Event], list[Hook]] = attrs.field(factory=dict[type[Event], list[Hook]])
    _also: Callable[[BaseException], object] | None = None

    def add(self, kinds: Iterable[type[Event]], function: Hook) -> None:
        """Tell `function` of all events of these kinds from now on, each once, after those that were added before it.

        Raises:
            InvalidOption: `function` is none that can be told of an event.
        """
        _check(function)
        known = tuple(kinds)
        for each in EVENTS:
            if issubclass(each, known):
                self.functions.setdefault(each, []).append(function)

    def tell(self, event: Event) -> None:
        """Call the functions that listen to an event. What they raise is logged: it decides nobody's fate."""
        for function in self.functions.get(type(event), ()):
            try:
                function(event)
            except BaseException as error:  # noqa: BLE001 - a hook that exits, or fails a test, costs no job either
                self.complain(event, function, error)

    def reporting(self, also: Callable[[BaseException], object]) -> Hooks:
        """Return these hooks, of which what a function raises is not only logged, but given to `also`: in tests."""
        return Hooks(self.functions, also)

    def complain(self, event: Event, function: Hook, error: BaseException) -> None:
        """Say that a function has failed that was told of an event."""
        name = getattr(function, "__qualname__", type(function).__qualname__)
        kind = type(event).__name__
        logger.error(
            "%s was told of %s, and raised %s",
            name,
            kind,
            type(error).__name__,
            exc_info=error,
            extra=fields("hook_failed", hook=name, event=kind, worker=event.worker),
        )
        if self._also is not None:
            self._also(error)


def check_kind(kind: Any) -> None:
    """Refuse what is no class of events.

    Raises:
        InvalidOption: the message lists what there is.
    """
    if not isinstance(kind, type) or not issubclass(kind, Event):
        known = ", ".join(each.__name__ for each in EVENTS)
        raise InvalidOption(f"{shown(cast('object', kind))} is no event; events are {known}")


def _check(function: object) -> None:
    if not callable(function):
        raise InvalidOption(f"{shown(function)} cannot be told of an event: it cannot be called")
    call = cast("Any", getattr(function, "__call__", None))  # noqa: B004 - an object with an async __call__ is one, too
    if any(is_it(each) for is_it in _NOT_CALLED for each in (function, call)):
        raise InvalidOption(
            f"{shown(function)} cannot be told of an event, which nobody waits for: write it with `def`, and defer a "
            "job in it for what takes time"
        )


_NOT_CALLED: tuple[Callable[[Any], bool], ...] = (
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
)
"""Kinds of functions that a call does not run."""
