"""One process at a time in a directory, where the system has a way to say so that leaves no file behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(directory: Path) -> Generator[None]:
    """Wait until no other process is in such a block for `directory`. Windows cannot, and does not wait."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
