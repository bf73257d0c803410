"""Tells of jobs that failed because their worker is gone: no executor was there to do so."""

from __future__ import annotations

from collections.abc import Sequence

from pq_core.answers import JobState
from pq_core.connector import Connector
from pq_core.errors import WorkerLost
from pq_core.events import Hooks, JobFailed
from pq_core.job import Job
from pq_core.selection import JobFilter
from pq_core.states import State

PAGE = 1_000


async def tell_of_losses(connector: Connector, given_back: Sequence[JobState], *, hooks: Hooks, worker: str) -> None:
    """Tell of those among the jobs of workers that are gone that have failed for it.

    Args:
        connector: the store; it is asked only if somebody listens, and something has failed.
        given_back: the answer of `rescue` or `leave`.
        hooks: are told.
        worker: the name of the worker that tells.

    Raises:
        Exception: whatever the store raises.
    """
    if JobFailed not in hooks.functions:
        return
    failed = [job.id for job in given_back if job.state == State.FAILED]
    for start in range(0, len(failed), PAGE):
        for job in await connector.find(JobFilter(ids=failed[start : start + PAGE]), limit=PAGE):
            hooks.tell(JobFailed(worker=worker, job=job, seconds=0.0, error=WorkerLost(_words(job))))


def _words(job: Job) -> str:
    return str(job.errors[-1]["message"]) if job.errors else "its worker was lost"
