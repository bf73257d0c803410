"""Jobs put straight into pq's tables, many times as fast as they are deferred: what surrounds a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

QUEUE = "default"
NOOP = "pq_benchmarks.contestants.pq_itself.noop"
_DAYS = 4
"""Days, today among them, over which a history is spread."""

_FINISHED = """
    insert into pq.finished_jobs (id, queue, task, args, priority, lock_mode, state, attempt, claim, losses, max_losses,
        scheduled_at, created_at, started_at, worker, errors, metadata, finished_at)
    select m.id + n, %s, %s, '{}', 0, 'ordered', 'succeeded', 1, 1, 0, 3, d, d, d, 1, '[]', '{}', d
    from (select coalesce(max(id), 0) from pq.finished_jobs) m (id), (select now() - %s * interval '1 day') a (d),
        generate_series(1, %s) n
"""


def insert(
    dsn: str,
    count: int,
    *,
    queue: str = QUEUE,
    lock: str | None = None,
    due_in: str = "0",
    state: str = "ready",
    task: str = NOOP,
) -> None:
    """Store no-op jobs.

    Args:
        dsn: of a database with pq's tables.
        count: how many.
        queue: of all of them.
        lock: of all of them; ``%`` in it stands for the number of the job, so that each has its own.
        due_in: an interval of PostgreSQL; if it is longer than none, the jobs are scheduled.
        state: of the jobs that are due.
        task: of all of them.
    """
    _execute(
        dsn,
        "insert into pq.jobs (queue, task, lock, state, scheduled_at)"
        " select %s, %s, replace(%s, '%%', n::text),"
        " case when %s::interval > '0' then 'scheduled' else %s end, now() + %s::interval"
        " from generate_series(1, %s) n",
        [queue, task, lock, due_in, state, due_in, count],
    )


def insert_over_queues(dsn: str, count: int, queues: int = 1_000) -> None:
    """Store no-op jobs, in turns over so many queues."""
    _execute(
        dsn,
        "insert into pq.jobs (queue, task) select 'queue ' || n %% %s, %s from generate_series(1, %s) n",
        [queues, NOOP, count],
    )


def insert_scheduled(dsn: str, count: int, *, queue: str = QUEUE) -> None:
    """Store jobs that come due one after the other, from tomorrow on, in an order that is not that of their ids."""
    _execute(
        dsn,
        "insert into pq.jobs (queue, task, state, scheduled_at)"
        " select %s, %s, 'scheduled', now() + interval '1 day' + random() * interval '30 days'"
        " from generate_series(1, %s)",
        [queue, NOOP, count],
    )


def insert_finished(dsn: str, count: int, *, queue: str = QUEUE) -> None:
    """Store jobs that succeeded, today and in the days before it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set search_path = pq")
        for day in range(_DAYS):
            connection.execute("select ensure_day(now() - %s * interval '1 day')", [day])
    for day in reversed(range(_DAYS)):
        _execute(dsn, _FINISHED, [queue, NOOP, day, count // _DAYS])
    _execute(dsn, "select setval(pg_get_serial_sequence('pq.jobs', 'id'), max(id) + 1) from pq.finished_jobs")


def _execute(dsn: str, statement: str, parameters: Sequence[Any] = ()) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode(), parameters)
