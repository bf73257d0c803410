"""Idle workers beside the one that is measured, connected and listening."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

import psycopg

from pq_benchmarks.processes import ProcessFailed, WorkerProcess
from pq_benchmarks.stage import Stage

ELSEWHERE = "elsewhere"
"""The queue that they serve: with the one that is measured they would take part in the work."""
_LONGEST_START = 180.0
_SETTLING = 3.0
_LISTENING = "select count(*) from pg_stat_activity where datname = current_database() and query ilike 'listen %'"


@contextmanager
def crowd(stage: Stage, dsn: str, count: int, queue: str = ELSEWHERE) -> Generator[WorkerProcess]:
    """Keep so many workers idle.

    Raises:
        ProcessFailed: they do not all come to listen.
    """
    command = (sys.executable, "-m", "pq_benchmarks.contestants.pq_crowd", str(count), queue)
    crowd = WorkerProcess.start(command, {"BENCH_DSN": dsn}, stage.directory / "crowd.log")
    with crowd, psycopg.connect(dsn, autocommit=True) as connection:

        def listening() -> bool:
            time.sleep(0.2)
            row = connection.execute(_LISTENING).fetchone()
            return row is not None and int(row[0]) >= count

        if not crowd.wait_until(listening, _LONGEST_START):
            raise ProcessFailed(f"not all of {count} idle workers came to listen within {_LONGEST_START:.0f} s")
        time.sleep(_SETTLING)
        yield crowd
