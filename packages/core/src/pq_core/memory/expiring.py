"""Expiry: what no worker has started in time is cancelled."""

from __future__ import annotations

from datetime import datetime

from pq_core.memory.store import Store
from pq_core.states import State

EXPIRED = "expired"
"""Why such a job was cancelled. The SQL of `expire` says the same."""


def expire(store: Store, now: datetime) -> None:
    """End the waiting jobs with ``expires_at <= now`` that have no attempt spent, and wake who waited behind them."""
    while (place := store.expiring.first()) and place[0] <= now:
        record = store.live[place[1]]
        record.reason = EXPIRED
        store.end(record, State.CANCELLED, now)
    store.settle()
