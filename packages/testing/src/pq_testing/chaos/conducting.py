"""From what a test asks for to who rules over its hands."""

from __future__ import annotations

from pq_testing.chaos.crash import CrashAt, RandomCrashes
from pq_testing.chaos.reorder import WORKERS, RandomOrder
from pq_testing.disturbances import Chaos
from pq_testing.script import UsualOrder
from pq_testing.staged import Staged


def staged(chaos: Chaos) -> Staged | None:
    """Return who conducts the drains of one test; None if their order and their workers are left alone."""
    if chaos.crash is None and not chaos.reorder:
        return None
    order = RandomOrder(chaos.seed) if chaos.reorder else UsualOrder()
    workers = WORKERS if chaos.reorder else 1
    if chaos.crash is None:
        return Staged(order, workers=workers)
    if chaos.crash == "everywhere" or chaos.crash_at is not None:
        return Staged(CrashAt(chaos.crash_at or 0, order), workers=workers)
    return Staged(RandomCrashes(chaos.seed, order), workers=workers)
