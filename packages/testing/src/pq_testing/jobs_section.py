"""The section "pq jobs" of a failing test: its jobs, as they stand when it fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from pq_core.job import Job
from pq_core.states import ENDED, State
from pq_testing.job_lines import call, count_of, due, last_error, moment_text
from pq_testing.job_query import TellsTime

MAX_ROWS = 50
MAX_CALL = 70
"""Characters of a task with its arguments."""
MAX_ERROR = 80
AHEAD = timedelta(seconds=1)
"""A job that is due later by less than this, and by no round figure, was likely given the real time."""

_HEADER = ("id", "task", "state", "attempt", "scheduled", "last error")
_NUMBERS = (0, 3)
"""Columns that are aligned to the right."""
_ROUND = timedelta(milliseconds=1)


class HasJobs(Protocol):
    """What is needed of the harness of a test."""

    @property
    def clock(self) -> TellsTime:
        """By which the jobs are due."""
        ...

    def jobs(self) -> list[Job]:
        """Return every job of this test in any state, by id."""
        ...


def jobs_section(harness: HasJobs) -> str:
    """Return the text of the section; nothing if no job was deferred.

    The first line tells the time of the test's clock. Of many jobs those that have not succeeded are shown first.
    """
    jobs = harness.jobs()
    if not jobs:
        return ""
    now = harness.clock.now()
    shown, left_out = _chosen(jobs)
    lines = [f"the test's clock stands at {moment_text(now)}", ""]
    lines += _table([_HEADER, *(_row(job, now) for job in shown)])
    if left_out:
        states = Counter(str(job.state) for job in left_out)
        lines.append(f"and {count_of(len(left_out), 'more job')}: {', '.join(f'{n} {s}' for s, n in states.items())}")
    lines += _hints(jobs, now)
    return "\n".join(lines)


def _chosen(jobs: list[Job]) -> tuple[list[Job], list[Job]]:
    """Return the jobs to show and the others, each in order of id."""
    ranked = sorted(jobs, key=lambda job: (job.state is State.SUCCEEDED, job.id))
    ids = {job.id for job in ranked[:MAX_ROWS]}
    return [job for job in jobs if job.id in ids], [job for job in jobs if job.id not in ids]


def _row(job: Job, now: datetime) -> tuple[str, ...]:
    when = due(job.scheduled_at, now)
    return str(job.id), call(job, MAX_CALL), str(job.state), str(job.attempt), when, last_error(job, MAX_ERROR)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if place in _NUMBERS else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _hints(jobs: list[Job], now: datetime) -> Iterator[str]:
    ahead = [job for job in jobs if _by_real_clock(job, now)]
    if ahead:
        first = ahead[0]
        yield ""
        yield (
            f"hint: job {first.id} is due {due(first.scheduled_at, now, parts=None)}, so its scheduled_at came from "
            f"the real clock: the test's clock stands at {moment_text(now)}. Take the time from pq_clock.now(), move "
            "the clock with pq_clock.advance(), or let Python tell its time with pq_clock.patch_python()."
        )


def _by_real_clock(job: Job, now: datetime) -> bool:
    """Whether a job that never ran waits for a moment just ahead: a clock that stood still would not have told it."""
    if job.state in ENDED or job.attempt or not now < job.scheduled_at <= now + AHEAD:
        return False
    return bool((job.scheduled_at - job.created_at) % _ROUND)
