"""Run each job a second time, as happens when a worker dies before it can say that the job has ended."""

import pytest
from newsletter import app, send_mail, sent

from pq_testing import Effects, RunJobs

subscribers: dict[str, int] = {}


@app.task
def subscribe(address: str, weeks: int) -> None:
    subscribers[address] = weeks


@pytest.mark.pq(redeliver=True)
def test_a_subscription_is_entered_once(run_jobs: RunJobs, pq_effects: Effects) -> None:
    pq_effects.watch(subscribers)
    subscribe.defer("ada@example.org", weeks=52)
    run_jobs()
    assert subscribers == {"ada@example.org": 52}


@pytest.mark.pq(redeliver=True)
def test_a_mail_more_is_no_harm(run_jobs: RunJobs) -> None:
    send_mail.defer("ada@example.org")
    run_jobs()
    assert set(sent) == {"Welcome: ada@example.org"}
