"""Waiting for the end of a job: by the store's word, and by looking again now and then, should that get lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from time import monotonic

import attrs

from pq_core.connector import Connector, SyncConnector
from pq_core.delays import Delay, as_wait
from pq_core.errors import JobNotFound, WaitTimedOut, shown
from pq_core.given import as_option, check_id
from pq_core.job import Job
from pq_core.selection import JobFilter

Timeout = float | timedelta | Delay | None
"""Seconds, a timedelta, or a dict such as ``{"minutes": 5}``; None: for ever."""
FIRST_LOOK = 0.25
"""Seconds after which a job is looked at again without word of its end; then twice as many, and so on."""
LONGEST_BETWEEN_LOOKS = 5.0


@attrs.frozen
class JobHandle:
    """One job, to wait for.

    .. versionadded:: 0.1

    Attributes:
        id: of the job.
    """

    _connector: Callable[[], Connector] = attrs.field(repr=False)
    id: int

    def get(self) -> Job:
        """Return the job as it is now.

        Raises:
            JobNotFound: there is none with that id, or it was forgotten.
        """
        return look(self._connector().sync, self.id)

    async def get_async(self) -> Job:
        """Do what :meth:`get` does."""
        return await look_async(self._connector(), self.id)

    def wait(self, timeout: Timeout = None) -> Job:
        """Return the job when it has ended, however it did; its `state` says that, `result` what it returned.

        Nothing here runs the job: a worker does, or in a test ``run_jobs()``, before this is called.

        Args:
            timeout: seconds, a timedelta, or a dict such as ``{"minutes": 5}``, of real time; None: for ever.

        Raises:
            WaitTimedOut: it has not ended by then.
            JobNotFound: there is no such job, or it left no trace.
            InvalidOption: the timeout is no length of time.
        """
        return wait(self._connector().sync, self.id, timeout)

    async def wait_async(self, timeout: Timeout = None) -> Job:  # noqa: ASYNC109 - as every queue calls it
        """Do what :meth:`wait` does."""
        return await wait_async(self._connector(), self.id, timeout)


def look(connector: SyncConnector, job_id: int) -> Job:
    """Return a job.

    Raises:
        JobNotFound: there is none with that id.
    """
    return only(job_id, connector.find(JobFilter(ids=[check_id(job_id)])))


async def look_async(connector: Connector, job_id: int) -> Job:
    """Do what :func:`look` does."""
    return only(job_id, await connector.find(JobFilter(ids=[check_id(job_id)])))


def only(job_id: int, found: Sequence[Job]) -> Job:
    """Return the one job that was found.

    Raises:
        JobNotFound: none was.
    """
    if not found:
        raise JobNotFound(f"no job has the id {shown(job_id)}: it was never stored, or it has ended and was pruned")
    return found[0]


def wait(connector: SyncConnector, job_id: int, timeout: Timeout) -> Job:
    """Return a job when it has ended; see :meth:`JobHandle.wait`."""
    patience = Patience.of(timeout)
    job = look(connector, job_id)
    if job.ended:
        return job
    with connector.watch(job_id) as watch:
        while not (job := look(connector, job_id)).ended:
            watch.wait(patience.pause(job))
    return job


async def wait_async(connector: Connector, job_id: int, timeout: Timeout) -> Job:  # noqa: ASYNC109 - as above
    """Return a job when it has ended; see :meth:`JobHandle.wait`."""
    patience = Patience.of(timeout)
    job = await look_async(connector, job_id)
    if job.ended:
        return job
    async with connector.watch(job_id) as watch:
        while not (job := await look_async(connector, job_id)).ended:
            await watch.wait(patience.pause(job))
    return job


@attrs.define
class Patience:
    """How long to wait, in all and until the next look."""

    _timeout: float | None
    _began: float = attrs.field(factory=monotonic)
    _next: float = FIRST_LOOK

    @classmethod
    def of(cls, timeout: Timeout) -> Patience:
        """Begin to wait.

        Raises:
            InvalidOption: the timeout is no length of time.
        """
        with as_option():
            return cls(None if timeout is None else as_wait(timeout, "timeout").total_seconds())

    def pause(self, job: Job) -> float:
        """Return the seconds until the next look.

        Raises:
            WaitTimedOut: there are none left.
        """
        pause, self._next = self._next, min(2 * self._next, LONGEST_BETWEEN_LOOKS)
        if self._timeout is None:
            return pause
        left = self._began + self._timeout - monotonic()
        if left <= 0:
            raise WaitTimedOut(
                f"job {job.id} ({job.task}) has not ended within {self._timeout:g} s: it is {job.state}. A worker of "
                f"the queue {job.queue!r} has to run it; in a test, call run_jobs() before"
            )
        return min(pause, left)
