"""Unique keys as the database keeps them: for those who call its functions, and between open transactions."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

import pq_core as pq

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(60)]
WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


def job(key: str = "k", **fields: Any) -> pq.NewJob:
    return pq.NewJob(task="t", unique_key=key, **fields)


def test_a_key_that_is_taken_is_an_error_of_its_own_for_those_who_call_the_function(
    session: psycopg.Connection,
) -> None:
    ((first,),) = session.execute("select defer('t', unique_key => 'k')").fetchall()
    with pytest.raises(psycopg.Error, match=f"the unique key 'k' is taken by job {first}") as caught:
        session.execute("select defer('t', unique_key => 'k')")
    assert caught.value.sqlstate == "PQ004"
    skipping = "select defer('t', unique_key => 'k', on_conflict => 'skip')"
    assert session.execute(skipping).fetchall() == [(first,)]
    replacing = """select * from defer_unique('t', '{"a": 1}', unique_key => 'k', on_conflict => 'replace')"""
    assert session.execute(replacing).fetchall() == [(first, "replaced")]
    assert session.execute("select id, args::text from jobs").fetchall() == [(first, '{"a": 1}')]


@pytest.mark.parametrize(
    "terms",
    [
        "unique_key => ''",
        "unique_key => repeat('k', 501)",
        "unique_key => 'k', unique_scope => 'all'",
        "unique_key => 'k', on_conflict => 'ignore'",
        "unique_key => 'k', unique_period => '-1 hour'",
        "unique_period => '1 hour'",
        "delivery => 'never'",
        "version => 0",
        "unique_key => 'k', version => 0",
    ],
)
def test_terms_that_no_job_may_have_are_refused(session: psycopg.Connection, terms: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        session.execute(f"select defer('t', {terms})")  # type: ignore[arg-type]
    assert caught.value.sqlstate == "PQ002"
    assert session.execute("select count(*) from jobs").fetchall() == [(0,)]


@pytest.mark.parametrize("commit", [True, False])
@pytest.mark.parametrize("batch", [[job()], [pq.NewJob(task="u"), job("a"), job(), job("z")]], ids=["one", "batch"])
def test_who_meets_a_key_of_an_open_transaction_waits_for_its_end(
    dsn: str, sync: Any, session: psycopg.Connection, batch: list[pq.NewJob], *, commit: bool
) -> None:
    with psycopg.connect(dsn) as connection, ThreadPoolExecutor(1) as thread:
        (first,) = sync.defer([job()], connection=connection)
        second = thread.submit(sync.defer, batch)
        until = time.monotonic() + 10
        while session.execute(WAITING).fetchall() == [(0,)]:
            assert time.monotonic() < until, "nobody waits"
        (connection.commit if commit else connection.rollback)()
        if commit:
            with pytest.raises(pq.AlreadyDeferred) as caught:
                second.result(10)
            assert caught.value.job_id == first.id
        else:
            assert [answer.status for answer in second.result(10)] == ["new"] * len(batch)


def test_two_batches_with_the_same_keys_in_other_orders_do_not_stop_each_other(
    dsn: str, session: psycopg.Connection
) -> None:
    connector = pq.PsycopgConnector(dsn, max_size=4)
    batch = [job(f"key {number}", on_conflict="skip") for number in range(300)]
    with ThreadPoolExecutor(4) as threads:
        for round_ in range(5):
            batches = [batch, batch[::-1], batch[100:] + batch[:100], batch[::-1]]
            for answers in threads.map(connector.sync.defer, batches):
                assert len(answers) == len(batch)
            assert session.execute("select count(*) from jobs").fetchall() == [(300,)], round_
            session.execute("delete from jobs")
    connector.sync.close()
