"""What a worker hears of the store, and whether it hears at all."""

from __future__ import annotations

from collections.abc import Callable

from pq_core.hearing import Room

SELDOM = 6
"""So many times less often a worker looks for jobs by itself, while it hears of all that it looks for."""
VERY_SELDOM = 12
"""Likewise, for schedules: nobody ever relies on what another tells of them."""


def between_looks(interval: float, seldom: int, *, hears: bool) -> float:
    """Return the seconds between two looks of a worker that has nothing else to go by."""
    return interval * seldom if hears else interval


class Hearing:
    """The worker's :class:`pq_core.hearing.Hearer`.

    Args:
        worker: its id.
        look: is called when there may be something to fetch.
        offer: likewise, when that is told; returns how many jobs may be claimed for the worker, which will fetch them.
        stop: is called when a job of the worker was asked to stop, or may have been.
        tick: is called when schedules have changed, if that is told, or that is not told any more.
    """

    def __init__(
        self,
        worker: int,
        *,
        look: Callable[[], None],
        offer: Callable[[], int],
        stop: Callable[[], None],
        tick: Callable[[], None],
    ) -> None:
        self._worker = worker
        self._look = look
        self._offer = offer
        self._stop = stop
        self._tick = tick
        self._works = False

    def works(self) -> bool:
        """Return whether all that the worker looks for is told as well."""
        return self._works

    def fall_silent(self) -> None:
        """Take note that nothing is told from now on; what was, may have been lost."""
        if self._works:
            self._works = False
            self()
            self._tick()

    def __call__(self) -> None:
        """Take news of any kind."""
        self._look()
        self._stop()

    def started(self) -> None:
        """Take note that all is told from now on; what happened before, nobody has heard."""
        self._works = True
        self()
        self._tick()

    def jobs(self) -> Room | None:
        """Take news of jobs."""
        jobs = self._offer()
        return Room(self._worker, jobs) if jobs else None

    def stop(self, worker: int) -> None:
        """Take news of jobs that are to stop."""
        if worker == self._worker:
            self._stop()

    def schedules(self) -> None:
        """Take news of schedules."""
        self._tick()
