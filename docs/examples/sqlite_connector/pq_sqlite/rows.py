"""Rows of the table `jobs`, and the values of pq that they stand for."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from pq_core.connector import JobState
from pq_core.job import MAX_ERRORS, Job
from pq_core.payload import dump, load
from pq_core.states import State

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MAX_INTEGER = 2**63 - 1
"""SQLite has no greater one."""


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def moment(stored: int | None) -> datetime | None:
    return None if stored is None else EPOCH + stored * MICROSECOND


def listed(values: Iterable[object]) -> str:
    """Return a list to be unpacked by `select value from json_each(?)`, which takes any number of values."""
    return json.dumps([value for value in values if not isinstance(value, int) or abs(value) <= MAX_INTEGER])


def job_of(row: sqlite3.Row) -> Job:
    fields: dict[str, Any] = dict(row)
    for name in ("scheduled_at", "created_at", "started_at", "finished_at", "cancel_requested_at", "expires_at"):
        fields[name] = moment(fields[name])
    for name in ("args", "errors", "metadata", "result", "progress"):
        fields[name] = None if fields[name] is None else load(fields[name])
    return Job(**{**fields, "state": State(row["state"])})


def states_of(db: sqlite3.Connection, ids: Iterable[int]) -> list[JobState]:
    rows = db.execute(
        "select id, state from jobs where id in (select value from json_each(?)) order by id", [listed(ids)]
    )
    return [JobState(row["id"], State(row["state"])) for row in rows]


def with_error(errors: str, error: dict[str, Any] | None, now: datetime) -> str:
    """Return a job's errors with one more, stamped with the time. The last ten are kept."""
    if error is None:
        return errors
    entry = {**error, "at": now.astimezone(UTC).isoformat(timespec="microseconds")}
    return dump([*load(errors), entry][-MAX_ERRORS:], "errors")


def stamped(progress: str | None, now: datetime) -> str | None:
    """Return what a run has said of its progress, with the time."""
    if progress is None:
        return None
    return dump({**load(progress), "at": now.astimezone(UTC).isoformat(timespec="microseconds")}, "progress")
