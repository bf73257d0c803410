"""The program of a worker process: its arguments are what it is called and the pipe from its parent.

It does what `pq worker` does, without the command line: that has been read, and would cost each process its memory.
"""

from __future__ import annotations

import os
import signal
import sys

from pq_cli.app_loader import connector_to, load_app
from pq_cli.exit_codes import exit_code
from pq_cli.fleet.assignment import Assignment
from pq_cli.fleet.leash import Leash
from pq_cli.forced_exit import end_without_threads
from pq_cli.fresh_start import start_anew
from pq_cli.log_lines import begin_logging
from pq_core import App, PsycopgConnector, Worker, WorkerOptions
from pq_core.errors import PQError


def main() -> None:
    """Run jobs until told to stop, and end as `pq worker` would."""
    name, pipe = sys.argv[1:]
    sys.argv[1:] = []
    leash = Leash(int(pipe))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback if Ctrl-C comes before the worker handles it
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # as it was started
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        _work(name, Assignment.take(), leash)
    except PQError as error:
        if os.environ.get("PQ_DEBUG"):
            raise
        sys.stderr.write(f"pq: {error}\n")
        sys.exit(exit_code(error))
    finally:
        end_without_threads()


def _work(name: str, assignment: Assignment, leash: Leash) -> None:
    begin_logging(assignment.log_level, process=f"#{name.rpartition('#')[2]}")
    app = _app(assignment)
    options: WorkerOptions = {**app.worker_defaults, **assignment.options, "name": name}
    worker = Worker(app, **options)
    leash.hold(worker)
    worker.run()
    with leash.handed_on():
        if worker.recycled is not None:  # which it is not if it was told to stop, and no order is taken from here on
            assignment.publish()
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            start_anew(worker.recycled, name)


def _app(assignment: Assignment) -> App:
    app = load_app(assignment.app or "")
    if assignment.dsn is not None:
        app.connector = connector_to(assignment.dsn, assignment.schema)
    sizes = (assignment.min_size, assignment.max_size)
    if sizes != (None, None) and isinstance(app.connector, PsycopgConnector):
        app.connector = app.connector.with_pool(min_size=sizes[0], max_size=sizes[1])
    return app


if __name__ == "__main__":
    main()
