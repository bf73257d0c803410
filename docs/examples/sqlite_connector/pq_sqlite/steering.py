"""Steering: what users and operators do to jobs and queues."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from pq_core.connector import JobChanges, JobState
from pq_core.given import check_age, check_ids, check_pause, check_reason, check_states, check_steps
from pq_core.outcome import UNCHANGED
from pq_core.states import State
from pq_sqlite.rows import listed, micros, states_of
from pq_sqlite.uniqueness import holder_of

FORGET = """
    delete from jobs where id in (
        select id from jobs
        where finished_at < :bound and (:states is null or state in (select value from json_each(:states)))
        limit :limit)
"""
LIVE = "select id, state from jobs where finished_at is null and id in (select value from json_each(?))"
REVIVE = """
    update jobs set
        state = 'ready', attempt = 0, losses = 0, scheduled_at = ?, result = null, reason = null, worker = null,
        started_at = null, finished_at = null, cancel_requested_at = null, expires_at = null, progress = null
    where id = ?
"""
ENDED = """
    select id, unique_key, unique_scope from jobs
    where finished_at is not null and id in (select value from json_each(?)) order by id
"""
CHANGE = """
    update jobs set
        scheduled_at = coalesce(:due, scheduled_at),
        state = case
            when :due > :now then 'scheduled' when :due is not null or state = 'blocked' then 'ready' else state end,
        queue = coalesce(:queue, queue), priority = coalesce(:priority, priority),
        lock = iif(:same_lock, lock, :lock), expires_at = iif(:same_expiry, expires_at, :expires_at)
    where state in ('scheduled', 'ready', 'blocked') and id in (select value from json_each(:ids))
    returning id
"""


def cancel(db: sqlite3.Connection, now: datetime, ids: Sequence[int], reason: str) -> list[JobState]:
    ids, reason = check_ids(ids), check_reason(reason)
    found = db.execute(LIVE, [listed(ids)]).fetchall()
    waiting = listed(row["id"] for row in found if row["state"] != "running")
    running = listed(row["id"] for row in found if row["state"] == "running")
    db.execute(
        "update jobs set state = 'cancelled', reason = ?, finished_at = ? where id in (select value from json_each(?))",
        [reason, micros(now), waiting],
    )
    db.execute(
        "update jobs set cancel_requested_at = ?, reason = ? "
        "where cancel_requested_at is null and id in (select value from json_each(?))",
        [micros(now), reason, running],
    )
    return states_of(db, [row["id"] for row in found])


def retry(db: sqlite3.Connection, now: datetime, ids: Sequence[int]) -> list[JobState]:
    back: list[int] = []
    for row in db.execute(ENDED, [listed(check_ids(ids))]).fetchall():
        if holder_of(db, row["unique_key"], row["unique_scope"]) is None:
            db.execute(REVIVE, [micros(now), row["id"]])
            back.append(row["id"])
    return states_of(db, back)


def reschedule(db: sqlite3.Connection, now: datetime, ids: Sequence[int], changes: JobChanges) -> list[JobState]:
    due = changes.scheduled_at if changes.delay is None else now + changes.delay
    values = {
        "ids": listed(check_ids(ids)),
        "now": micros(now),
        "due": None if due is None else micros(due),
        "queue": changes.queue,
        "priority": changes.priority,
        "same_lock": changes.lock is UNCHANGED,
        "lock": None if changes.lock is UNCHANGED else changes.lock,
        "same_expiry": changes.expires_at is UNCHANGED,
        "expires_at": micros(changes.expires_at) if isinstance(changes.expires_at, datetime) else None,
    }
    return states_of(db, [row["id"] for row in db.execute(CHANGE, values).fetchall()])


def prune(
    db: sqlite3.Connection,
    now: datetime,
    older_than: timedelta | None,
    states: Sequence[State] | None,
    limit: int | None,
) -> int:
    older_than, limit = check_age(older_than), check_steps(limit)
    values = {
        "states": None if states is None else listed(check_states(states)),
        "limit": -1 if limit is None else limit,  # which SQLite reads as no limit
    }
    if older_than is None:
        return 0
    bound = micros(now) - older_than // timedelta(microseconds=1)
    return db.execute(FORGET, {**values, "bound": bound}).rowcount


def purge(db: sqlite3.Connection, now: datetime, ids: Sequence[int]) -> list[int]:
    wanted = listed(check_ids(ids))
    gone = db.execute(
        "delete from jobs where state <> 'running' and id in (select value from json_each(?)) returning id", [wanted]
    )
    ids = sorted(row["id"] for row in gone.fetchall())
    db.execute("delete from unique_periods where job_id in (select value from json_each(?))", [listed(ids)])
    return ids


def pause(db: sqlite3.Connection, now: datetime, queue: str | None, task: str | None, everything: object) -> None:
    kind, name = check_pause(queue, task, everything)
    db.execute("insert or ignore into pauses (kind, name, paused_at) values (?, ?, ?)", [kind, name, micros(now)])


def resume(db: sqlite3.Connection, now: datetime, queue: str | None, task: str | None, everything: object) -> None:
    """Undo a pause. Jobs that were blocked for a task are woken as are those of a lock that has become free."""
    kind, name = check_pause(queue, task, everything)
    db.execute("delete from pauses where kind = ? and name = ?", [kind, name])
    ring = "insert into bells values (?, 1) on conflict (queue) do update set rung = rung + 1"
    if kind == "queue":
        db.execute(ring, [name])
    elif kind == "all":
        db.executemany(ring, db.execute("select distinct queue from jobs where state = 'ready'").fetchall())
