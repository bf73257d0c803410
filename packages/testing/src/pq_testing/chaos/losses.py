"""What the death of its worker means for a job."""

from __future__ import annotations

from pq_core.job import Job


def would_end(job: Job) -> bool:
    """Return whether the death of the worker that runs it would end the job for good."""
    return job.delivery == "at_most_once" or job.losses + 1 >= job.max_losses
