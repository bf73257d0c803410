"""What is no queue, but what a queue on PostgreSQL can be held against."""

from __future__ import annotations

from pq_benchmarks.contender import PQ, python_contender
from pq_core.worker.options import Settings

BARE_LOOP = python_contender(
    "bare_loop",
    name="bare loop",
    module="psycopg",
    contract=f"no worker: a loop over pq's SQL functions, in batches of {Settings().batch} on two connections, "
    "one asyncio task a job",
    table=PQ.table,
    ended=PQ.ended,
)
BARE_TABLE = python_contender(
    "bare_table",
    name="bare table",
    module="psycopg",
    contract="no queue: a table with the columns of pq's jobs, its key and one index, written by a prepared INSERT"
    " through psycopg's pool, or by COPY",
)
