"""The demo's worker, in a process of its own that ends with the demo, however that ends.

The child (this module, run as a program) is told by its standard input where the jobs are, and that the demo has
ended: by the end of that input.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import IO, cast

import attrs

from pq_cli.demo.tasks import make_app
from pq_cli.errors import DemoFailed

PATIENCE = 10.0
"""Seconds to wait for a worker that was told to end."""
GRACE = 2.0
"""Seconds that jobs have to end, once the worker was told to."""
LAST = 4.0
"""Seconds after which the worker ends in any case, once the demo has."""
_LOG_BYTES = 2_000


@attrs.frozen
class Crew:
    """The worker's process, seen from the demo."""

    _process: subprocess.Popen[bytes]
    _log: int

    def check(self) -> None:
        """See to it that the worker works.

        Raises:
            DemoFailed: its process has ended.
        """
        code = self._process.poll()
        if code is not None:
            size = os.fstat(self._log).st_size
            tail = os.pread(self._log, _LOG_BYTES, max(size - _LOG_BYTES, 0)).decode(errors="replace").strip()
            raise DemoFailed(f"the worker has ended with code {code}: {tail or 'it says nothing'}")


@contextmanager
def at_work(dsn: str, schema: str, concurrency: int) -> Generator[Crew]:
    """Run a worker for the time of the block."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            # In a session of its own, so that Ctrl-C is the demo's to handle. -P: the directory is the user's.
            [sys.executable, "-P", "-m", "pq_cli.demo.crew"],
            stdin=subprocess.PIPE,
            bufsize=0,  # nothing is left to flush into a pipe whose reader has ended
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},  # what is being hashed may be Python's own library
        )
        try:
            with cast("IO[bytes]", process.stdin) as orders:
                with suppress(BrokenPipeError):  # it has ended before it read them: check() says so
                    orders.write(
                        json.dumps({"dsn": dsn, "schema": schema, "concurrency": concurrency}).encode() + b"\n"
                    )
                yield Crew(process, log.fileno())
        finally:
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()
                process.wait()


def work() -> None:
    """Run jobs until the demo ends."""
    logging.basicConfig(level=logging.WARNING)
    orders = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_demo, daemon=True).start()
    app = make_app(orders["dsn"], orders["schema"])
    app.run_worker(concurrency=orders["concurrency"], graceful_timeout=GRACE, poll_interval=1.0, name="demo")


def _end_with_demo() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(LAST)  # if the database has gone with the demo, there is nothing to wait for
    os._exit(1)


if __name__ == "__main__":
    work()
