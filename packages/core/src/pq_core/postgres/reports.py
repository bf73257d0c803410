"""What the database reports of workers and queues, of a job's standing and of its own health, read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pq_core.answers import QueueInfo, Standing, ToStop
from pq_core.health import Health, Pin, QueueHealth
from pq_core.payload import load
from pq_core.states import State
from pq_core.worker_info import WorkerInfo, WorkerStatus

Row = tuple[Any, ...]


def read_worker(row: Row) -> WorkerStatus:
    """Read a row of known_workers(), whose details are JSON as text."""
    id_, name, queues, details, started_at, heartbeat_at, lease_until, alive, running = row
    return WorkerStatus(
        info=WorkerInfo(id=id_, name=name, queues=queues, details=load(details)),
        started_at=started_at.astimezone(UTC),
        heartbeat_at=heartbeat_at.astimezone(UTC),
        lease_until=lease_until.astimezone(UTC),
        alive=alive,
        running=running,
    )


def read_to_stop(rows: list[Row]) -> ToStop:
    """Read the rows of heartbeat(), of which the last tells of other workers."""
    *jobs, (_, lapses_in, others) = rows
    told = ToStop(job[0] for job in jobs)
    told.others = others
    if lapses_in is not None:
        told.lapses_in = lapses_in
    return told


def read_queue(row: Row) -> QueueInfo:
    """Read a row of queue_counts()."""
    name, paused, scheduled, ready, blocked, running = row
    live = {State.SCHEDULED: scheduled, State.READY: ready, State.BLOCKED: blocked, State.RUNNING: running}
    return QueueInfo(name=name, paused=paused, counts=live)


def read_standing(rows: list[Row]) -> Standing:
    """Read the row of standing()."""
    ((holder, before, ahead, at),) = rows
    return Standing(at=at.astimezone(UTC), holder=holder, before=before, ahead=ahead)


def read_health(text: str) -> Health:
    """Read the JSON of health()."""
    facts: dict[str, Any] = load(text)
    facts["at"] = _moment(facts["at"])
    facts["vacuumed_at"] = facts["vacuumed_at"] and _moment(facts["vacuumed_at"])
    facts["queues"] = [_queue(**queue) for queue in facts["queues"]]
    facts["pins"] = [_pin(**pin) for pin in facts["pins"]]
    return Health(**facts)


def _queue(*, since: str, **facts: Any) -> QueueHealth:
    return QueueHealth(since=_moment(since), **facts)


def _pin(*, seconds: float | None, **facts: Any) -> Pin:
    return Pin(age=None if seconds is None else timedelta(seconds=seconds), **facts)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
