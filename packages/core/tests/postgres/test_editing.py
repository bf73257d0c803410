"""What users may do to `jobs` by hand, in psql, and what pq then does about it."""

from __future__ import annotations

import psycopg
import pytest

import pq_core as pq


def rows(session: psycopg.Connection, query: str) -> list[tuple[object, ...]]:
    return session.execute(query.encode()).fetchall()


@pytest.fixture
def blocked(session: psycopg.Connection) -> psycopg.Connection:
    """Job 1 of the lock runs, jobs 2 and 3 were found blocked; job 4 is on another queue."""
    session.execute("select heartbeat(1, 'w', null, '{}', 3600)")
    session.execute("select defer('t', lock => 'L') from generate_series(1, 3)")
    session.execute("""select * from pq."fetch"(1, null, 10)""")
    assert rows(session, "select id, state from jobs order by id") == [(1, "running"), (2, "blocked"), (3, "blocked")]
    return session


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_setting_an_ended_state_moves_the_row_and_frees_its_lock(blocked: psycopg.Connection, state: str) -> None:
    blocked.execute("update jobs set state = %s, reason = 'by hand' where id = 1", [state])
    assert rows(blocked, "select id, state, reason from finished_jobs") == [(1, state, "by hand")]
    assert rows(blocked, "select id, state from jobs order by id") == [(2, "ready"), (3, "blocked")]
    assert rows(blocked, "select * from finish(array[1], array[1], array['succeeded'])") == []


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_a_run_whose_unique_key_another_job_has_by_now_can_be_ended(session: psycopg.Connection, state: str) -> None:
    session.execute("select heartbeat(1, 'w', null, '{}', 3600)")
    session.execute("select defer('t', unique_key => 'k')")
    session.execute("""select from pq."fetch"(1, null, 10)""")
    session.execute("select defer('t', unique_key => 'k')")
    session.execute("update jobs set state = %s where id = 1", [state])
    assert rows(session, "select id, state from all_jobs order by id") == [(1, state), (2, "ready")]
    session.execute("select defer('t', unique_key => 'l')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        session.execute("update jobs set unique_key = 'k' where unique_key = 'l'")


def test_deleting_a_running_job_frees_its_lock(blocked: psycopg.Connection) -> None:
    blocked.execute("delete from jobs where id = 1")
    assert rows(blocked, "select id, state from jobs order by id") == [(2, "ready"), (3, "blocked")]


def test_taking_a_job_out_of_its_lock_lets_the_next_one_run(blocked: psycopg.Connection) -> None:
    blocked.execute("update jobs set lock = null where id = 1")
    assert rows(blocked, "select id, state from jobs order by id") == [(1, "running"), (2, "ready"), (3, "blocked")]


def test_a_higher_priority_makes_another_job_the_head(blocked: psycopg.Connection) -> None:
    blocked.execute("update jobs set state = 'scheduled', scheduled_at = now() + interval '1 day' where id = 1")
    assert rows(blocked, "select id, state from jobs order by id")[1:] == [(2, "blocked"), (3, "blocked")]
    blocked.execute("update jobs set priority = 9 where id = 3")
    assert rows(blocked, "select id, state from jobs order by id")[1:] == [(2, "blocked"), (3, "ready")]


def test_a_new_time_decides_between_scheduled_and_ready(session: psycopg.Connection) -> None:
    session.execute("select defer('t'), defer('t', delay => '1 day')")
    session.execute("update jobs set scheduled_at = now() + interval '2 days' where id = 1")
    session.execute("update jobs set scheduled_at = now() - interval '2 days' where id = 2")
    assert rows(session, "select id, state from jobs order by id") == [(1, "scheduled"), (2, "ready")]


def test_an_edit_under_a_frozen_snapshot_is_refused(blocked: psycopg.Connection) -> None:
    blocked.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with pytest.raises(psycopg.Error, match="READ COMMITTED only"), blocked.transaction():
        blocked.execute("update jobs set priority = 1 where id = 2")
    assert rows(blocked, "select max(priority) from jobs") == [(0,)]


def test_a_state_that_does_not_exist_is_refused(blocked: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        blocked.execute("update jobs set state = 'done'")


@pytest.mark.parametrize(
    "call, field",
    [
        ("defer('')", "task"),
        ("defer(repeat('x', 501))", "task"),
        ("defer(null)", "task"),
        ("defer('t', queue => '')", "queue"),
        ("defer('t', queue => repeat('x', 501))", "queue"),
        ("defer('t', lock => '')", "lock"),
        ("defer('t', lock => repeat('x', 2001))", "lock"),
        ("defer('t', '[1]')", "args"),
        ("defer('t', null)", "args"),
    ],
)
def test_deferring_by_hand_checks_what_a_worker_could_not_take(
    session: psycopg.Connection, call: str, field: str
) -> None:
    with pytest.raises(psycopg.Error, match=field) as caught:
        session.execute(f"select {call}".encode())
    assert caught.value.sqlstate == "PQ002"
    assert rows(session, "select count(*) from jobs") == [(0,)]


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "0044-03-15 BC", "9999-12-31"])
def test_a_moment_that_some_client_could_not_read_is_refused(session: psycopg.Connection, moment: str) -> None:
    session.execute("select defer('t')")
    for call in ("defer('t', scheduled_at => %s)", "defer('t', expires_at => %s)"):
        with pytest.raises(psycopg.Error, match="years 1900 to 8999") as caught:
            session.execute(f"select {call}".encode(), [moment])
        assert caught.value.sqlstate == "PQ002"
    for column in ("scheduled_at", "expires_at"):
        with pytest.raises(psycopg.errors.CheckViolation, match=column):
            session.execute(f"update jobs set {column} = %s".encode(), [moment])
    assert rows(session, "select count(*) from jobs") == [(1,)]


@pytest.mark.parametrize("args", [f'{{"n": 1{"0" * 5000}}}', "[1]"])
def test_a_job_that_python_cannot_read_fails_and_keeps_no_other_from_running(
    dsn: str, session: psycopg.Connection, args: str
) -> None:
    app = pq.App(connector=pq.PsycopgConnector(dsn))

    @app.task(name="t")
    async def task(n: int = 0) -> int:
        return n

    session.execute("select defer('t', '{}') from generate_series(1, 2)")
    session.execute("update jobs set args = %s where id = 1", [args])
    assert app.jobs.get(1).unreadable
    app.run_worker(wait=False, install_signal_handlers=False)
    assert rows(session, "select id, state from finished_jobs order by id") == [(1, "failed"), (2, "succeeded")]
    assert rows(session, "select errors -> 0 ->> 'type' from finished_jobs where id = 1") == [
        ("pq_core.errors.InvalidArguments",)
    ]
    app.close()


def test_the_longest_names_fit_into_the_indexes(session: psycopg.Connection) -> None:
    wide = "\U0001f600"
    session.execute("select defer(%s, queue => %s, lock => %s)", [wide * 500, wide * 500, wide * 2000])
    session.execute("select heartbeat(1, 'w', null, '{}', 3600)")
    (job, _) = rows(session, """select id, length(queue), length(lock) from pq."fetch"(1, null, 10)""")
    assert job == (1, 500, 2000)
