from newsletter import send_mail

from pq_testing import RunJobs


def test_no_mail_without_a_reader(run_jobs: RunJobs) -> None:
    with run_jobs.rolls_back():
        send_mail.defer("ada@example.org")
