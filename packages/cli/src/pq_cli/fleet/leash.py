"""By what a worker process hangs on its parent: orders come through a pipe, and its end is the end of the parent."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from pq_cli.fleet.place import LEAVE
from pq_core import Worker

ORPHANED = 70
"""Exit code of a worker process that outlives its parent and cannot end: that of an orphan in the core."""
FAREWELL = 15.0
"""Seconds beyond its graceful timeout in which a worker ends, if it can: see docs/how-to/stop-a-worker.md."""


class Leash:
    """Listens in a thread of its own, so that a worker whose event loop hangs does not outlive its parent for ever.

    Orders say how far a worker is to be in stopping, so they do no harm beside signals, which count: a terminal and
    systemd send those to all processes.

    Args:
        pipe: the file descriptor to read from.
    """

    def __init__(self, pipe: int) -> None:
        os.set_inheritable(pipe, False)  # noqa: FBT003 - its only argument
        self._pipe = pipe
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        threading.Thread(target=self._listen, name="pq-leash", daemon=True).start()

    def hold(self, worker: Worker) -> None:
        """Pass orders on to this worker. Until there is one, each of them ends the process: it has nothing to lose."""
        with self._lock:
            self._worker = worker

    @contextmanager
    def handed_on(self) -> Generator[None]:
        """Take no order from the pipe during the block, in which the process is replaced and the pipe goes with it."""
        with self._lock:
            os.set_inheritable(self._pipe, True)  # noqa: FBT003 - its only argument
            yield
            os.set_inheritable(self._pipe, False)  # noqa: FBT003 - its only argument

    def _listen(self) -> None:
        orders = select.poll()
        orders.register(self._pipe, select.POLLIN)
        while True:
            orders.poll()
            with self._lock:
                order = os.read(self._pipe, 1)
                if self._worker is None:
                    os._exit(0)
                self._worker.stop(now=order == LEAVE)
            if not order:
                break
        grace = self._worker.settings.graceful_timeout
        if grace is not None:
            time.sleep(grace + FAREWELL)
            os._exit(ORPHANED)
