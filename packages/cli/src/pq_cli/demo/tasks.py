"""What the demo's worker runs."""

from __future__ import annotations

import hashlib
import os
from urllib.parse import quote_from_bytes, unquote_to_bytes

import pq_core

ATTEMPTS = 3
WAIT = 0.1
"""Seconds before an unreadable file is tried again."""

tasks = pq_core.Blueprint()


def make_app(dsn: str, schema: str) -> pq_core.App:
    """Return the demo's app: the same for whoever defers and for the worker."""
    app = pq_core.App(connector=pq_core.PsycopgConnector(dsn, schema=schema))
    app.add_tasks_from(tasks)
    return app


@tasks.task(
    name="demo.hash_file",
    queue="files",
    lock_mode="mutex",
    retry=pq_core.RetryStrategy(max_attempts=ATTEMPTS, wait=WAIT, retry_exceptions=(OSError,)),
)
def hash_file(file: str) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits.

    Raises:
        OSError: it is gone, or cannot be read.
    """
    # Not blocking, and not following: since it was listed, a pipe or a link may have taken its place.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    with open(os.open(os.fsdecode(path_of(file)), flags), "rb") as content:  # noqa: PTH123 - of a descriptor
        return hashlib.file_digest(content, "sha256").hexdigest()


def text_of(path: bytes) -> str:
    """Return a path as text that JSON carries: names of files need not be Unicode."""
    return quote_from_bytes(path)


def path_of(text: str) -> bytes:
    """Return the path that :func:`text_of` made `text` from."""
    return unquote_to_bytes(text)
