"""Fails a test that leaves jobs behind at which it has not looked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from pq_testing.plugin.lifetime import known

if TYPE_CHECKING:  # Only for readers: a test run that uses no jobs does not pay for them.
    from pq_core.job import Job
    from pq_testing.report import Run
    from pq_testing.run_jobs import RunJobs

_LOOK = (
    'assert on it, as in `report = run_jobs(on_error="record")` and `report.failed`, or allow it with '
    '@pytest.mark.pq(strict="off")'
)


def check(item: pytest.Item) -> None:
    """Fail if jobs failed unseen; if the test is to be that strict, also if some never ran and nobody said so.

    Raises:
        BaseException: the error of the first job that failed unseen, itself.
    """
    __tracebackhide__ = True
    lifetime = known(item)
    if lifetime is not None and lifetime.settings.strict != "off":
        for used in lifetime.uses:
            _check(used, lifetime.settings.strict)


def _check(used: RunJobs, strict: str) -> None:
    __tracebackhide__ = True
    if unseen := used.harness.ledger.unseen_failures():
        _raise(unseen)
    if strict == "pending" and (left := _never_ran(used)):
        _complain(left)


def _raise(unseen: list[Run]) -> NoReturn:
    __tracebackhide__ = True
    run = unseen[0]
    others = f", and {len(unseen) - 1} more" if len(unseen) > 1 else ""
    text = f"pq: job {run.job.id} ({run.task}) failed with this error{others}, and the test has not looked: {_LOOK}."
    if run.error is None:
        pytest.fail(text, pytrace=False)
    from pq_testing.drain import in_own_frames
    from pq_testing.notes import note

    note(run.error, text)
    raise in_own_frames(run.error)


def _never_ran(used: RunJobs) -> list[Job]:
    ledger = used.harness.ledger
    ran = {run.job.id for run in ledger.runs}
    return [
        job for job in used.harness.jobs() if not job.ended and job.attempt == 0 and job.id not in ran | ledger.asserted
    ]


def _complain(left: list[Job]) -> NoReturn:
    __tracebackhide__ = True
    listed = ", ".join(f"job {job.id} ({job.task}, {job.state})" for job in left)
    pytest.fail(
        f"pq: never ran, and nothing was asserted about it: {listed}. Run it with run_jobs(), assert that it waits, "
        'as in run_jobs.deferred.one(...), or allow it with @pytest.mark.pq(strict="failed").',
        pytrace=False,
    )
