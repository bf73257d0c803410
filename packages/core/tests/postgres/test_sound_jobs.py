"""What no job may have is refused wherever it would come from, since the table itself has no constraints for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from pq_core.connector import JobChanges, JobFilter, WorkerInfo
from pq_core.errors import InvalidJob
from pq_core.job import NewJob
from pq_core.memory import InMemoryConnector
from pq_core.outcome import Outcome
from pq_core.postgres import PsycopgConnector

FIRST, LAST = "1900-01-01 00:00+00", "8999-12-31 23:59:59.999999+00"
TOO_EARLY, TOO_LATE = "1899-12-31 23:59:59.999999+00", "9000-01-01 00:00+00"
WRONG = [
    ("lock_mode => 'none'", "lock_mode .* none"),
    ("lock_mode => null", "lock_mode .* <NULL>"),
    ("max_losses => 0::smallint", "max_losses .* 0"),
    ("max_losses => -1::smallint", "max_losses .* -1"),
    ("max_losses => null", "max_losses .* <NULL>"),
    ("scheduled_at => 'infinity'", "scheduled_at.* infinity"),
    ("scheduled_at => '-infinity'", "scheduled_at.* -infinity"),
    (f"scheduled_at => '{TOO_EARLY}'", "scheduled_at.* 1899"),
    (f"scheduled_at => '{TOO_LATE}'", "scheduled_at.* 9000"),
    ("delay => '8000 years'", "scheduled_at.*delay.* 10"),
    ("delay => '-200 years'", "scheduled_at.*delay.* 18"),
    ("expires_at => 'infinity'", "expires_at.* infinity"),
    (f"expires_at => '{TOO_EARLY}'", "expires_at.* 1899"),
    (f"expires_at => '{TOO_LATE}'", "expires_at.* 9000"),
    ("expires_in => '8000 years'", "expires_at.*expires_in.* 10"),
]
COLUMNS = {
    "lock_mode": ("lock_modes", "text", "'ordered'"),
    "max_losses": ("max_losses", "smallint", "3"),
    "scheduled_at": ("scheduled_ats", "timestamptz", "null"),
    "delay": ("delays", "float8", "null"),
    "expires_at": ("expires_ats", "timestamptz", "null"),
    "expires_in": ("expires_ins", "float8", "null"),
}
USUAL = {"lock_modes": "'{ordered}'", "scheduled_ats": "'{null}'", "delays": "'{null}'", "max_losses": "'{3}'"}
MANY = (
    "select pq.defer_many(array['t'], array['{}', '{}', '{}'], '{default}', '{0}', '{null}', metadata => array['{}'], "
)


def refuse(session: psycopg.Connection, query: str, words: str, state: str = "PQ002") -> None:
    session.execute("set timezone = 'UTC'")
    with pytest.raises(psycopg.Error, match=words) as caught:
        session.execute(query.encode())
    assert caught.value.sqlstate == state


def count(session: psycopg.Connection) -> int:
    ((jobs,),) = session.execute("select count(*) from all_jobs").fetchall()
    return int(jobs)


def many(given: str, place: int | None = None, rest: str = "") -> str:
    """Say how to defer three jobs by arrays, with what is given for that of this place, or once for all."""
    name, value = given.split(" => ")
    column, kind, usual = COLUMNS[name]
    if kind == "float8":
        value = f"extract(epoch from interval {value})"
    values = [value] if place is None else [value if n == place else usual for n in range(3)]
    columns = USUAL | {column: f"array[{', '.join(values)}]::{kind}[]"}
    return MANY + ", ".join(f"{name} => {array}" for name, array in columns.items()) + f"{rest})"


def test_the_table_has_no_constraints_that_each_statement_would_read(session: psycopg.Connection) -> None:
    query = "select conname from pg_constraint where conrelid = 'jobs'::regclass and contype = 'c'"
    assert session.execute(query).fetchall() == []


@pytest.mark.parametrize("given, words", WRONG)
@pytest.mark.parametrize(
    "function", ["defer('t', ", "defer('t', unique_key => 'k', ", "defer_unique('t', unique_key => 'k', "]
)
def test_one_job_is_refused(session: psycopg.Connection, function: str, given: str, words: str) -> None:
    refuse(session, f"select pq.{function}{given})", words)
    assert count(session) == 0


@pytest.mark.parametrize("given, words", WRONG)
def test_jobs_that_are_alike_are_refused(session: psycopg.Connection, given: str, words: str) -> None:
    refuse(session, many(given), words)
    assert count(session) == 0


@pytest.mark.parametrize("given, words", [wrong for wrong in WRONG if "null" not in wrong[0]])
@pytest.mark.parametrize("keys", ["", ", unique_keys => '{a,null,c}'"])
def test_all_jobs_are_refused_if_one_of_them_must_be(
    session: psycopg.Connection, given: str, words: str, keys: str
) -> None:
    refuse(session, many(given, 2, keys), words)
    assert count(session) == 0


def test_a_lock_mode_or_number_of_losses_that_is_null_for_all_is_refused(session: psycopg.Connection) -> None:
    for column in ("lock_modes", "max_losses"):
        columns = USUAL | {column: "'{null,null,null}'"}
        query = MANY + ", ".join(f"{name} => {array}" for name, array in columns.items()) + ")"
        refuse(session, query, "null value in column", "23502")
    assert count(session) == 0


@pytest.mark.parametrize("on_conflict", ["skip", "replace"])
def test_what_would_not_be_stored_for_its_key_is_refused_too(session: psycopg.Connection, on_conflict: str) -> None:
    session.execute("select defer('t', unique_key => 'a')")
    rest = f", on_conflict => '{on_conflict}'"
    refuse(session, f"select pq.defer('t', unique_key => 'a', lock_mode => 'none'{rest})", "lock_mode")
    rest = f", unique_keys => '{{a,b,c}}', on_conflicts => '{{{on_conflict}}}'"
    refuse(session, many("delay => '8000 years'", 2, rest), "scheduled_at")
    assert session.execute("select lock_mode, state from jobs").fetchall() == [("ordered", "ready")]


@pytest.mark.parametrize("moment", [FIRST, LAST])
def test_the_first_and_the_last_moment_are_taken(session: psycopg.Connection, moment: str) -> None:
    session.execute("select defer('t', scheduled_at => %s, expires_at => %s)", [moment, moment])
    for place in (None, 2):
        session.execute(many(f"expires_at => '{moment}'", place).encode())
    session.execute("update jobs set scheduled_at = %s, expires_at = %s", [moment, moment])
    session.execute(
        "select reschedule(array(select id from jobs), %s, reexpire => true, expires_at => %s)", [moment, moment]
    )
    found = session.execute("select distinct scheduled_at = %s, expires_at = %s from jobs", [moment, moment]).fetchall()
    assert found == [(True, True)]


@pytest.mark.parametrize(
    "given, words",
    [
        ("scheduled_at => 'infinity'", "scheduled_at.* infinity"),
        (f"scheduled_at => '{TOO_EARLY}'", "scheduled_at.* 1899"),
        (f"scheduled_at => '{TOO_LATE}'", "scheduled_at.* 9000"),
        ("delay => 3e11", "scheduled_at.*delay.* 1"),
        ("reexpire => true, expires_at => 'infinity'", "expires_at.* infinity"),
        (f"reexpire => true, expires_at => '{TOO_LATE}'", "expires_at.* 9000"),
    ],
)
def test_a_job_is_not_rescheduled_to_it(session: psycopg.Connection, given: str, words: str) -> None:
    session.execute("select defer('t', expires_in => '1 hour')")
    before = session.execute("select * from jobs").fetchall()
    refuse(session, f"select reschedule(array[1], {given})", words)
    assert session.execute("select * from jobs").fetchall() == before


def test_a_run_does_not_end_in_a_time_too_far(session: psycopg.Connection) -> None:
    session.execute("select defer('t'), defer('t'), defer('t')")
    session.execute("select heartbeat(1, 'w', null, '{}', 3600)")
    session.execute("""select pq."fetch"(1, null, 10)""")
    ends = "select finish(array[1, 2], array[1, 1], array['succeeded', '{kind}'], delays => array[null, {delay}])"
    for kind in ("retried", "snoozed", "released"):
        refuse(session, ends.format(kind=kind, delay="3e11"), "scheduled_at.*delay.* 1")
        refuse(session, ends.format(kind=kind, delay="-5e9"), "scheduled_at.*delay.* 18")
    assert session.execute("select distinct state from all_jobs").fetchall() == [("running",)]
    session.execute(ends.format(kind="failed", delay="3e11").encode())  # that waits for nothing
    assert session.execute("select count(*) from jobs").fetchall() == [(1,)]


@pytest.mark.parametrize("call", ["leave(1, '9000-02-01')", "rescue('9000-02-01')"])
def test_a_job_is_not_given_back_at_such_a_time(session: psycopg.Connection, call: str) -> None:
    session.execute("select defer('t')")
    session.execute("select heartbeat(1, 'w', null, '{}', 3600)")
    session.execute("""select pq."fetch"(1, null, 10)""")
    refuse(session, f"select {call}", "scheduled_at.* 9000")
    assert session.execute("select state, worker from jobs").fetchall() == [("running", 1)]


def test_no_job_comes_back_with_it(session: psycopg.Connection) -> None:
    session.execute("select defer('t'), defer('t')")
    session.execute("update jobs set state = 'failed'")
    refuse(session, "select retry(array[1, 2], '9000-02-01')", "scheduled_at.* 9000")
    session.execute("update finished_jobs set lock_mode = 'none' where id = 2")
    refuse(session, "select retry(array[1, 2])", "lock_mode .* none")
    assert session.execute("select count(*) from jobs").fetchall() == [(0,)]
    assert count(session) == 2


def test_a_schedule_that_was_spoilt_stores_no_job(session: psycopg.Connection) -> None:
    job = (
        '{{"task": "t", "queue": "q", "args": {{}}, "metadata": {{}}, "priority": 0, "max_losses": {losses},'
        ' "lock_mode": "ordered", "delivery": "at_least_once", "version": 1}}'
    )
    put = "select put_schedules('{s}', array[%s], '{* * * * *}', '{UTC}', '{last}', '{null}')"
    ticks = "array(select revision from schedules), array[now()], array[1], array['2030-01-01']::timestamptz[]"
    tick = f"select tick('{{s}}', {ticks})"
    session.execute(put, [job.format(losses=0)])
    refuse(session, tick, "max_losses .* 0")
    assert count(session) == 0
    session.execute(put, [job.format(losses=1)])
    session.execute(tick.encode())
    assert count(session) == 1


@pytest.mark.parametrize(
    "given, words",
    [
        ("state = 'done'", "state 'done'"),
        ("lock_mode = 'none'", "lock_mode 'none'"),
        ("max_losses = 0", "max_losses '0'"),
        (f"scheduled_at = '{TOO_EARLY}'", "scheduled_at '1899"),
        (f"scheduled_at = '{TOO_LATE}'", "scheduled_at '9000"),
        ("scheduled_at = 'infinity', priority = 3", "scheduled_at 'infinity'"),
        (f"expires_at = '{TOO_EARLY}'", "expires_at '1899"),
        (f"expires_at = '{TOO_LATE}'", "expires_at '9000"),
    ],
)
def test_nobody_writes_it_by_hand(session: psycopg.Connection, given: str, words: str) -> None:
    session.execute("select defer('t') from generate_series(1, 3)")
    before = session.execute("select * from jobs order by id").fetchall()
    for where in ("true", "id = 2"):
        refuse(session, f"update jobs set {given} where {where}", words, "23514")
    assert session.execute("select * from jobs order by id").fetchall() == before


def test_what_is_refused_by_hand_is_named_for_programs_too(session: psycopg.Connection) -> None:
    session.execute("select defer('t')")
    with pytest.raises(psycopg.errors.CheckViolation) as caught:
        session.execute("update jobs set max_losses = -2")
    named = caught.value.diag
    assert (named.schema_name, named.table_name, named.column_name) == ("pq", "jobs", "max_losses")


@pytest.mark.anyio
@pytest.mark.parametrize("store", ["memory", "postgres"])
async def test_a_delay_that_leads_too_far_is_refused_in_memory_as_it_is_here(
    connector: PsycopgConnector, store: str
) -> None:
    there = InMemoryConnector() if store == "memory" else connector
    now = datetime(8500, 1, 1, tzinfo=UTC)
    far = timedelta(days=365 * 600)
    for jobs in (
        [NewJob(task="t", delay=far)],
        [NewJob(task="t"), NewJob(task="t", expires_in=far)],
        [NewJob(task="t", expires_in=far, unique_key="k")],
    ):
        with pytest.raises(InvalidJob, match=r"(scheduled|expires)_at.*9099"):
            await there.defer(jobs, now=now)
    assert await there.find(JobFilter()) == []
    await there.defer([NewJob(task="t"), NewJob(task="t"), NewJob(task="t")], now=now)
    with pytest.raises(InvalidJob, match=r"scheduled_at.*9099"):
        await there.reschedule([3], JobChanges(delay=far), now=now)
    await there.heartbeat(WorkerInfo(id=1), timedelta(1), now=now)
    one, two = (await there.fetch(1, None, 2, now=now)).jobs
    ends = [
        Outcome(job_id=one.id, claim=1, kind="succeeded"),
        Outcome(job_id=two.id, claim=1, kind="retried", delay=far),
    ]
    with pytest.raises(InvalidJob, match=r"scheduled_at.*9099"):
        await there.finish(ends, now=now)
    assert [str(job.state) for job in await there.find(JobFilter())] == ["running", "running", "ready"]
