"""A test like any other. With --pq-payloads-update, what it defers is recorded."""

from newsletter import send_issue, send_mail

from pq_testing import RunJobs


def test_an_issue_goes_to_all_readers(run_jobs: RunJobs) -> None:
    send_issue.defer(7, ["ada@example.org"])
    run_jobs()
    run_jobs.deferred.one(send_mail, subject="Issue 7")
