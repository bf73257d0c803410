"""Finds jobs that the store believes to run here, and that do not.

A fetch whose answer never arrived may have claimed jobs. Their worker lives, so nobody would ever rescue them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic

from pq_core.connector import Connector
from pq_core.log import fields
from pq_core.outcome import Outcome
from pq_core.selection import JobFilter
from pq_core.states import State

logger = logging.getLogger("pq_core.worker")

PAGE = 1000


class Inventory:
    """Compares the store's list of running jobs with the worker's own, after a fetch has failed.

    Args:
        connector: the store.
        worker: the worker's id.
        claims: tells the (job id, claim) of all jobs that the worker knows to be its own.
        release: takes an outcome for each job that is not.
        settled: seconds after which a statement that lost its client has surely ended in the store.
    """

    def __init__(
        self,
        connector: Connector,
        worker: int,
        *,
        claims: Callable[[], set[tuple[int, int]]],
        release: Callable[[Outcome], None],
        settled: float,
    ) -> None:
        self._connector = connector
        self._worker = worker
        self._claims = claims
        self._release = release
        self._settled = settled
        self._due: list[float] = []

    def suspect(self) -> None:
        """Take note that a fetch has failed: look at once, and again when no trace of it can be left in the store."""
        now = monotonic()
        self._due = [now, now + self._settled]

    @property
    def due(self) -> bool:
        """Whether a fetch has failed, and it is time to look."""
        return bool(self._due) and monotonic() >= self._due[0]

    async def check(self) -> None:
        """Give back the jobs that nobody runs, if that is due. No fetch may be under way meanwhile."""
        if not self.due:
            return
        known = self._claims()
        running = JobFilter(states=[State.RUNNING])
        after, page = 0, PAGE
        while page == PAGE:
            jobs = await self._connector.find(running, limit=PAGE, after=after)
            for job in jobs:
                if job.worker == self._worker and (job.id, job.claim) not in known:
                    self._give_back(Outcome.released(job))
            page = len(jobs)
            after = jobs[-1].id if jobs else after
        self._due.pop(0)

    def _give_back(self, outcome: Outcome) -> None:
        logger.warning(
            "Job %s was claimed by a fetch whose answer was lost; it goes back to its queue",
            outcome.job_id,
            extra=fields("fetch_lost", job={"id": outcome.job_id, "claim": outcome.claim}),
        )
        self._release(outcome)
