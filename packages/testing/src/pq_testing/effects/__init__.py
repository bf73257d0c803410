"""What code changed: of rows in tables, and of objects such as fakes, between two looks at them.

::

    pq_effects.watch_tables("orders", "outbox", connection=connection, ignore=["orders.updated_at"])
    pq_effects.watch(stripe)

    before = pq_effects.snapshot()
    charge(order=7)
    assert [str(change) for change in pq_effects.changes_since(before)] == ["orders[7].charged 0 → 1"]
"""

from __future__ import annotations

from pq_testing.effects.change import Change, listed
from pq_testing.effects.effects import Effects, Snapshot
from pq_testing.effects.errors import (
    CannotRead,
    CannotWatch,
    ColumnNotFound,
    EffectsError,
    TableNotFound,
    TooMuchToWatch,
)

__all__ = [
    "CannotRead",
    "CannotWatch",
    "Change",
    "ColumnNotFound",
    "Effects",
    "EffectsError",
    "Snapshot",
    "TableNotFound",
    "TooMuchToWatch",
    "listed",
]
