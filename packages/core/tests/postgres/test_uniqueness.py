"""Unique keys as the database keeps them: for those who call its functions, and between open transactions."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, LiteralString

import psycopg
import pytest

import pq_core as pq

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(60)]
WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


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


def test_a_batch_lets_go_of_later_keys_before_it_waits_for_an_earlier_one(
    dsn: str, session: psycopg.Connection
) -> None:
    connector = pq.PsycopgConnector(dsn)
    (holder,) = connector.sync.defer([job("a")])
    with ExitStack() as stack:
        other, stranger, own = (stack.enter_context(psycopg.connect(dsn)) for _ in range(3))
        thread = stack.enter_context(ThreadPoolExecutor(1))
        connector.sync.defer([job("b")], connection=other)
        batch = [job("a", on_conflict="skip"), job("b", on_conflict="skip")]
        # It passes the first key over, as that of a job which is there, and waits for the second.
        answers = thread.submit(connector.sync.defer, batch, connection=own)
        await_block(session, own, other)
        connector.sync.cancel([holder.id])
        connector.sync.defer([job("a")], connection=stranger)
        # Now it gets the second and comes back to the first, which meanwhile has changed hands.
        other.rollback()
        await_block(session, own, stranger)
        connector.sync.defer([job("b")], connection=stranger)
        stranger.commit()
        assert [answer.status for answer in answers.result(10)] == ["skipped", "skipped"]
        own.commit()
    connector.sync.close()
    await_alone(session)
    assert session.execute(DEADLOCKS).fetchall() == [(0,)]


def await_block(session: psycopg.Connection, waiting: psycopg.Connection, holding: psycopg.Connection) -> None:
    """Return when one connection waits for the other."""
    blocked = "select pg_isolation_test_session_is_blocked(%s, array[%s])"
    pids = [waiting.info.backend_pid, holding.info.backend_pid]
    await_rows(session, blocked, [(True,)], *pids)


def await_alone(session: psycopg.Connection) -> None:
    """Return when no other connection is left: until then, they may not have told what they counted."""
    others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    await_rows(session, f"{others} and backend_type = 'client backend'", [(0,)])


def await_rows(session: psycopg.Connection, query: LiteralString, wanted: list[Any], *parameters: object) -> None:
    until = time.monotonic() + 10
    while session.execute(query, parameters).fetchall() != wanted:
        assert time.monotonic() < until, query
