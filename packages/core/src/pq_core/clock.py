"""What tells the time where the database does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Tells the time, as an aware datetime."""


def utc_now() -> datetime:
    """Return the real time."""
    return datetime.now(UTC)
