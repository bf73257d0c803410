import anyio.lowlevel
from newsletter import app

from pq_testing import RunJobs, pq_explore

accounts: dict[str, int] = {}


@app.task
async def add_interest(cents: int) -> None:
    before = accounts["ada"]
    await anyio.lowlevel.checkpoint()  # The bank is asked, and answers.
    accounts["ada"] = before + cents


@pq_explore(workers=2)
def test_no_interest_is_lost(run_jobs: RunJobs) -> None:
    accounts["ada"] = 100
    add_interest.defer(5)
    add_interest.defer(7)
    run_jobs()
    assert accounts["ada"] == 112
