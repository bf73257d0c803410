"""Schedules, as PostgreSQL is given them and as it answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pq_core.schedule import Move, NewSchedule, Schedule, Ticked, check_schedules, dump_job, read_schedule

_NAMES = (
    "id",
    "job",
    "cron",
    "timezone",
    "catch_up",
    "max_delay",
    "revision",
    "next_tick",
    "planned",
    "created_at",
    "last_tick",
    "paused_at",
    "declared_at",
)
SCHEDULE_COLUMNS = (
    "id, job::text, cron, timezone, catch_up, max_delay, revision, next_tick, planned, created_at, last_tick,"
    " paused_at, declared_at"
)
"""Of a schedule, in the order in which the readers expect them."""


def put_columns(schedules: Sequence[NewSchedule]) -> list[Any]:
    """Return one list for each column of schedules that are to be stored.

    Raises:
        InvalidOption: two have one id.
        InvalidJob: arguments or metadata cannot be stored.
    """
    given = check_schedules(schedules)
    return [
        [each.id for each in given],
        [dump_job(each.job) for each in given],
        [each.cron for each in given],
        [each.timezone for each in given],
        [each.catch_up for each in given],
        [None if each.max_delay is None else each.max_delay.total_seconds() for each in given],
    ]


def move_columns(moves: Sequence[Move]) -> list[Any]:
    """Return one list for each field of moves, and two for their ticks: the place of the move, from 1, and the tick."""
    ticks = [(place, tick) for place, move in enumerate(moves, start=1) for tick in move.ticks]
    return [
        [move.id for move in moves],
        [move.revision for move in moves],
        [move.next_tick for move in moves],
        [place for place, _ in ticks],
        [tick for _, tick in ticks],
    ]


def read_schedules(rows: Sequence[tuple[Any, ...]]) -> list[Schedule]:
    """Read rows of the columns, each with the time of the store after them."""
    return [_schedule(row[:-1], row[-1]) for row in rows]


def read_ticked(rows: list[tuple[Any, ...]]) -> Ticked:
    """Read rows of the columns, and a last one that holds what else `tick` answers."""
    moved, now, next_in = rows.pop()[-3:]
    now = now.astimezone(UTC)
    due = [_schedule(row[:-3], now) for row in rows]
    return Ticked(now=now, moved=moved, due=due, next_in=next_in)


def _schedule(row: Sequence[Any], now: datetime) -> Schedule:
    plain = (value.astimezone(UTC) if isinstance(value, datetime) else value for value in row)
    fields: dict[str, Any] = dict(zip(_NAMES, plain, strict=True))
    return read_schedule(now=now, **fields)
