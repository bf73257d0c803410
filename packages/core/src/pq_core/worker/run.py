"""One run of one job in this worker, from its claim to its outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import attrs

from pq_core.job import Job

Stop = Literal["cancel", "shutdown"]
"""Why a run is asked to stop: someone cancelled the job, or the worker ends."""


@attrs.define(eq=False)
class Run:
    """A job that was claimed, and that waits for a slot or has one.

    Attributes:
        since: when it was claimed; when its slot took it, once it has one. Seconds of `time.perf_counter`.
        interrupt: cancels the runner that it has.
        interruptible: whether that reaches the task now: it is async, and it runs.
        stop_asked: why it is to stop, if it is.
        stop_seen: whether the task knows that.
    """

    job: Job
    since: float
    interrupt: Callable[[], object] | None = None
    interruptible: bool = False
    stop_asked: Stop | None = None
    stop_seen: bool = False

    def stop(self, why: Stop) -> None:
        """Ask the run to stop. The first reason counts."""
        if self.stop_asked is None:
            self.stop_asked = why
            if self.interruptible and self.interrupt is not None:
                self.interrupt()

    def should_stop(self) -> bool:
        """Return whether it was asked to stop, and remember that the task knows."""
        if self.stop_asked is None:
            return False
        self.stop_seen = True
        return True
