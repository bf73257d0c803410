import pytest
from shop import charge, gateway

from pq_testing import Effects, RunJobs


@pytest.mark.pq(backend="all", redeliver=True)
def test_an_order_is_charged_once(run_jobs: RunJobs, pq_effects: Effects) -> None:
    gateway.charged.clear()
    pq_effects.watch(gateway)
    charge.defer(order=7)
    run_jobs()
