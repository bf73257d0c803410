"""When a worker ends by itself, so that a fresh process takes its place: what leaks, leaks no further."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from pq_core.outcome import Outcome

BETWEEN_LOOKS = 1.0
"""Seconds between looks at the memory; only the end of a job is a reason to look."""
MEGABYTE = 2**20


class Recycling:
    """Counts the runs of one worker, and looks at the memory that its process uses.

    Args:
        max_jobs: runs after which the worker ends; None: it does not.
        max_memory: megabytes of memory, the resident set, above which it ends; None: it does not.
        recycle: is called, once, with the reason in words.
    """

    def __init__(self, *, max_jobs: int | None, max_memory: float | None, recycle: Callable[[str], None]) -> None:
        self._max_jobs = max_jobs
        self._max_memory = max_memory
        self._recycle = recycle
        self._runs = 0
        self._next_look = 0.0
        self._done = False

    def watched(self, put: Callable[[Outcome], None]) -> Callable[[Outcome], None]:
        """Return what takes outcomes as `put` does, and counts them; `put` itself if nothing is to be counted."""
        if self._max_jobs is None and self._max_memory is None:
            return put

        def count_and_put(outcome: Outcome) -> None:
            put(outcome)
            if outcome.kind != "released" and not self._done:
                self._runs += 1
                self._judge()

        return count_and_put

    def _judge(self) -> None:
        if self._max_jobs is not None and self._runs >= self._max_jobs:
            self._end(f"it has run {self._runs} jobs")
        elif self._max_memory is not None and (now := monotonic()) >= self._next_look:
            self._next_look = now + BETWEEN_LOOKS
            used = resident_memory() / MEGABYTE
            if used > self._max_memory:
                self._end(f"it uses {used:.0f} MB of memory, which is more than {self._max_memory:g}")

    def _end(self, reason: str) -> None:
        self._done = True
        self._recycle(reason)


def resident_memory() -> int:
    """Return the bytes of memory that this process uses now; where the system does not tell, the most it ever used."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource  # not on Windows, where no worker is recycled for its memory

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
