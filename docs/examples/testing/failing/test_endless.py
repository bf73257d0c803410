import pytest
from newsletter import app

from pq_testing import RunJobs


@app.task
def tick() -> None:
    tick.defer()


@pytest.mark.pq(max_runs=5)
def test_the_clock_ticks(run_jobs: RunJobs) -> None:
    tick.defer()
    run_jobs()
