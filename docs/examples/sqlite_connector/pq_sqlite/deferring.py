"""Defer: jobs are stored, all or none."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

from pq_core.connector import Deferred
from pq_core.errors import AlreadyDeferred, InvalidArguments, InvalidJob
from pq_core.job import NewJob
from pq_core.payload import dump_mapping
from pq_sqlite.rows import micros
from pq_sqlite.uniqueness import give_way, note_period

INSERT = """
    insert into jobs (
        task, args, queue, priority, lock, lock_mode, state, max_losses, scheduled_at, created_at, metadata, delivery,
        version, unique_key, unique_scope, expires_at)
    values (:task, :args, :queue, :priority, :lock, :lock_mode, iif(:due > :now, 'scheduled', 'ready'), :max_losses,
        :due, :now, :metadata, :delivery, :version, :unique_key, iif(:unique_key is null, null, :unique_scope),
        :expires_at)
    returning id
"""


def defer(db: sqlite3.Connection, now: datetime, jobs: Sequence[NewJob]) -> list[Deferred]:
    alone = len(jobs) == 1
    texts = [texts_of(job, None if alone else index) for index, job in enumerate(jobs)]
    rows = [row_of(job, *text, now) for job, text in zip(jobs, texts, strict=True)]
    answers: list[Deferred] = []
    fresh: list[int] = []
    for index, (job, row) in enumerate(zip(jobs, rows, strict=True)):
        try:
            met = None if job.unique_key is None else give_way(db, now, job, row, fresh)
        except AlreadyDeferred as refused:
            raise (refused if alone else refused.at(index)) from None
        answers.append(met or store(db, now, job, row))
        if met is None:
            fresh.append(answers[-1].id)
    return answers


def store(db: sqlite3.Connection, now: datetime, job: NewJob, row: dict[str, object]) -> Deferred:
    ((job_id,),) = db.execute(INSERT, row).fetchall()
    note_period(db, now, job, job_id)
    return Deferred(job_id)


def texts_of(job: NewJob, index: int | None) -> tuple[str, str]:
    """Return what of a job is stored as JSON; an error names the job's place in the batch."""
    try:
        args = dump_mapping(job.args, "args", error=InvalidArguments)
        return args, dump_mapping(job.metadata, "metadata", error=InvalidJob)
    except InvalidJob as reason:
        raise (reason if index is None else reason.at(index)) from None


def row_of(job: NewJob, args: str, metadata: str, now: datetime) -> dict[str, object]:
    expires_at = job.expires_at if job.expires_in is None else now + job.expires_in
    return {
        "task": job.task,
        "args": args,
        "queue": job.queue,
        "priority": job.priority,
        "lock": job.lock,
        "lock_mode": job.lock_mode,
        "max_losses": job.max_losses,
        "due": micros(job.scheduled_at or now + (job.delay or timedelta(0))),
        "now": micros(now),
        "metadata": metadata,
        "delivery": job.delivery,
        "version": job.version,
        "unique_key": job.unique_key,
        "unique_scope": job.unique_scope,
        "expires_at": None if expires_at is None else micros(expires_at),
    }
