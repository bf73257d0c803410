"""Reports: what is known of workers, of where a job stands, and of how the queues are."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime

from pq_core.connector import MOST_AHEAD, Standing, WorkerInfo, WorkerStatus
from pq_core.given import check_id
from pq_core.health import Health, QueueHealth
from pq_core.payload import load
from pq_sqlite.rows import EPOCH, MAX_INTEGER, MICROSECOND, micros

WORKERS = """
    select *, (select count(*) from jobs where worker = workers.id and state = 'running') as running
    from workers order by started_at, id
"""
FIRST_OF_LOCK = "select id from jobs where lock = ? and finished_at is null order by priority desc, id limit 1"
AHEAD = """
    select count(*) from (
        select 1 from jobs
        where queue = :queue and state = 'ready' and (priority > :priority or priority = :priority and id < :id)
        limit :most)
"""
WAITS = """
    with line as (
        select queue, min(id) as first from jobs where state = 'ready'
        group by queue, priority, losses >= max_losses - 1)
    select jobs.queue, min(jobs.scheduled_at) as since,
        exists (select 1 from pauses where kind = 'all' or (kind = 'queue' and name = jobs.queue)) as paused,
        exists (
            select 1 from workers
            where lease_until > ? and (queues is null or jobs.queue in (select value from json_each(queues)))) as served
    from line join jobs on id = first group by jobs.queue order by jobs.queue
"""


def workers(db: sqlite3.Connection, now: datetime) -> list[WorkerStatus]:
    return [
        WorkerStatus(
            info=WorkerInfo(
                id=row["id"],
                name=row["name"],
                queues=None if row["queues"] is None else json.loads(row["queues"]),
                details=load(row["details"]),
            ),
            started_at=EPOCH + row["started_at"] * MICROSECOND,
            heartbeat_at=EPOCH + row["heartbeat_at"] * MICROSECOND,
            lease_until=EPOCH + row["lease_until"] * MICROSECOND,
            alive=row["lease_until"] > micros(now),
            running=row["running"],
        )
        for row in db.execute(WORKERS)
    ]


def standing(db: sqlite3.Connection, now: datetime, job_id: int) -> Standing:
    number = min(check_id(job_id), MAX_INTEGER)
    job = db.execute("select * from jobs where id = ? and finished_at is null", [max(number, 0)]).fetchone()
    if job is None:
        return Standing(at=now)
    holder = db.execute("select id from jobs where lock = ? and state = 'running'", [job["lock"]]).fetchone()
    first = db.execute(FIRST_OF_LOCK, [job["lock"]]).fetchone()
    place = {"queue": job["queue"], "priority": job["priority"], "id": job["id"], "most": MOST_AHEAD}
    return Standing(
        at=now,
        holder=holder["id"] if holder and holder["id"] != job["id"] else None,
        before=first["id"] if first and first["id"] != job["id"] else None,
        ahead=db.execute(AHEAD, place).fetchone()[0],
    )


def health(db: sqlite3.Connection, now: datetime) -> Health:
    alive, lost = db.execute(
        "select count(*) filter (where lease_until > ?), count(*) filter (where lease_until <= ?) from workers",
        [micros(now)] * 2,
    ).fetchone()
    queues = [
        QueueHealth(
            name=row["queue"],
            since=EPOCH + row["since"] * MICROSECOND,
            served=bool(row["served"]),
            paused=bool(row["paused"]),
        )
        for row in db.execute(WAITS, [micros(now)])
    ]
    return Health(at=now, workers=alive, lost_workers=lost, queues=queues)
