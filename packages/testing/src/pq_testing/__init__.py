"""Test code that uses pq."""
