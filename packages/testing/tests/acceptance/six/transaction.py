from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from shop import book, ledger

from pq_testing import RunJobs


@pytest.fixture
def connection(pq_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    """As suites have it that roll everything back: one transaction for the test and the code under test."""
    with psycopg.connect(pq_dsn) as connection:
        connection.execute("create table ledger (id int)")
        monkeypatch.setattr(ledger, "connection", connection)
        yield connection
        connection.rollback()


@pytest.mark.pq(backend="postgres")
@pytest.mark.parametrize("time", ["first", "second"])
def test_jobs_run_inside_the_transaction_that_the_test_rolls_back(
    connection: psycopg.Connection[Any], run_jobs: RunJobs, time: str
) -> None:
    book.configure(connection=connection).defer(order=7)
    report = run_jobs(connection=connection)
    assert report.names == ["book", "book"]
    assert connection.execute("select id from ledger order by id").fetchall() == [(7,), (17,)]
    assert len(run_jobs.deferred_in(connection).where(state="succeeded")) == 2
    run_jobs.deferred.none(book)  # to everybody else, nothing has happened
