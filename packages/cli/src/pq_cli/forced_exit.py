"""The end of a process that others' threads hold up: Python waits for them, those of `asyncio.to_thread` among them."""

from __future__ import annotations

import os
import sys
import threading
import time

PATIENCE = 5.0
"""Seconds that threads have to end after the command has."""
FLUSH = 1.0
"""Seconds for what is buffered to be written: a thread that is stuck may hold a log handler's lock."""


def end_without_threads() -> None:
    """See to it that the process ends soon, though threads may go on; by itself it would end with its own code."""
    if any(not thread.daemon and thread is not threading.current_thread() for thread in threading.enumerate()):
        threading.Thread(target=_end, name="pq-forced-exit", daemon=True).start()


def _end() -> None:
    from pq_cli.exit_codes import HELD_UP

    time.sleep(PATIENCE)
    flushing = threading.Thread(target=_flush, daemon=True)
    flushing.start()
    flushing.join(FLUSH)
    os._exit(HELD_UP)


def _flush() -> None:
    import logging

    held_up_by = ", ".join(thread.name for thread in threading.enumerate() if not thread.daemon)
    sys.stderr.write(f"pq: ended by force, for these threads do not end: {held_up_by}\n")
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
