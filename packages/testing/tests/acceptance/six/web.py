from fastapi.testclient import TestClient
from shop import charge, remind, web

from pq_testing import RunJobs


def test_a_request_defers_one_job_for_now_and_one_for_later(run_jobs: RunJobs) -> None:
    assert TestClient(web).post("/orders/7").json() == {"order": 7}
    run_jobs.deferred.where(scheduled_at=None).one(charge, order=7)
    run_jobs.deferred.where(scheduled_at="3d", state="scheduled").one(remind, order=7)
