from newsletter import remind, sign_up

from pq_testing import RunJobs


def test_the_reminder_comes_after_a_week(run_jobs: RunJobs) -> None:
    sign_up("ada@example.org")
    run_jobs.deferred.where(scheduled_at="7d").one(remind, address="ada@example.com")
