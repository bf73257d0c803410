"""Exploration: a test is run once for each order in which its workers could have gone on, and died.

:func:`pq_explore` only says so, on the test function; :func:`pq_testing.explore.search.run_test` does it.
"""

from pq_testing.explore.exploration import Exploration, pq_explore

__all__ = ["Exploration", "pq_explore"]
