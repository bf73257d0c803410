"""How to run one test again exactly as it ran: its seed, and the command."""

from __future__ import annotations

import shlex
import zlib

import pytest

from pq_testing.plugin.marks import Settings
from pq_testing.plugin.state import state_of

REPEATED = "pq repeated"
"""Name of the property that says in a report how often the test has run, and why."""


def seed_of_test(item: pytest.Item, settings: Settings) -> int:
    """Return from what the test's chaos is drawn: other tests draw otherwise, whatever else runs beside it."""
    return zlib.crc32(f"{settings.seed} {item.nodeid}".encode())


def command(item: pytest.Item, settings: Settings, crash_at: int | None = None) -> str:
    """Return the command that runs the test again in the same way, a worker crashing at `crash_at`.

    What the marks of the test ask for stands there already.
    """
    given = state_of(item.config).options
    words = ["pytest", shlex.quote(item.nodeid)]
    on = {"redeliver": settings.redeliver, "crash": settings.crash is not None, "reorder": settings.reorder}
    if chaos := [name for name, asked in on.items() if asked and name not in settings.marked]:
        words.append(f"--pq-chaos={','.join(chaos)}")
    if any(on.values()) and "seed" not in settings.marked:
        words.append(f"--pq-seed={settings.seed}")
    point = crash_at or settings.crash_at
    if point and settings.crash is not None and (crash_at or "crash_at" not in settings.marked):
        words.append(f"--pq-crash-at={point}")
    if "backend" not in settings.marked and given.pq_backend != "memory":
        words.append(f"--pq-backend={given.pq_backend}")
    return " ".join(words)
