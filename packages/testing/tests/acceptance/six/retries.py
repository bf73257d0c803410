from datetime import timedelta

import pytest
from shop import charge, gateway

from pq_testing import Clock, RunJobs


def test_giving_up_after_three_attempts_raises_what_the_task_raised(
    run_jobs: RunJobs, pq_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "down", True)
    deferred_at = pq_clock.now()
    charge.defer(7)
    with pytest.raises(TimeoutError, match="no answer about order 7") as caught:
        run_jobs(until="1h")
    assert caught.traceback[-1].name == "charge"
    assert caught.traceback[-1].path.name == "shop.py"
    job = run_jobs.deferred.one(charge)
    assert (job.state, job.attempt) == ("failed", 3)
    assert job.finished_at == deferred_at + timedelta(minutes=2)
