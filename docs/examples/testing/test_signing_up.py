from newsletter import remind, sent, sign_up

from pq_testing import RunJobs


def test_signing_up_sends_a_mail_and_a_reminder(run_jobs: RunJobs) -> None:
    sign_up("ada@example.org")
    run_jobs.deferred.where(scheduled_at="3d").one(remind, address="ada@example.org")

    run_jobs()
    assert sent == ["Welcome: ada@example.org"]

    run_jobs(until="3d")
    assert sent[1] == "Are you still there?: ada@example.org"
