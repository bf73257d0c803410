"""A worker that has ended to be recycled begins again, in a fresh process under the same process id."""

from __future__ import annotations

import logging
import os
import sys


def start_anew(reason: str, worker: str) -> None:
    """Replace this process by one that was called with the same words. Returns only in tests.

    Args:
        reason: why, to be told.
        worker: which one, to be told.
    """
    sys.stderr.write(f"pq: {worker} starts anew: {reason}\n")
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell is wanted
