"""Ending: what becomes of a run, by the worker's word, by its death or by its leaving."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from pq_core.connector import JobState
from pq_core.given import check_worker
from pq_core.outcome import UNCHANGED, Outcome
from pq_core.states import State
from pq_sqlite.claiming import expire
from pq_sqlite.rows import job_of, micros, stamped, states_of, with_error

ENDINGS = {"succeeded": State.SUCCEEDED, "failed": State.FAILED, "cancelled": State.CANCELLED}
CURRENT = "select * from jobs where id = ? and claim = ? and state = 'running'"
END = """
    update jobs set state = ?, finished_at = ?, errors = ?, result = ?, reason = ?, progress = coalesce(?, progress)
    where id = ?
"""
DROP_EXPIRED = """
    update jobs set state = 'cancelled', reason = 'expired', finished_at = :now
    where unique_key = :key and unique_scope = 'waiting' and state in ('scheduled', 'ready', 'blocked')
        and attempt = 0 and expires_at <= :now
"""
TWIN = """
    select id from jobs
    where unique_key = ? and unique_scope = 'waiting' and state in ('scheduled', 'ready', 'blocked')
"""
GO_ON = """
    update jobs set
        state = iif(:delay > 0, 'scheduled', 'ready'), scheduled_at = :now + :delay, worker = null, started_at = null,
        attempt = attempt - :given_back, queue = coalesce(:queue, queue), priority = coalesce(:priority, priority),
        lock = iif(:same_lock, lock, :lock), errors = :errors, delivery = coalesce(:delivery, delivery),
        progress = coalesce(:progress, progress)
    where id = :id
"""
LOSE = "update jobs set losses = losses + 1, errors = ? where id = ?"
GIVE_BACK = "update jobs set state = 'ready', scheduled_at = ?, worker = null, started_at = null where id = ?"
BURY = "update jobs set state = ?, finished_at = ?, reason = coalesce(?, reason) where id = ?"


def finish(db: sqlite3.Connection, now: datetime, outcomes: Sequence[Outcome]) -> list[int]:
    newest: dict[int, Outcome] = {}
    for outcome in outcomes:
        other = newest.get(outcome.job_id)
        if other is None or other.claim < outcome.claim:
            newest[outcome.job_id] = outcome
    written: list[int] = []
    for _, outcome in sorted(newest.items()):
        row = db.execute(CURRENT, [outcome.job_id, outcome.claim]).fetchone()
        if row:
            write(db, now, row, outcome)
            written.append(outcome.job_id)
    return written


def write(db: sqlite3.Connection, now: datetime, row: sqlite3.Row, outcome: Outcome) -> None:
    errors = with_error(row["errors"], outcome.error, now)
    asked_to_stop = row["cancel_requested_at"] is not None
    goes_on = outcome.kind not in ENDINGS and not asked_to_stop
    overtaken = superseded(db, now, row) if goes_on else None
    if goes_on and overtaken is None:
        go_on(db, now, outcome, errors)
    elif not outcome.keep:
        db.execute("delete from jobs where id = ?", [row["id"]])
    else:
        state = ENDINGS.get(outcome.kind, State.CANCELLED)
        reason = row["reason"] if asked_to_stop else overtaken or outcome.reason
        progress = stamped(outcome.progress, now)
        db.execute(END, [state, micros(now), errors, outcome.result, reason, progress, row["id"]])


def superseded(db: sqlite3.Connection, now: datetime, row: sqlite3.Row) -> str | None:
    """Return why a run cannot wait again, if a waiting job has its unique key by now."""
    if row["unique_scope"] != "waiting":
        return None
    db.execute(DROP_EXPIRED, {"now": micros(now), "key": row["unique_key"]})
    twin = db.execute(TWIN, [row["unique_key"]]).fetchone()
    return twin and f"superseded by job {twin['id']}"


def go_on(db: sqlite3.Connection, now: datetime, outcome: Outcome, errors: str) -> None:
    row = {
        "id": outcome.job_id,
        "now": micros(now),
        "delay": outcome.delay // timedelta(microseconds=1),
        "given_back": outcome.kind != "retried",
        "queue": outcome.queue,
        "priority": outcome.priority,
        "same_lock": outcome.lock is UNCHANGED,
        "lock": None if outcome.lock is UNCHANGED else outcome.lock,
        "errors": errors,
        "delivery": outcome.delivery,
        "progress": stamped(outcome.progress, now),
    }
    db.execute(GO_ON, row)


def rescue(db: sqlite3.Connection, now: datetime) -> list[JobState]:
    expire(db, now)
    db.execute("delete from workers where lease_until <= ?", [micros(now)])
    orphaned = "select * from jobs where state = 'running' and worker not in (select id from workers) order by id"
    lost = db.execute(orphaned).fetchall()
    for row in lost:
        lose(db, now, row)
    return states_of(db, [row["id"] for row in lost])


def lose(db: sqlite3.Connection, now: datetime, row: sqlite3.Row, how: str = "was lost") -> None:
    error = {
        "type": "WorkerLost",
        "message": f"worker {row['worker']} {how}",
        "traceback": "",
        "attempt": row["attempt"],
    }
    db.execute(LOSE, [with_error(row["errors"], error, now), row["id"]])
    if row["cancel_requested_at"] is not None:
        db.execute(BURY, [State.CANCELLED, micros(now), None, row["id"]])
    elif row["losses"] + 1 >= row["max_losses"] or row["delivery"] == "at_most_once":
        db.execute(BURY, [State.FAILED, micros(now), None, row["id"]])
    elif overtaken := superseded(db, now, row):
        db.execute(BURY, [State.CANCELLED, micros(now), overtaken, row["id"]])
    else:
        db.execute(GIVE_BACK, [micros(now), row["id"]])


def leave(db: sqlite3.Connection, now: datetime, worker: int) -> list[JobState]:
    db.execute("delete from workers where id = ?", [check_worker(worker)])
    running = "select * from jobs where state = 'running' and worker = ? order by id"
    theirs = db.execute(running, [worker]).fetchall()
    for row in theirs:
        if row["delivery"] == "at_most_once" and row["cancel_requested_at"] is None:
            lose(db, now, row, "left")
        else:
            write(db, now, row, Outcome.released(job_of(row)))
    return states_of(db, [row["id"] for row in theirs])
