"""Runs that their worker does not let end: their jobs run again, unless they are to run at most once."""

from __future__ import annotations

from pq_core.errors import WorkerLost
from pq_core.job import Job
from pq_core.outcome import Outcome


def runs_once(job: Job) -> bool:
    """Return whether a run that has begun is the only one that the job ever has."""
    return job.delivery == "at_most_once"


def cut_short(job: Job) -> Outcome:
    """Return the outcome of a run that was cut off, wherever it was."""
    return Outcome.failed(job, the_end(job)) if runs_once(job) else Outcome.released(job)


def the_end(job: Job, cause: BaseException | None = None) -> WorkerLost:
    """Return the error of a job that runs at most once, and was stopped because its worker was.

    Args:
        job: is named.
        cause: what the task raised when it was told.
    """
    error = WorkerLost(f"the worker stopped while job {job.id} ran; delivered at most once, it does not run again")
    error.__cause__ = cause
    return error
