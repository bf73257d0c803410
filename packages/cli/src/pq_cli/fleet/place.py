"""The place of one worker process in a fleet, and the processes that take it, one after the other."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from time import monotonic

EARLY = 10.0
"""Seconds of life after which the end of a process is no sign that it cannot live at all."""
FIRST_WAIT = 0.1
"""Seconds before the place of a process that ended early is taken again, the first time; then twice as long."""
ENOUGH = 5
"""Early ends in a row after which nobody takes the place any more."""

STOP = b"s"
LEAVE = b"l"


class Place:
    """A number, by which logs call it, and the process that is there.

    Args:
        number: counted from 1.
        worker: how all workers of the fleet are called; this one with its number behind it.
    """

    def __init__(self, number: int, worker: str) -> None:
        self.number = number
        self.name = f"{worker}#{number}"
        self.pid: int | None = None
        self.due: float | None = 0.0  # when a process is to be started here, by the monotonic clock; None: never
        self.early_ends = 0
        self._began = 0.0
        self._leash = -1

    def start(self) -> int:
        """Start a process here: a fresh one, for a fork would carry on with what its parent has opened.

        Returns:
            its process id.

        Raises:
            OSError: there are too many processes, say, or Python is not where it was.
        """
        self.due = None
        flags = sys.orig_argv[1 : sys.orig_argv.index("-m")]
        theirs, ours = os.pipe()
        os.set_inheritable(theirs, True)  # noqa: FBT003 - its only argument
        words = [sys.executable, *flags, "-m", "pq_cli.fleet.member", self.name, str(theirs)]
        try:
            # Ctrl-C waits until the member takes it, or Python would show where in its imports that came.
            self.pid = os.posix_spawn(sys.executable, words, os.environ, setsigmask=[signal.SIGINT])
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        self._leash, self._began = ours, monotonic()
        return self.pid

    def tell(self, order: bytes) -> None:
        """Give an order to the process that is here, if there is one."""
        if self.pid is not None:
            with suppress(BrokenPipeError):  # it has just ended
                os.write(self._leash, order)

    def bury(self) -> None:
        """Note that the process that was here has ended."""
        os.close(self._leash)
        self.pid = None
        self.note_end(monotonic() - self._began)

    def note_end(self, life: float) -> None:
        """Count the lives in a row that were short; `life` is in seconds."""
        self.early_ends = self.early_ends + 1 if life < EARLY else 0

    def wait_for_next(self) -> float:
        """Let another process take the place, after a while if the last ones ended early; return the seconds."""
        seconds = FIRST_WAIT * 2.0 ** (self.early_ends - 1) if self.early_ends else 0.0
        self.due = monotonic() + seconds
        return seconds
