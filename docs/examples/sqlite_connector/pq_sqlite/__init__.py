"""Keeps pq's jobs in a file of SQLite. An example of a connector that pq does not ship."""

from pq_sqlite.connector import SQLiteConnector

__all__ = ["SQLiteConnector"]
