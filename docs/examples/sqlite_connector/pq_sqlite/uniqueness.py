"""Uniqueness: who has a key, and what becomes of a second job."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from pq_core.connector import Deferred
from pq_core.job import NewJob
from pq_core.unique import already_deferred
from pq_sqlite.rows import micros

HOLDER = """
    select id, state from jobs
    where unique_key = ? and unique_scope = ? and finished_at is null and (unique_scope = 'live' or state <> 'running')
"""
TAKEN_FOR_A_TIME = "select job_id from unique_periods where key = ? and scope = ? and until > ?"
TAKE_FOR_A_TIME = "insert or replace into unique_periods (key, scope, job_id, until) values (?, ?, ?, ?)"
EXPIRE = """
    update jobs set state = 'cancelled', reason = 'expired', finished_at = ?
    where id = ? and attempt = 0 and state <> 'running' and expires_at <= ?
"""
REPLACE = """
    update jobs set
        task = :task, args = :args, version = :version, metadata = :metadata, priority = :priority, scheduled_at = :due,
        state = iif(:due > :now, 'scheduled', 'ready'), expires_at = :expires_at
    where id = :holder
"""


def holder_of(db: sqlite3.Connection, key: str | None, scope: str | None) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(HOLDER, [key, scope]).fetchone()
    return row


def give_way(
    db: sqlite3.Connection, now: datetime, job: NewJob, values: Mapping[str, object], fresh: Collection[int]
) -> Deferred | None:
    """Say what becomes of a job whose key is taken; None: it is free. `fresh`: the jobs that the call has stored."""
    holder = holder_of(db, job.unique_key, job.unique_scope)
    if holder is not None and db.execute(EXPIRE, [micros(now), holder["id"], micros(now)]).rowcount:
        holder = None
    if holder is None:
        taken = db.execute(TAKEN_FOR_A_TIME, [job.unique_key, job.unique_scope, micros(now)]).fetchone()
        if taken is None:
            return None
        job_id = taken["job_id"]
    else:
        job_id = holder["id"]
    if job.on_conflict == "raise":
        raise already_deferred(job, None if job_id in fresh else job_id, None)
    if job.on_conflict == "skip" or holder is None or holder["state"] == "running":
        return Deferred(job_id, "skipped")
    db.execute(REPLACE, {**values, "holder": job_id})
    return Deferred(job_id, "replaced")


def note_period(db: sqlite3.Connection, now: datetime, job: NewJob, job_id: int) -> None:
    if job.unique_period:
        until = micros(now) + job.unique_period // timedelta(microseconds=1)
        db.execute(TAKE_FOR_A_TIME, [job.unique_key, job.unique_scope, job_id, until])
