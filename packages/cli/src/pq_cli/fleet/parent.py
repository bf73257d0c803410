"""The parent of a fleet: starts its processes, passes on what it is told, puts others in the place of the dead.

It holds next to nothing in memory, which is why it uses no attrs, and never opens a connection.
"""

from __future__ import annotations

import logging
import os
import signal
from time import monotonic

from pq_cli.fleet.ears import STOP_SIGNALS, Ears
from pq_cli.fleet.place import EARLY, ENOUGH, LEAVE, STOP, Place

logger = logging.getLogger("pq_cli.fleet")

FAILED = 1
"""As in `pq_cli.exit_codes`, which costs the import of the core."""


class Parent:
    """Keeps a number of worker processes at work until it is told to stop.

    Args:
        worker: how the workers are called.
        processes: how many.
        once: whether they end when nothing is left to run. Then nobody takes the place of one that has ended.
        ears: hear when to stop.
    """

    def __init__(self, worker: str, processes: int, *, once: bool, ears: Ears) -> None:
        self._places = [Place(number, worker) for number in range(1, processes + 1)]
        self._once = once
        self._ears = ears
        self._signals = 0
        self._stopping = False
        self._exit_code = 0

    def run(self) -> int:
        """Return, when all processes have ended, 0 if they ended well, else the exit code of the first that did not."""
        self._start_due()
        while any(place.pid is not None or place.due is not None for place in self._places):
            for _ in range(self._ears.wait(self._until_next())):
                self._obey()
            self._bury()
            self._start_due()
        return self._exit_code

    def _obey(self) -> None:
        self._signals += 1
        if self._signals == 1:
            logger.info("All worker processes stop: they claim no more jobs")
            self._stop()
        else:
            logger.warning("The worker processes wait for their jobs no longer")
            self._tell(LEAVE)
            self._ears.close()

    def _stop(self) -> None:
        self._stopping = True
        for place in self._places:
            place.due = None
        self._tell(STOP)

    def _tell(self, order: bytes) -> None:
        for place in self._places:
            place.tell(order)

    def _start_due(self) -> None:
        for place in self._places:
            if place.due is not None and place.due <= monotonic():
                self._start(place)

    def _start(self, place: Place) -> None:
        try:
            pid = place.start()
        except OSError as error:
            place.note_end(0.0)
            self._succeed(place, f"Worker {place.name} has no process: {error}", FAILED)
        else:
            logger.info("Worker %s has process %s", place.name, pid)

    def _until_next(self) -> float | None:
        dues = [place.due for place in self._places if place.due is not None]
        return max(0.0, min(dues) - monotonic()) if dues else None

    def _bury(self) -> None:
        """Note all processes that have ended. As the first process of a container, it has strangers' children too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for place in self._places:
                if place.pid == pid:
                    place.bury()
                    code = os.waitstatus_to_exitcode(status)
                    self._succeed(place, f"Worker {place.name}, process {pid}, {_described(code)}", code)

    def _succeed(self, place: Place, news: str, code: int) -> None:
        """Decide who takes a place that is empty by now.

        Args:
            place: the place.
            news: what has happened there, in words.
            code: with which the process has ended; below 0, it was killed by the signal of that number.
        """
        if self._stopping and -code in STOP_SIGNALS:
            code = 0  # it was not yet a worker, or no longer
        if self._stopping or self._once:
            logger.log(logging.WARNING if code else logging.INFO, news)
            self._count(code)
        elif place.early_ends >= ENOUGH:
            text = "%s, the %sth in a row that did not live for %g s: all worker processes stop"
            logger.error(text, news, ENOUGH, EARLY)
            self._count(code or FAILED)
            self._stop()
        else:
            seconds = place.wait_for_next()
            logger.warning("%s; another one takes its place %s", news, f"in {seconds:.1f} s" if seconds else "at once")

    def _count(self, code: int) -> None:
        self._exit_code = self._exit_code or (code if code >= 0 else FAILED)


def _described(code: int) -> str:
    if code >= 0:
        return f"has ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
