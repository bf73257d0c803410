"""The worker that runs what is due and returns: pq's own, told not to wait."""

from __future__ import annotations

from typing import Unpack

from pq_core.context import Host
from pq_core.worker import Worker, WorkerOptions
from pq_core.worker.options import LONGEST_TIME


class RunOnceWorker(Worker):
    """A worker that ends when nothing is left to run, as ``pq worker --once`` does: ``RunOnceWorker(app).run()``.

    It is the real worker, with its concurrency, its threads for sync tasks and its writing in batches, where `run_jobs`
    simulates one, step by step, in the test's own thread. Errors of jobs are written to them, and not raised. Its lease
    is as long as a lease may be, so that a test may move its clock while it works, by less than a day; no signals are
    handled, and nothing is listened for.

    Args:
        app: whose jobs.
        options: see :class:`pq_core.WorkerOptions`; they override what is said above.

    Raises:
        InvalidOption: an option has a value that it cannot have.

    .. versionadded:: 0.1
    """

    def __init__(self, app: Host, **options: Unpack[WorkerOptions]) -> None:
        usual: WorkerOptions = {
            "name": "run-once",
            "lease": LONGEST_TIME,
            "listen": False,
            "install_signal_handlers": False,
            "retention": None,
        }
        merged: WorkerOptions = {**usual, **options, "wait": False}
        super().__init__(app, **merged)
