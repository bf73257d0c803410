# Needs PostgreSQL.
"""Jobs beside tables of the application's, in a transaction that is rolled back at the end of each test."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from newsletter import app, send_mail, sent

from pq_testing import RunJobs

pytestmark = pytest.mark.pq(backend="postgres")


@pytest.fixture(scope="session")
def tables(pq_dsn: str) -> str:
    """Make the application's tables, once."""
    with psycopg.connect(pq_dsn) as connection:
        connection.execute("create table if not exists readers (address text primary key)")
    return pq_dsn


@pytest.fixture
def connection(tables: str) -> Iterator[psycopg.Connection[Any]]:
    """Open a transaction that nobody commits."""
    with psycopg.connect(tables) as connection:
        yield connection
        connection.rollback()


def sign_up(address: str, connection: psycopg.Connection[Any]) -> None:
    """The code under test."""
    connection.execute("insert into readers values (%s)", [address])
    send_mail.configure(connection=connection).defer(address)


def test_jobs_run_inside_of_the_tests_own_transaction(run_jobs: RunJobs, connection: psycopg.Connection[Any]) -> None:
    sign_up("ada@example.org", connection)

    run_jobs.deferred_in(connection).one(send_mail, address="ada@example.org")
    run_jobs.deferred.none(send_mail)  # for everybody else there is no such job

    report = run_jobs(connection=connection)
    assert report.count(send_mail) == 1
    assert sent == ["Welcome: ada@example.org"]


def test_and_nothing_of_it_is_left(run_jobs: RunJobs, connection: psycopg.Connection[Any]) -> None:
    assert connection.execute("select count(*) from readers").fetchone() == (0,)
    assert list(run_jobs.deferred_in(connection)) == []


@app.task
def fail(address: str) -> None:
    raise ValueError(address)


def test_a_job_that_fails_leaves_the_transaction_as_it_was(
    run_jobs: RunJobs, connection: psycopg.Connection[Any]
) -> None:
    sign_up("ada@example.org", connection)
    fail.configure(connection=connection).defer("ada@example.org")
    report = run_jobs(connection=connection, on_error="record")
    assert [run.kind for run in report] == ["succeeded", "failed"]
    assert len(report.failed) == 1
    assert connection.execute("select count(*) from readers").fetchone() == (1,)


def test_a_rollback_takes_the_mail_with_it(run_jobs: RunJobs, connection: psycopg.Connection[Any]) -> None:
    with run_jobs.rolls_back(connection):
        sign_up("ada@example.org", connection)
