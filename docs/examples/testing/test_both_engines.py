# Needs PostgreSQL.
"""The same test in memory and on PostgreSQL; and tests for one of them only."""

import pytest
from newsletter import remind, send_mail, sent, sign_up

from pq_testing import RunJobs


@pytest.mark.pq(backend="all")
def test_on_both(run_jobs: RunJobs) -> None:
    sign_up("ada@example.org")
    run_jobs(until="3d")
    assert sent == ["Welcome: ada@example.org", "Are you still there?: ada@example.org"]
    assert len(run_jobs.deferred.where(state="succeeded")) == 3


@pytest.mark.pq(backend="postgres")
def test_on_postgresql(run_jobs: RunJobs, pq_dsn: str) -> None:
    import psycopg

    job = remind.configure(priority=5).defer("ada@example.org")
    with psycopg.connect(pq_dsn) as connection:
        assert connection.execute("select id, priority from pq.jobs").fetchall() == [(job, 5)]
    run_jobs()


@pytest.mark.pq(backend="postgres", fresh_database=True)
def test_in_a_database_of_its_own(run_jobs: RunJobs) -> None:
    assert send_mail.defer("ada@example.org") == 1
    run_jobs()
