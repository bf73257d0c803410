"""One run of one job in this worker, from its claim to its outcome."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import attrs

from pq_core.context import Stop
from pq_core.job import Job

SLACK = 1e-5
"""Seconds by which a deadline may count as past too early: clocks are read in microseconds."""


@attrs.define(eq=False)
class Run:
    """A job that was claimed, and that waits for a slot or has one.

    Attributes:
        since: when it was claimed; when its slot took it, once it has one. Seconds of `time.perf_counter`.
        interrupt: cancels the runner that it has.
        interruptible: whether that reaches the task now: it is async, and it runs.
        stop_asked: why it is to stop, if it is.
        stop_seen: whether the task knows that.
        deadline: when its time is up, in seconds of `timer`; None if it may take as long as it likes.
        timer: tells the time of the deadline.
        waited: whether the event loop has had a turn since its slot took it.
        progress: what the task said last of how far it is: a dict with ``fraction`` and ``message``. A new one each
            time, never changed.
    """

    job: Job
    since: float
    interrupt: Callable[[], object] | None = None
    interruptible: bool = False
    stop_asked: Stop | None = None
    stop_seen: bool = False
    deadline: float | None = None
    timer: Callable[[], float] = monotonic
    waited: bool = False
    progress: dict[str, Any] | None = None

    def stop(self, why: Stop) -> None:
        """Ask the run to stop. The first reason counts."""
        if self.stop_asked is None:
            self.stop_asked = why
            if self.interruptible and self.interrupt is not None:
                self.interrupt()

    def give(self, seconds: float, timer: Callable[[], float]) -> None:
        """Let the run end within so many seconds from now."""
        self.timer = timer
        self.deadline = timer() + seconds

    def time_out(self) -> bool:
        """Take note that its time is up; return whether to cancel it: it runs, and nobody has done so before."""
        if self.stop_asked is None and self.interruptible:
            self.stop_asked = "timeout"
            return True
        return False

    def stop_reason(self) -> Stop | None:
        """Return why it is to stop, as of now: its time may be up."""
        if self.stop_asked is None and self.overdue():
            self.stop_asked = "timeout"
        return self.stop_asked

    def should_stop(self) -> bool:
        """Return whether it was asked to stop, and remember that the task knows."""
        if self.stop_reason() is None:
            return False
        self.stop_seen = True
        return True

    def overdue(self) -> bool:
        """Return whether its time is up."""
        return self.deadline is not None and self.timer() >= self.deadline - SLACK

    def tell(self, fraction: float | None, message: str | None) -> None:
        """Take note of how far the task is. Safe in any thread."""
        self.progress = {"fraction": fraction, "message": message}
