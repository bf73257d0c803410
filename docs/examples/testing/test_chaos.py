"""Run jobs in another order than the usual one."""

import pytest
from newsletter import app

from pq_testing import RunJobs

steps: list[str] = []


@app.task(lock="parcel")
def pack() -> None:
    steps.append("pack")


@app.task(lock="parcel")
def post() -> None:
    steps.append("post")


@pytest.mark.pq(reorder=True)
def test_a_parcel_is_packed_before_it_is_posted(run_jobs: RunJobs) -> None:
    steps.clear()
    pack.defer()
    post.defer()
    run_jobs()
    assert steps == ["pack", "post"]
