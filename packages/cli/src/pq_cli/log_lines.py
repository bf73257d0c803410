"""What the log lines of `pq worker` look like."""

from __future__ import annotations

import logging


def begin_logging(level: str, *, process: str = "") -> None:
    """Write log lines to standard error.

    Args:
        level: from which on.
        process: which of several processes of one command writes them, such as ``#2``.
    """
    source = f"{process} %(name)s" if process else "%(name)s"
    logging.basicConfig(level=level.upper(), format=f"%(asctime)s %(levelname)s {source}: %(message)s")
