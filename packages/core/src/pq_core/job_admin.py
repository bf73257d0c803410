"""`app.jobs`: to look at stored jobs and to change them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

import attrs

from pq_core.connector import Connector, JobChanges, JobFilter, JobState
from pq_core.deferrer import refuse_unknown, time_fields
from pq_core.delays import Delay
from pq_core.explain import Explanation, explain, explain_async
from pq_core.given import check_id, check_ids, check_states
from pq_core.job import Job
from pq_core.outcome import UNCHANGED, Unchanged
from pq_core.states import State
from pq_core.task import Task
from pq_core.waiting import JobHandle, Timeout, only

Ids = int | Iterable[int]
"""One id, or several."""
CANCELLED_BY_REQUEST = "cancelled by request"


class Which(TypedDict, total=False):
    """Which jobs are meant: those that fit all that is given.

    .. versionadded:: 0.1
    """

    ids: Ids
    queue: str
    task: str | Task[..., Any]
    state: str | Iterable[str]
    """One state, or several: see :class:`State`."""
    lock: str


class Changes(TypedDict, total=False):
    """What `reschedule` changes; what is not given stays.

    .. versionadded:: 0.1
    """

    schedule_at: datetime | None
    """Aware. Excludes `schedule_in`."""
    schedule_in: Delay | timedelta | None
    """From now; zero means at once."""
    queue: str
    priority: int
    lock: str | None
    """None for no lock."""


@attrs.frozen
class JobAdmin:
    """The jobs of an app: to look at and to change, sync and async.

    .. versionadded:: 0.1
    """

    _connector: Callable[[], Connector]

    def get(self, job_id: int) -> Job:
        """Return the job with that id, live or ended.

        Raises:
            JobNotFound: there is none, or it was pruned.
            InvalidOption: `job_id` is not a whole number.
        """
        return only(job_id, self._connector().sync.find(JobFilter(ids=[check_id(job_id)])))

    async def get_async(self, job_id: int) -> Job:
        """Do what :meth:`get` does."""
        return only(job_id, await self._connector().find(JobFilter(ids=[check_id(job_id)])))

    def explain(self, job_id: int) -> Explanation:
        """Say why a job does not run: what holds it up, who runs it, or how it ended.

        Raises:
            JobNotFound: there is none, or it was pruned.
            InvalidOption: `job_id` is not a whole number.
        """
        return explain(self._connector().sync, job_id)

    async def explain_async(self, job_id: int) -> Explanation:
        """Do what :meth:`explain` does."""
        return await explain_async(self._connector(), job_id)

    def handle(self, job_id: int) -> JobHandle:
        """Return a handle on a job, to keep and to wait for; nothing is looked up.

        Raises:
            InvalidOption: `job_id` is not a whole number.
        """
        return JobHandle(self._connector, check_id(job_id))

    def wait(self, job_id: int, timeout: Timeout = None) -> Job:
        """Return a job when it has ended, however it did: see :meth:`JobHandle.wait`."""
        return self.handle(job_id).wait(timeout)

    async def wait_async(self, job_id: int, timeout: Timeout = None) -> Job:  # noqa: ASYNC109 - as every queue calls it
        """Do what :meth:`wait` does."""
        return await self.handle(job_id).wait_async(timeout)

    def find(self, *, limit: int = 100, after: int = 0, **which: Unpack[Which]) -> list[Job]:
        """Return jobs that fit, in order of their ids.

        Args:
            limit: how many at most.
            after: only jobs with a higher id: that of the last one found, to go on from there.
            which: ids, queue, task, state, lock.

        Raises:
            InvalidOption: there is no such option, or it has a value that it cannot have.
        """
        return self._connector().sync.find(_filter(which), limit=limit, after=after)

    async def find_async(self, *, limit: int = 100, after: int = 0, **which: Unpack[Which]) -> list[Job]:
        """Do what :meth:`find` does."""
        return await self._connector().find(_filter(which), limit=limit, after=after)

    def count(self, **which: Unpack[Which]) -> dict[State, int]:
        """Return how many jobs fit, by state; every state is there.

        Raises:
            InvalidOption: there is no such option, or it has a value that it cannot have.
        """
        return self._connector().sync.count(_filter(which))

    async def count_async(self, **which: Unpack[Which]) -> dict[State, int]:
        """Do what :meth:`count` does."""
        return await self._connector().count(_filter(which))

    def cancel(self, ids: Ids, *, reason: str = CANCELLED_BY_REQUEST) -> list[JobState]:
        """End waiting jobs as cancelled, and ask running ones to stop; return those with their state after it.

        Jobs that have ended, or never were, are left alone and not in the answer.

        Raises:
            InvalidOption: these are not ids, or the reason is not a text.
        """
        return self._connector().sync.cancel(_listed(ids), reason=reason)

    async def cancel_async(self, ids: Ids, *, reason: str = CANCELLED_BY_REQUEST) -> list[JobState]:
        """Do what :meth:`cancel` does."""
        return await self._connector().cancel(_listed(ids), reason=reason)

    def retry(self, ids: Ids) -> list[JobState]:
        """Make ended jobs run again, under their ids and with all their attempts; return those.

        Jobs that have not ended, or never were, are left alone and not in the answer.

        Raises:
            InvalidOption: these are not ids.
        """
        return self._connector().sync.retry(_listed(ids))

    async def retry_async(self, ids: Ids) -> list[JobState]:
        """Do what :meth:`retry` does."""
        return await self._connector().retry(_listed(ids))

    def reschedule(self, ids: Ids, **changes: Unpack[Changes]) -> list[JobState]:
        """Change when, where or under which lock waiting jobs run; return those with their state after it.

        Jobs that run, have ended, or never were, are left alone and not in the answer.

        Raises:
            InvalidJob: a value that no job may have.
            InvalidOption: there is no such option, or these are not ids.
        """
        return self._connector().sync.reschedule(_listed(ids), _changes(changes))

    async def reschedule_async(self, ids: Ids, **changes: Unpack[Changes]) -> list[JobState]:
        """Do what :meth:`reschedule` does."""
        return await self._connector().reschedule(_listed(ids), _changes(changes))


def _filter(which: Which) -> JobFilter:
    refuse_unknown("a search for jobs", which, Which)
    ids, task, state = which.get("ids"), which.get("task"), which.get("state")
    return JobFilter(
        ids=None if ids is None else _listed(ids),
        queue=which.get("queue"),
        task=task.located_name if isinstance(task, Task) else task,
        states=None if state is None else _states(state),
        lock=which.get("lock"),
    )


def _states(given: str | Iterable[str]) -> Sequence[State]:
    return check_states([given] if isinstance(given, str) else given)


def _listed(ids: Ids) -> Sequence[int]:
    return check_ids([ids] if isinstance(ids, int) else ids)


def _changes(changes: Changes) -> JobChanges:
    refuse_unknown("reschedule", changes, Changes)
    lock: str | Unchanged | None = changes.get("lock", UNCHANGED)
    times = time_fields(changes.get("schedule_at"), changes.get("schedule_in"))
    return JobChanges(queue=changes.get("queue"), priority=changes.get("priority"), lock=lock, **times)
