"""`app.jobs`: to look at stored jobs and to change them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

import attrs

from pq_core.answers import JobState, Pause
from pq_core.connector import Connector
from pq_core.deferrer import refuse_unknown, time_fields
from pq_core.delays import Delay
from pq_core.explain import Explanation, explain, explain_async
from pq_core.given import check_id
from pq_core.job import Job
from pq_core.job_search import Call, Ids, Search, Which, change, hold, hold_async, job_filter, meant
from pq_core.outcome import UNCHANGED, Unchanged
from pq_core.selection import JobChanges, JobFilter
from pq_core.states import ENDED, LIVE, WAITING, State
from pq_core.task import Task
from pq_core.waiting import JobHandle, Timeout, only

CANCELLED_BY_REQUEST = "cancelled by request"
NO_SEARCH: Search = {}


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
    expires_at: datetime | None
    """Aware: cancelled unless it is started by then. None for never."""


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
            which: ids, or what the jobs have in common; see :class:`Search`.

        Raises:
            InvalidOption: there is no such option, or it has a value that it cannot have.
        """
        return self._connector().sync.find(job_filter(which), limit=limit, after=after)

    async def find_async(self, *, limit: int = 100, after: int = 0, **which: Unpack[Which]) -> list[Job]:
        """Do what :meth:`find` does."""
        return await self._connector().find(job_filter(which), limit=limit, after=after)

    def count(self, **which: Unpack[Which]) -> dict[State, int]:
        """Return how many jobs fit, by state; every state is there.

        Raises:
            InvalidOption: there is no such option, or it has a value that it cannot have.
        """
        return self._connector().sync.count(job_filter(which))

    async def count_async(self, **which: Unpack[Which]) -> dict[State, int]:
        """Do what :meth:`count` does."""
        return await self._connector().count(job_filter(which))

    def cancel(
        self,
        ids: Ids | None = None,
        *,
        reason: str = CANCELLED_BY_REQUEST,
        everything: bool = False,
        **search: Unpack[Search],
    ) -> list[JobState]:
        """End waiting jobs as cancelled, and ask running ones to stop; return those with their state after it.

        Jobs that have ended, or never were, are left alone and not in the answer.

        Args:
            ids: the jobs, by their ids: all in one transaction.
            reason: why, in words; kept with the job.
            everything: all jobs.
            search: what the jobs have in common, in place of ids: see :class:`Search`. They are looked up and changed a
                thousand at a time, each thousand in a transaction. Without a `state`, live jobs are meant.

        Raises:
            InvalidOption: nothing says which jobs are meant, or both ids and a search do; these are not ids; there is
                no such option; or the reason is not a text.
        """
        which = meant("cancel", ids, search, everything=everything, states=LIVE)
        return hold(change(which, _cancel(reason)), self._connector().sync)

    async def cancel_async(
        self,
        ids: Ids | None = None,
        *,
        reason: str = CANCELLED_BY_REQUEST,
        everything: bool = False,
        **search: Unpack[Search],
    ) -> list[JobState]:
        """Do what :meth:`cancel` does."""
        which = meant("cancel", ids, search, everything=everything, states=LIVE)
        return await hold_async(change(which, _cancel(reason)), self._connector())

    def retry(self, ids: Ids | None = None, *, everything: bool = False, **search: Unpack[Search]) -> list[JobState]:
        """Make ended jobs run again, under their ids and with all their attempts; return those.

        Jobs that have not ended, or never were, are left alone and not in the answer; so are those whose unique key is
        taken.

        Args:
            ids: the jobs, by their ids.
            everything: all failed jobs.
            search: as with :meth:`cancel`. Without a `state`, failed jobs are meant.

        Raises:
            InvalidOption: as with :meth:`cancel`.
        """
        which = meant("retry", ids, search, everything=everything, states=_FAILED, possible=ENDED)
        return hold(change(which, _retry), self._connector().sync)

    async def retry_async(
        self, ids: Ids | None = None, *, everything: bool = False, **search: Unpack[Search]
    ) -> list[JobState]:
        """Do what :meth:`retry` does."""
        which = meant("retry", ids, search, everything=everything, states=_FAILED, possible=ENDED)
        return await hold_async(change(which, _retry), self._connector())

    def reschedule(
        self,
        ids: Ids | None = None,
        *,
        where: Search = NO_SEARCH,
        everything: bool = False,
        **changes: Unpack[Changes],
    ) -> list[JobState]:
        """Change when, where or under which lock waiting jobs run; return those with their state after it.

        Jobs that run, have ended, or never were, are left alone and not in the answer.

        Args:
            ids: the jobs, by their ids.
            where: what the jobs have in common, in place of ids, as a dict: ``{"queue": "mail"}``. For the rest as
                with :meth:`cancel`. Without a `state`, waiting jobs are meant.
            everything: all waiting jobs.
            changes: the new values.

        Raises:
            InvalidJob: a value that no job may have.
            InvalidOption: there is no such option, or as with :meth:`cancel`.
        """
        which = meant("reschedule", ids, where, everything=everything, states=WAITING)
        return hold(change(which, _reschedule(changes)), self._connector().sync)

    async def reschedule_async(
        self,
        ids: Ids | None = None,
        *,
        where: Search = NO_SEARCH,
        everything: bool = False,
        **changes: Unpack[Changes],
    ) -> list[JobState]:
        """Do what :meth:`reschedule` does."""
        which = meant("reschedule", ids, where, everything=everything, states=WAITING)
        return await hold_async(change(which, _reschedule(changes)), self._connector())

    def delete(self, ids: Ids | None = None, *, everything: bool = False, **search: Unpack[Search]) -> list[int]:
        """Delete jobs that wait or have ended, so that no trace of them is left; return their ids.

        For personal data that must not be kept. Running jobs are left alone and not in the answer.

        Args:
            ids: the jobs, by their ids.
            everything: all jobs that wait or have ended.
            search: as with :meth:`cancel`. Without a `state`, all but running jobs are meant.

        Raises:
            InvalidOption: as with :meth:`cancel`.
        """
        which = meant("delete", ids, search, everything=everything, states=_DELETABLE)
        return hold(change(which, _delete), self._connector().sync)

    async def delete_async(
        self, ids: Ids | None = None, *, everything: bool = False, **search: Unpack[Search]
    ) -> list[int]:
        """Do what :meth:`delete` does."""
        which = meant("delete", ids, search, everything=everything, states=_DELETABLE)
        return await hold_async(change(which, _delete), self._connector())

    def pause(
        self, queue: str | None = None, *, task: str | Task[..., Any] | None = None, everything: bool = False
    ) -> None:
        """Let no job of a queue, of a task, or no job at all, be fetched until it is resumed. Running ones run on.

        Raises:
            InvalidOption: nothing is named, or more than one of them.
            InvalidJob: no queue, or no task, can have that name.
        """
        self._connector().sync.pause(queue, task=_name(task), everything=everything)

    async def pause_async(
        self, queue: str | None = None, *, task: str | Task[..., Any] | None = None, everything: bool = False
    ) -> None:
        """Do what :meth:`pause` does."""
        await self._connector().pause(queue, task=_name(task), everything=everything)

    def resume(
        self, queue: str | None = None, *, task: str | Task[..., Any] | None = None, everything: bool = False
    ) -> None:
        """Undo a :meth:`pause` of the same; other pauses stay.

        Raises:
            InvalidOption, InvalidJob: as with :meth:`pause`.
        """
        self._connector().sync.resume(queue, task=_name(task), everything=everything)

    async def resume_async(
        self, queue: str | None = None, *, task: str | Task[..., Any] | None = None, everything: bool = False
    ) -> None:
        """Do what :meth:`resume` does."""
        await self._connector().resume(queue, task=_name(task), everything=everything)

    def pauses(self) -> list[Pause]:
        """Return what is paused, and since when."""
        return self._connector().sync.pauses()

    async def pauses_async(self) -> list[Pause]:
        """Do what :meth:`pauses` does."""
        return await self._connector().pauses()


_FAILED = frozenset({State.FAILED})
_DELETABLE = WAITING | ENDED


def _cancel(reason: str) -> Callable[[Sequence[int]], Call]:
    return lambda ids: Call("cancel", (ids,), {"reason": reason})


def _retry(ids: Sequence[int]) -> Call:
    return Call("retry", (ids,))


def _reschedule(changes: Changes) -> Callable[[Sequence[int]], Call]:
    refuse_unknown("reschedule", changes, Changes)
    lock: str | Unchanged | None = changes.get("lock", UNCHANGED)
    expires_at: datetime | Unchanged | None = changes.get("expires_at", UNCHANGED)
    times = time_fields(changes.get("schedule_at"), changes.get("schedule_in"))
    new = JobChanges(
        queue=changes.get("queue"), priority=changes.get("priority"), lock=lock, expires_at=expires_at, **times
    )
    return lambda ids: Call("reschedule", (ids, new))


def _delete(ids: Sequence[int]) -> Call:
    return Call("purge", (ids,))


def _name(task: str | Task[..., Any] | None) -> str | None:
    return task.located_name if isinstance(task, Task) else task
