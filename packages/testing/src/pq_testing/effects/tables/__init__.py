"""Watching tables: reading their rows without disturbing the connection's transaction, and comparing them."""

from __future__ import annotations

from pq_testing.effects.tables.watched_tables import WatchedTables

__all__ = ["WatchedTables"]
