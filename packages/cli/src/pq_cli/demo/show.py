"""The demo, from the list of files to the manifest."""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import attrs

from pq_cli.demo import crew, manifest, place
from pq_cli.demo.listing import Listing, list_files
from pq_cli.demo.progress import progress
from pq_cli.demo.tasks import hash_file, path_of, text_of
from pq_core import App, Job, NewJob, State
from pq_core.job import MAX_LOCK
from pq_core.states import LIVE

BATCH = 1_000
_POLL = 0.1


@attrs.frozen
class Failure:
    """A file that could not be hashed."""

    file: bytes
    error: str
    attempts: int


@attrs.define
class Summary:
    """What came out.

    Attributes:
        began: when the first job was started; None if there was none.
        ended: when the last one ended.
    """

    listing: Listing
    jobs: int = 0
    retries: int = 0
    failures: list[Failure] = attrs.field(factory=list[Failure])
    began: datetime | None = None
    ended: datetime | None = None

    @property
    def seconds(self) -> float:
        """From the start of the first job to the end of the last."""
        return (self.ended - self.began).total_seconds() if self.began and self.ended else 0.0

    def add(self, job: Job) -> None:
        """Count a job that has ended."""
        self.jobs += 1
        self.retries += max(job.attempt - 1, 0)
        if job.started_at and job.finished_at:
            # A retried job tells when its last attempt began only; an earlier one of another job began before that.
            self.began = min(self.began or job.started_at, job.started_at)
            self.ended = max(self.ended or job.finished_at, job.finished_at)
        if job.state != State.SUCCEEDED:
            error = job.errors[-1] if job.errors else {"type": str(job.state), "message": job.reason}
            self.failures.append(
                Failure(path_of(job.args["file"]), f"{error['type']}: {error['message']}", job.attempt)
            )


def show(path: Path | None, output: Path, *, dsn: str | None, concurrency: int) -> Summary:
    """Hash every file as a job, and write the manifest.

    Raises:
        DemoFailed: the manifest cannot be written, or the worker has ended.
        PQError: there is no PostgreSQL to be had.
    """
    with manifest.written(output) as lines:
        listing = list_files(path, leave_out=(output, Path(lines.name)))
        summary = Summary(listing)
        if listing.files:
            with place.opened(dsn) as where:
                with crew.at_work(where.dsn, where.schema, concurrency) as workers:
                    defer(where.app, listing)
                    wait(where.app, workers, len(listing.files))
                collect(where.app, lines, summary)
        return summary


def defer(app: App, listing: Listing) -> None:
    """Store a job for each file, and let no two files of one directory be hashed at the same time."""
    with progress("deferred", len(listing.files)) as advance:
        done = 0
        for batch in _batches(listing):
            app.defer_many(batch)
            done += len(batch)
            advance(done)


def wait(app: App, workers: crew.Crew, total: int) -> None:
    """Wait until every job has ended.

    Raises:
        DemoFailed: the worker has ended before.
    """
    with progress("hashed", total) as advance:
        while True:
            asked = time.monotonic()
            counts = app.jobs.count()
            live = sum(counts[state] for state in LIVE)
            advance(total - live)
            if not live:
                return
            workers.check()
            # Counting takes longer the more jobs there are; it shall not keep the server from its work.
            time.sleep(max(_POLL, timedelta(seconds=5 * (time.monotonic() - asked)).total_seconds()))


def collect(app: App, lines: BinaryIO, summary: Summary) -> None:
    """Write the results of all jobs, in the order in which the files were listed."""
    after = 0
    while found := app.jobs.find(limit=BATCH, after=after):
        after = found[-1].id
        for job in found:
            summary.add(job)
            if job.state == State.SUCCEEDED:
                name = os.path.relpath(path_of(job.args["file"]), summary.listing.root)
                lines.write(manifest.line(job.result, name))


def _batches(listing: Listing) -> Iterator[list[NewJob]]:
    files = iter(listing.files)
    while batch := list(itertools.islice(files, BATCH)):
        yield [_job(os.path.join(listing.root, file)) for file in batch]  # noqa: PTH118 - bytes


def _job(path: bytes) -> NewJob:
    lock = text_of(os.path.dirname(path))  # noqa: PTH120 - bytes
    if len(lock) > MAX_LOCK:
        lock = hashlib.sha256(lock.encode()).hexdigest()
    return hash_file.configure(lock=lock).job(file=text_of(path))
