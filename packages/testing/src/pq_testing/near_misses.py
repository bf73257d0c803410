"""What a test reads when the jobs are not those that it asserted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import attrs

from pq_core.job import Job
from pq_testing.expected_values import Difference
from pq_testing.job_lines import count_of, job_line
from pq_testing.wanted import Wanted

MAX_NEAR = 5
"""Jobs shown with what is other about them."""
MAX_OTHERS = 10
"""Jobs shown in one line beside those; if there are more, they are only counted."""
MAX_DIFFERENCES = 6
"""Differences shown of one job."""


def none_found(wanted: Wanted, jobs: Sequence[Job], now: datetime) -> str:
    """Return why there is no job as wanted: the nearest, with what is other about them; then the rest.

    Args:
        wanted: what was asked for.
        jobs: all of the test.
        now: of the test's clock.
    """
    head = f"no job fits {wanted}"
    if not jobs:
        return (
            f"{head}; no job was deferred at all (one that is deferred with connection= is there once that "
            "transaction commits)"
        )
    near = sorted((_Miss(job, wanted.differences(job)) for job in _candidates(wanted, jobs)), key=_distance)
    shown = near[:MAX_NEAR]
    ids = {miss.job.id for miss in shown}
    lines = [f"{head}; {'the only job' if len(jobs) == 1 else f'the closest of {len(jobs)} jobs'}:", ""]
    for miss in shown:
        lines += [f"  {job_line(miss.job, now)}", *(f"      {text}" for text in miss.texts())]
    lines += _others([job for job in jobs if job.id not in ids], now)
    return "\n".join(lines)


def several_found(wanted: Wanted, found: Sequence[Job], now: datetime) -> str:
    """Return that more than one job is as wanted: which ones, and what tells them apart.

    Args:
        wanted: what was asked for.
        found: the jobs, two or more.
        now: of the test's clock.
    """
    apart = list(_distinctions(found))
    hint = (
        f"they differ in {', '.join(apart)}"
        if apart
        else "they differ in nothing but their ids (was it deferred more than once?)"
    )
    return "\n".join([f"{len(found)} jobs fit {wanted}, not one; {hint}:", "", *_listed(found, now)])


def unwanted_found(wanted: Wanted, found: Sequence[Job], now: datetime) -> str:
    """Return that there are jobs where there should be none.

    Args:
        wanted: what was asked for.
        found: the jobs, at least one.
        now: of the test's clock.
    """
    head = f"{'a job fits' if len(found) == 1 else f'{len(found)} jobs fit'} {wanted}, and none should:"
    return "\n".join([head, "", *_listed(found, now)])


@attrs.frozen
class _Miss:
    job: Job
    differences: list[Difference]

    def texts(self) -> Iterator[str]:
        first = self.differences[0]
        if len(self.differences) == 1 and first.what == "state":
            yield f"the same, but {first.found}: {first.expected} expected"
            return
        yield from map(str, self.differences[:MAX_DIFFERENCES])
        if more := self.differences[MAX_DIFFERENCES:]:
            yield f"and {count_of(len(more), 'more difference')}"


def _candidates(wanted: Wanted, jobs: Sequence[Job]) -> Sequence[Job]:
    """Return the jobs of the task; if there is none, all: one may be of a task that should not have been deferred."""
    return [job for job in jobs if wanted.is_of_task(job)] or jobs


def _distance(miss: _Miss) -> tuple[int, int]:
    return len(miss.differences), miss.job.id


def _listed(jobs: Sequence[Job], now: datetime) -> list[str]:
    return [*(f"  {job_line(job, now)}" for job in jobs[:MAX_NEAR]), *_others(jobs[MAX_NEAR:], now, "  ")]


def _others(jobs: Sequence[Job], now: datetime, margin: str = "") -> Iterator[str]:
    if not jobs:
        return
    if len(jobs) > MAX_OTHERS:
        yield f"{margin}and {count_of(len(jobs), 'more job')}"
        return
    if not margin:
        yield from ("", "the others:", "")
    for job in jobs:
        yield f"  {job_line(job, now)}"


def _distinctions(jobs: Sequence[Job]) -> Iterator[str]:
    """Yield the names of what is not the same for all jobs."""
    for name in dict.fromkeys(name for job in jobs for name in job.args):
        if not _alike([job.args.get(name, jobs) for job in jobs]):
            yield name
    for field in ("task", "queue", "lock", "state", "scheduled_at", "priority", "attempt"):
        if not _alike([getattr(job, field) for job in jobs]):
            yield field


def _alike(values: list[Any]) -> bool:
    return all(value == values[0] for value in values[1:])
