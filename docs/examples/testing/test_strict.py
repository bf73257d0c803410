"""What a test must not leave behind."""

import pytest
from newsletter import count_readers, sent, sign_up

from pq_testing import RunJobs


def test_a_recorded_error_must_be_looked_at(run_jobs: RunJobs) -> None:
    count_readers.defer("https://example.org")
    report = run_jobs(until="1h", on_error="record")
    assert isinstance(report.failed[0].error, ConnectionError)


@pytest.mark.pq(strict="off")
def test_this_one_may_leave_what_it_likes(run_jobs: RunJobs) -> None:
    count_readers.defer("https://example.org")
    run_jobs(until="1h", on_error="record")


@pytest.mark.pq(strict="pending")
def test_nothing_waits_unnoticed(run_jobs: RunJobs) -> None:
    sign_up("ada@example.org")
    run_jobs()
    assert sent == ["Welcome: ada@example.org"]
    run_jobs.deferred.where(scheduled_at="3d").one()  # without this, the reminder would fail the test
