"""Assert on what was deferred."""

from datetime import timedelta

from newsletter import remind, send_issue, send_mail, sign_up

from pq_testing import Clock, RunJobs


def test_signing_up_defers_a_mail_and_a_reminder(run_jobs: RunJobs, pq_clock: Clock) -> None:
    sign_up("ada@example.org")

    run_jobs.deferred.one(send_mail, address="ada@example.org")
    reminder = run_jobs.deferred.one(remind)
    assert reminder.args == {"address": "ada@example.org"}
    assert reminder.scheduled_at == pq_clock.now() + timedelta(days=3)

    run_jobs.deferred.where(scheduled_at="3d").one(remind)  # the same, in one line
    run_jobs.deferred.none(send_mail, subject="Are you still there?")
    assert len(run_jobs.deferred) == 2


def test_any_state_and_some_arguments(run_jobs: RunJobs) -> None:
    send_issue.defer(7, ["ada@example.org", "grace@example.org"])
    run_jobs()
    assert len(run_jobs.deferred.where(state="succeeded")) == 3
    assert len(run_jobs.deferred.where(queue="mail").all(subject="Issue 7")) == 2
    run_jobs.deferred.one(send_issue, number=lambda number: number < 10)
