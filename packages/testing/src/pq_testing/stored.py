"""All jobs that a store has, page by page."""

from __future__ import annotations

from pq_core.connector import JobFilter, SyncConnector
from pq_core.job import Job

PAGE = 1_000


def stored_jobs(store: SyncConnector) -> list[Job]:
    """Return the jobs of a store, live and ended ones, by id."""
    jobs: list[Job] = []
    while page := store.find(JobFilter(), limit=PAGE, after=jobs[-1].id if jobs else 0):
        jobs += page
    return jobs
