"""What a running job may know of its surroundings."""
# ruff: noqa: D102 - the properties of a Protocol are named after what they hold.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, Literal, NoReturn, Protocol

import attrs

from pq_core.connector import Connector
from pq_core.delays import Delay
from pq_core.errors import InvalidOption, TaskFailed, TransactionRequired, shown
from pq_core.events import Hooks
from pq_core.fact import stand_for_defaults
from pq_core.job import Delivery, Job
from pq_core.lifespan import Lifespan
from pq_core.outcome import UNCHANGED, Unchanged
from pq_core.payload import clean_text
from pq_core.retry import BaseRetryStrategy
from pq_core.schedule import NewSchedule
from pq_core.upcasting import Upcasters
from pq_core.verdicts import Cancel, Fail, Retry, Snooze, decision, words

Keep = Literal["all", "failed", "none"]
"""Which ended jobs stay in the history: all of them, only failures, or none."""
Stop = Literal["cancel", "shutdown", "timeout"]
"""Why a run is asked to stop: someone cancelled the job, the worker ends, or the task's `timeout` is over."""
RunsIn = Literal["process"]
"""Where else than in the worker itself a sync task may run."""
MAX_WORDS = 1_000
"""Characters kept of what a task says: of its progress, or of why it ends."""


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
    @property
    def timeout(self) -> timedelta | None: ...
    @property
    def store_result(self) -> bool: ...
    @property
    def version(self) -> int: ...
    @property
    def upcast(self) -> Upcasters: ...
    @property
    def executor(self) -> RunsIn | None: ...
    @property
    def by_keyword(self) -> bool: ...

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
    @property
    def worker_lifespan(self) -> Lifespan | None: ...
    @property
    def hooks(self) -> Hooks: ...
    def declared_schedules(self) -> Sequence[NewSchedule]: ...


class Steered(Protocol):
    """What stands behind a context: the run."""

    @property
    def progress(self) -> dict[str, Any] | None: ...

    def stop_reason(self) -> Stop | None:
        """Return why it is to stop, as of now."""
        ...

    def should_stop(self) -> bool:
        """Return whether it is to stop, and remember that the task knows."""
        ...

    def tell(self, fraction: float | None, message: str | None, /) -> None:
        """Take note of how far the task is."""
        ...


@attrs.frozen(kw_only=True, eq=False, slots=False)  # one is made for each run, by `fact_of`
class JobContext:
    """The surroundings of one run: the first argument of a task with ``pass_context=True``.

    .. versionadded:: 0.1

    Attributes:
        job: the job, as it was when it was claimed.
        task: the task that it runs.
        app: the app that the worker serves.
        worker_name: the name of the worker.
        state: what the app's `worker_lifespan` gave, of which a process of its own knows nothing: there it is None.
    """

    job: Job
    task: RunnableTask
    app: Host
    worker_name: str
    state: Any = attrs.field(default=None, repr=False)
    _run: Steered = attrs.field(repr=False, alias="run")
    _connection: Any = attrs.field(default=None, repr=False, alias="connection")

    @property
    def connection(self) -> Any:
        """The connection of a task with ``delivery="transactional"``: what it does there is done if the job succeeds.

        A `Connection` of psycopg for a sync task, an `AsyncConnection` for an async one, in an open transaction, which
        the worker commits together with the end of the job. As `connection=` it defers jobs in that transaction. In
        memory it can do that only.

        Raises:
            TransactionRequired: the task has none.
        """
        if self._connection is None:
            raise TransactionRequired(
                f"task {self.task.name!r} runs in no transaction; declare it with delivery='transactional'"
            )
        return self._connection

    def should_stop(self) -> bool:
        """Return whether the job is to stop: see :attr:`stop_reason`. Safe in any thread.

        A task to which this has answered True counts as stopped, however it then ends, unless with a verdict such as
        :meth:`snooze`: a cancelled job ends as cancelled, a job of a worker that shuts down goes back to its queue, and
        one whose time is up has failed with `TaskTimedOut`.
        """
        return self._run.should_stop()

    @property
    def stop_reason(self) -> Stop | None:
        """Why the job is to stop: ``"cancel"``, ``"shutdown"`` or ``"timeout"``; None if it may go on.

        To look at it decides nothing, as :meth:`should_stop` does.
        """
        return self._run.stop_reason()

    def progress(self, fraction: float | None, message: str | None = None) -> None:
        """Say how far the run is: it stands in the job's `progress` soon after.

        Safe in any thread, and cheap: the worker stores the latest, at most once a second, and the last with the end.

        Args:
            fraction: from 0 to 1, or None if it cannot be told.
            message: a text, of which 1,000 characters are kept.

        Raises:
            InvalidOption: it is neither.
        """
        if fraction is not None and not _is_fraction(fraction):
            raise InvalidOption(f"progress {shown(fraction)} is not a number from 0 to 1; None means that nobody knows")
        text = None if message is None else clean_text(words("message", message, most=MAX_WORDS))
        self._run.tell(None if fraction is None else float(fraction), text)

    @property
    def latest_progress(self) -> dict[str, Any] | None:
        """What this run said last of its progress: ``fraction`` and ``message``; None if it said nothing."""
        return self._run.progress

    def retry(
        self,
        why: str = "the task asked for another run",
        *,
        schedule_in: float | timedelta | Delay | None = None,
        schedule_at: datetime | None = None,
        queue: str | None = None,
        priority: int | None = None,
        lock: str | Unchanged | None = UNCHANGED,
    ) -> NoReturn:
        """End this run, and let the job run again, whatever its retry strategy says. This attempt is spent.

        Args:
            why: stands among the job's errors, with the exception that is being handled, if there is one.
            schedule_in: seconds, a timedelta, or a dict such as ``{"minutes": 5}``; without a time, at once.
            schedule_at: an aware datetime; one in the past means at once.
            queue: the queue to move to; None to stay.
            priority: the priority from now on; None to keep it.
            lock: the lock from now on; None for no lock; UNCHANGED to keep it.

        Raises:
            Verdict: always; let it through.
            InvalidOption: a value that no job may have; or the job is to run at most once.
        """
        if self.job.delivery == "at_most_once":
            raise InvalidOption(
                f"job {self.job.id} has the delivery 'at_most_once', which means that it never runs again; use "
                "context.snooze(...) if it has done nothing yet, or context.fail(...)"
            )
        where = decision(schedule_in, schedule_at, queue=queue, priority=priority, lock=lock)
        raise Retry(where, words("why", why, most=MAX_WORDS))

    def snooze(
        self, schedule_in: float | timedelta | Delay | None = None, *, schedule_at: datetime | None = None
    ) -> NoReturn:
        """End this run, and let the job run again later, as if it had not run now. No attempt is spent.

        Args:
            schedule_in: seconds, a timedelta, or a dict such as ``{"minutes": 5}``.
            schedule_at: an aware datetime; one in the past means at once.

        Raises:
            Verdict: always; let it through.
            InvalidOption: no time, two of them, or one at which no job may be due.
        """
        if schedule_in is None and schedule_at is None:
            raise InvalidOption("snooze: say until when, with schedule_in=... or schedule_at=...")
        raise Snooze(decision(schedule_in, schedule_at))

    def fail(self, why: str, *, no_retry: bool = False) -> NoReturn:
        """End this run as failed, with `TaskFailed`.

        Args:
            why: the message of the error.
            no_retry: whether the job ends as failed, too; otherwise its retry strategy decides, as after any error.

        Raises:
            Verdict: with ``no_retry=True``; let it through.
            TaskFailed: otherwise.
            InvalidOption: `why` is not a text.
        """
        why = words("why", why, most=MAX_WORDS)
        raise (Fail(why) if no_retry else TaskFailed(why))

    def cancel(self, why: str) -> NoReturn:
        """End this run, and the job as cancelled.

        Args:
            why: the job's `reason`.

        Raises:
            Verdict: always; let it through.
            InvalidOption: `why` is not a text.
        """
        raise Cancel(words("why", why, most=MAX_WORDS))


stand_for_defaults(JobContext)


def _is_fraction(value: Any) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and 0 <= value <= 1  # neither is infinity, nor NaN


def current_context() -> JobContext | None:
    """Return the context of the job that runs here, or None outside of a job.

    .. versionadded:: 0.1
    """
    return CURRENT.get()


CURRENT: ContextVar[JobContext | None] = ContextVar("pq_job_context", default=None)
