"""Claiming: workers make themselves known, and take the jobs that they may run."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

from pq_core.connector import Fetched, WorkerInfo
from pq_core.errors import InvalidJob, LeaseLost
from pq_core.given import check_lease, check_limit, check_queues, check_worker
from pq_core.job import Job
from pq_core.outcome import Progress, newest
from pq_core.payload import dump_mapping
from pq_sqlite.database import WAKE
from pq_sqlite.rows import MAX_INTEGER, job_of, listed, micros, stamped

HEARTBEAT = """
    insert into workers (id, name, queues, details, started_at, heartbeat_at, lease_until) values (?, ?, ?, ?, ?, ?, ?)
    on conflict (id) do update set heartbeat_at = excluded.heartbeat_at, lease_until = excluded.lease_until
"""
SAY = "update jobs set progress = ? where id = ? and claim = ? and state = 'running'"
FIRST_READY = """
    select id from jobs
    where state = 'ready' and (losses >= max_losses - 1) = ? and queue in (select value from json_each(?))
    order by priority desc, id limit 1
"""
EXPIRE = """
    update jobs set state = 'cancelled', reason = 'expired', finished_at = ?
    where attempt = 0 and state in ('scheduled', 'ready', 'blocked') and expires_at <= ?
"""
CLAIM = """
    update jobs set state = 'running', attempt = attempt + 1, claim = claim + 1, worker = ?, started_at = ?
    where id = ? returning *
"""


def heartbeat(
    db: sqlite3.Connection, now: datetime, worker: WorkerInfo, lease: timedelta, progress: Sequence[Progress]
) -> list[int]:
    details = dump_mapping(worker.details, "details", error=InvalidJob)
    queues = None if worker.queues is None else listed(worker.queues)
    until = micros(now + check_lease(lease))
    db.execute(HEARTBEAT, [worker.id, worker.name, queues, details, micros(now), micros(now), until])
    for said in newest(progress):
        if abs(said.job_id) <= MAX_INTEGER:
            db.execute(SAY, [stamped(said.text, now), said.job_id, said.claim])
    asked = "select id from jobs where state = 'running' and worker = ? and cancel_requested_at is not null order by id"
    return [row["id"] for row in db.execute(asked, [worker.id])]


def fetch(db: sqlite3.Connection, now: datetime, worker: int, queues: Sequence[str] | None, limit: int) -> Fetched:
    queues, limit = check_queues(queues), check_limit(limit, 1)
    insist_on_lease(db, now, check_worker(worker))
    expire(db, now)
    db.execute("update jobs set state = 'ready' where state = 'scheduled' and scheduled_at <= ?", [micros(now)])
    db.execute(WAKE)

    names = ready_queues(db) if queues is None else set(queues)
    paused = [(row["kind"], row["name"]) for row in db.execute("select kind, name from pauses")]
    served = set() if ("all", "") in paused else names - {name for kind, name in paused if kind == "queue"}
    runs = [*db.execute("select losses, max_losses from jobs where state = 'running' and worker = ?", [worker])]
    jobs: list[Job] = []
    again = False
    if not runs:
        jobs = [claim(db, now, worker, job_id) for job_id in first_runnable(db, served, last_life=True)]
    if not jobs and not any(run["losses"] >= run["max_losses"] - 1 for run in runs):
        jobs, again = claim_shares(db, now, worker, served, limit, share=max(1, -(-2 * limit // max(1, len(names)))))
    return Fetched(
        jobs=jobs,
        again=again,
        solo=bool(runs) and has_ready(db, served, last_life=True),
        next_in=seconds_until_next(db, now),
    )


def expire(db: sqlite3.Connection, now: datetime) -> None:
    db.execute(EXPIRE, [micros(now), micros(now)])


def insist_on_lease(db: sqlite3.Connection, now: datetime, worker: int) -> None:
    lease = db.execute("select 1 from workers where id = ? and lease_until > ?", [worker, micros(now)])
    if lease.fetchone() is None:
        raise LeaseLost(f"worker {worker} has no lease; it must send a heartbeat before it may fetch")


def claim_shares(
    db: sqlite3.Connection, now: datetime, worker: int, queues: Collection[str], limit: int, *, share: int
) -> tuple[list[Job], bool]:
    """Claim at most `share` jobs of a queue; say whether that has left some."""
    left = dict.fromkeys(queues, share)
    jobs: list[Job] = []
    while len(jobs) < limit:
        job_ids = [*first_runnable(db, [queue for queue in left if left[queue]], last_life=False)]
        if not job_ids:
            break
        jobs.append(claim(db, now, worker, job_ids[0]))
        left[jobs[-1].queue] -= 1
    return jobs, has_ready(db, [queue for queue in left if not left[queue]], last_life=False)


def claim(db: sqlite3.Connection, now: datetime, worker: int, job_id: int) -> Job:
    (row,) = db.execute(CLAIM, [worker, micros(now), job_id]).fetchall()
    return job_of(row)


def first_runnable(db: sqlite3.Connection, queues: Collection[str], *, last_life: bool) -> Iterator[int]:
    """Give the id of the first job that may run, if there is one; what stands before it is blocked."""
    while row := db.execute(FIRST_READY, [last_life, listed(queues)]).fetchone():
        if db.execute("select 1 from runnable where id = ?", [row["id"]]).fetchone():
            yield row["id"]
            return
        db.execute("update jobs set state = 'blocked' where id = ?", [row["id"]])


def has_ready(db: sqlite3.Connection, queues: Collection[str], *, last_life: bool) -> bool:
    return db.execute(FIRST_READY, [last_life, listed(queues)]).fetchone() is not None


def ready_queues(db: sqlite3.Connection) -> set[str]:
    return {row["queue"] for row in db.execute("select distinct queue from jobs where state = 'ready'")}


def seconds_until_next(db: sqlite3.Connection, now: datetime) -> float | None:
    (first,) = db.execute("select min(scheduled_at) from jobs where state = 'scheduled'").fetchone()
    return None if first is None else timedelta(microseconds=first - micros(now)).total_seconds()
