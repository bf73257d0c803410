import pytest
from newsletter import sign_up

from pq_testing import RunJobs


@pytest.mark.pq(strict="pending")
def test_ada_gets_a_mail(run_jobs: RunJobs) -> None:
    sign_up("ada@example.org")
    run_jobs()
