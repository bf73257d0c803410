import anyio.lowlevel
import pytest
from newsletter import app

from pq_testing import RunJobs

accounts = {"ada": 100, "grace": 0}


@app.task
async def transfer(cents: int) -> None:
    accounts["ada"] -= cents
    await anyio.lowlevel.checkpoint()  # The bank is asked, and answers.
    accounts["grace"] += cents


@pytest.mark.pq(crash="everywhere")
def test_no_money_is_lost(run_jobs: RunJobs) -> None:
    accounts.update(ada=100, grace=0)
    transfer.defer(30)
    run_jobs()
    assert accounts == {"ada": 70, "grace": 30}
