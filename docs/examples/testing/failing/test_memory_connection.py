# Needs PostgreSQL.
import psycopg
from newsletter import send_mail

from pq_testing import RunJobs


def test_in_a_transaction(run_jobs: RunJobs, pq_dsn: str) -> None:
    with psycopg.connect(pq_dsn) as connection:
        send_mail.defer("ada@example.org")
        run_jobs(connection=connection)
