"""Listing: what readers see of jobs and queues."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pq_core.connector import JobFilter, Pause, QueueInfo
from pq_core.given import check_id, check_limit, check_queues
from pq_core.job import Job
from pq_core.payload import dump
from pq_core.states import LIVE, State
from pq_sqlite.rows import EPOCH, MAX_INTEGER, MICROSECOND, job_of, listed, micros

FITS = """
    (:queue is null or queue = :queue) and (:task is null or task = :task) and (:lock is null or lock = :lock)
    and (:unique_key is null or unique_key = :unique_key)
    and (:created_after is null or created_at >= :created_after)
    and (:created_before is null or created_at < :created_before)
    and (:scheduled_after is null or scheduled_at >= :scheduled_after)
    and (:scheduled_before is null or scheduled_at < :scheduled_before)
    and (:args is null or has_args(args, :args))
    and (:ids is null or id in (select value from json_each(:ids)))
    and (:states is null or state in (select value from json_each(:states)))
"""
FIND = f"select * from jobs where id > :after and {FITS} order by id limit :limit"  # noqa: S608 - no value is in it
COUNT = f"select state, count(*) from jobs where {FITS} group by state"  # noqa: S608
MOMENTS = ("created_after", "created_before", "scheduled_after", "scheduled_before")
RINGS = """
    select coalesce(sum(rung), 0) from bells
    where :names is null or queue in (select value from json_each(:names))
"""


def find(db: sqlite3.Connection, now: datetime, which: JobFilter, limit: int, after: int) -> list[Job]:
    limit, after = check_limit(limit), min(check_id(after, "after"), MAX_INTEGER)
    page = {"limit": limit, "after": max(after, -MAX_INTEGER)}
    return [job_of(row) for row in db.execute(FIND, {**values_of(which), **page})]


def count(db: sqlite3.Connection, now: datetime, which: JobFilter) -> dict[State, int]:
    counts = dict.fromkeys(State, 0)
    return counts | {State(state): number for state, number in db.execute(COUNT, values_of(which))}


def values_of(which: JobFilter) -> dict[str, Any]:
    return {
        "queue": which.queue,
        "task": which.task,
        "lock": which.lock,
        "unique_key": which.unique_key,
        "args": None if which.args is None else dump(dict(which.args)),
        "ids": None if which.ids is None else listed(which.ids),
        "states": None if which.states is None else listed(which.states),
        **{name: None if (moment := getattr(which, name)) is None else micros(moment) for name in MOMENTS},
    }


def queues(db: sqlite3.Connection, now: datetime) -> list[QueueInfo]:
    paused = {row["name"] for row in db.execute("select name from pauses where kind = 'queue'")}
    counts = {name: {state: 0 for state in State if state in LIVE} for name in paused}
    live = db.execute("select queue, state, count(*) from jobs where finished_at is null group by queue, state")
    for name, state, number in live:
        counts.setdefault(name, {state: 0 for state in State if state in LIVE})[State(state)] = number
    return [QueueInfo(name=name, paused=name in paused, counts=counts[name]) for name in sorted(counts)]


def pauses(db: sqlite3.Connection, now: datetime) -> list[Pause]:
    rows = db.execute("select * from pauses order by kind, name")
    return [Pause(row["kind"], row["name"], EPOCH + row["paused_at"] * MICROSECOND) for row in rows]


def rings(db: sqlite3.Connection, now: datetime, names: Sequence[str] | None) -> int:
    """Return how often the bells of these queues have rung, in all."""
    checked = check_queues(names)
    return int(db.execute(RINGS, {"names": None if checked is None else listed(checked)}).fetchone()[0])
