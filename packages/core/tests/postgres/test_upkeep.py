"""The database looks after itself: history by how jobs ended, chores one at a time, and a report of how it is."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pq_core.connector import JobFilter, WorkerInfo
from pq_core.health import Health, Pin, QueueHealth
from pq_core.job import NewJob
from pq_core.outcome import Outcome
from pq_core.postgres import PsycopgConnector
from pq_core.states import State
from pq_core.worker.retention import forget, plan

pytestmark = pytest.mark.anyio
NOON = datetime(2031, 5, 17, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ENDED_JOB = """
    insert into finished_jobs (id, queue, task, args, priority, lock_mode, state, attempt, claim, losses, max_losses,
        scheduled_at, created_at, errors, metadata, finished_at)
    select (row_number() over ()), 'q', 't', '{}', 0, 'ordered', s, 1, 1, 0, 3, f, f, '[]', '{}', f
    from unnest(%s::text[]) s, generate_series(1, %s) n, lateral (select now() - %s * interval '1 day' as f) when_
"""


@pytest.fixture
def other(dsn: str) -> Iterator[psycopg.Connection]:
    """Give a session that is in a transaction, under a name."""
    with psycopg.connect(dsn, application_name="the report") as connection:
        yield connection
        connection.rollback()


def fill(session: psycopg.Connection, states: list[str], each: int, *, days_ago: int) -> None:
    session.execute("select ensure_day(now() - %s * interval '1 day')", [days_ago])
    session.execute(ENDED_JOB.encode(), [states, each, days_ago])


def rows(session: psycopg.Connection, query: str, *parameters: object) -> list[object]:
    """Return the first column."""
    return [row[0] for row in session.execute(query.encode(), parameters)]


async def test_each_outcome_is_kept_for_its_own_time(connector: PsycopgConnector, session: psycopg.Connection) -> None:
    for days in (0, 2, 8, 20, 40):
        fill(session, ["succeeded", "failed", "cancelled"], 5, days_ago=days)
    steps = plan({"succeeded": timedelta(days=1), "failed": timedelta(days=30), "cancelled": timedelta(days=7)})
    gone = [await forget(connector, step) for step in steps]
    left = session.execute(
        "select (now()::date - finished_at::date), state, count(*) from finished_jobs group by 1, 2 order by 1, 2"
    ).fetchall()
    assert left == [
        *((0, "cancelled", 5), (0, "failed", 5), (0, "succeeded", 5)),
        *((2, "cancelled", 5), (2, "failed", 5), (8, "failed", 5), (20, "failed", 5)),
    ]
    assert gone == [15, 10, 15]


async def test_what_is_forgotten_for_all_is_dropped_by_the_day(
    connector: PsycopgConnector, session: psycopg.Connection
) -> None:
    fill(session, ["succeeded", "failed"], 3000, days_ago=40)
    assert await connector.prune(30 * DAY, limit=1) == 6000
    assert rows(session, "select name::text from history() h where h.until < now() - interval '30 days'") == []


async def test_a_day_that_holds_no_more_of_them_is_not_read_again(
    connector: PsycopgConnector, session: psycopg.Connection
) -> None:
    fill(session, ["succeeded", "failed"], 200, days_ago=9)
    (day,) = rows(session, "select name::text from history() h where h.until < now() - interval '5 days'")
    (forgetting,) = [step for step in plan({"succeeded": DAY, "failed": None, "cancelled": DAY}) if step.states]
    assert await forget(connector, forgetting) == 200
    assert await forget(connector, forgetting) == 0
    assert rows(session, "select h.lacks from history() h where h.name::text = %s", day) == [["cancelled", "succeeded"]]
    read = "select pg_stat_get_xact_numscans(%s::regclass)"
    with session.transaction():
        before = rows(session, read, day)
        assert rows(session, "select prune('1 day', null, array['succeeded'], 10)") == [0]
        assert rows(session, read, day) == before
        assert rows(session, "select prune('1 day', null, array['failed'], 10)") == [10]
        assert rows(session, read, day) != before
    assert rows(session, "select prune('1 day', null, array['failed'])") == [190]


async def test_a_day_is_not_taken_for_empty_while_somebody_holds_a_job_of_it(
    connector: PsycopgConnector, session: psycopg.Connection, other: psycopg.Connection
) -> None:
    fill(session, ["succeeded"], 1, days_ago=9)
    other.execute("select from pq.finished_jobs for update")
    assert await connector.prune(DAY, states=[State.SUCCEEDED]) == 0
    assert rows(session, "select lacks from history() where lacks <> '{}'") == []
    other.rollback()
    assert await connector.prune(DAY, states=[State.SUCCEEDED]) == 1


async def test_one_forgets_in_steps_at_a_time_and_others_go_on(
    connector: PsycopgConnector, session: psycopg.Connection, other: psycopg.Connection
) -> None:
    fill(session, ["succeeded"], 10, days_ago=0)
    other.execute("select pq.prune('0', null, null, 1)")
    assert await connector.prune(timedelta(0), limit=5) == 0
    other.rollback()
    assert await connector.prune(timedelta(0), limit=5) == 5


async def test_jobs_of_the_dead_come_back_while_another_does_the_chores(
    connector: PsycopgConnector, session: psycopg.Connection, other: psycopg.Connection
) -> None:
    await connector.heartbeat(WorkerInfo(id=1), timedelta(0))
    session.execute("insert into jobs (task, state, worker) values ('t', 'running', 1)")
    other.execute("select pq.rescue('1990-01-01')")
    session.execute("insert into unique_periods values ('k', 1, now() - interval '1 day')")
    assert [job.state for job in await connector.rescue()] == [State.READY]
    assert rows(session, "select key from unique_periods") == ["k"]
    other.rollback()
    await connector.rescue()
    assert rows(session, "select key from unique_periods") == []


async def test_periods_that_are_over_and_waits_of_yesterday_are_forgotten(
    connector: PsycopgConnector, session: psycopg.Connection
) -> None:
    session.execute(
        "insert into unique_periods select g::text, 1, now() + (g - 1500) * interval '1 hour'"
        " from generate_series(1, 2000) g"
    )
    session.execute("insert into waits values (1, now() - interval '23 hours'), (2, now() - interval '25 hours')")
    await connector.rescue()
    assert rows(session, "select count(*) from unique_periods") == [1000]
    await connector.rescue()
    assert rows(session, "select min(key::int) from unique_periods") == [1501]
    assert rows(session, "select job_id from waits") == [1]


async def test_many_may_prune_rescue_end_and_revive_jobs_at_once(dsn: str, session: psycopg.Connection) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - shown if it fails
    draw = random.Random(seed)
    connector = PsycopgConnector(dsn, max_size=8)
    await connector.open()
    forgotten: list[int] = []

    async def work(worker: int) -> None:
        for _ in range(12):
            await connector.heartbeat(WorkerInfo(id=worker), timedelta(seconds=60))
            await connector.defer([NewJob(task="t", lock=draw.choice([None, "l"])) for _ in range(20)])
            jobs = (await connector.fetch(worker, None, 30)).jobs
            kinds = [Outcome.succeeded, lambda job: Outcome.failed(job, ValueError("x"))]
            await connector.finish([draw.choice(kinds)(job) for job in jobs])
            found = await connector.find(JobFilter(states=[State.FAILED]), limit=5)
            await connector.retry([job.id for job in found])
            await connector.rescue()

    async def prune() -> None:
        for _ in range(40):
            for state in (State.SUCCEEDED, State.FAILED):
                here = await connector.prune(timedelta(0), states=[state], limit=draw.randint(1, 20))
                forgotten.append(here)
            await connector.workers()
            await connector.health()

    await asyncio.gather(*(work(worker) for worker in range(1, 5)), prune(), prune())
    counts = await connector.count(JobFilter())
    assert sum(forgotten) + sum(counts.values()) == 4 * 12 * 20
    assert counts[State.RUNNING] == 0
    await connector.close()


async def test_it_reports_rows_sizes_and_days(connector: PsycopgConnector, session: psycopg.Connection) -> None:
    await connector.defer([NewJob(task="t")] * 10)
    session.execute("vacuum jobs")
    found = await connector.health()
    assert (found.live_rows, found.days_ahead) == (10, 3)
    assert found.size is not None
    assert found.size > 0
    assert found.history_size is not None
    assert found.vacuumed_at is not None
    assert found.vacuumed_at.tzinfo is UTC
    session.execute("delete from jobs")
    session.execute("select pg_stat_force_next_flush()")
    dead = await connector.health()
    assert (dead.live_rows, dead.dead_rows) == (0, 10)


async def test_days_ahead_are_counted_up_to_the_first_gap(
    connector: PsycopgConnector, session: psycopg.Connection
) -> None:
    for days, ahead in ((0, 3), (1, 2), (3, 0), (4, 0), (400, 0)):
        at = datetime.now(UTC) + days * DAY
        assert (await connector.health(now=at)).days_ahead == ahead
    session.execute("select ensure_day(now() + interval '5 days')")
    assert (await connector.health()).days_ahead == 3


async def test_it_names_who_keeps_vacuum_back(connector: PsycopgConnector, other: psycopg.Connection) -> None:
    assert await quiet(connector) == []
    other.execute("set transaction isolation level repeatable read")
    other.execute("select 1")
    (pin,) = (await connector.health()).pins
    facts = (pin.kind, pin.name, pin.pid, pin.role, pin.state)
    assert facts == ("session", "the report", other.info.backend_pid, other.info.user, "idle in transaction")
    assert pin.age is not None
    assert timedelta(0) < pin.age < timedelta(minutes=1)
    assert pin.transactions == 0
    other.rollback()
    assert await quiet(connector) == []


async def test_a_session_that_has_written_keeps_vacuum_back_too(
    connector: PsycopgConnector, other: psycopg.Connection, session: psycopg.Connection
) -> None:
    other.execute("select txid_current()")
    for _ in range(3):
        session.execute("select txid_current()")
    (pin,) = (await connector.health()).pins
    assert pin.pid == other.info.backend_pid
    assert pin.transactions is not None
    assert pin.transactions >= 3


async def test_no_rights_are_needed_and_what_the_role_may_not_see_is_none(
    dsn: str, session: psycopg.Connection, other: psycopg.Connection
) -> None:
    role = f"plain_{secrets.token_hex(4)}"
    session.execute(f"create role {role}".encode())
    session.execute(
        f"grant create, usage on schema pq to {role}; grant select on all tables in schema pq to {role}".encode()
    )
    session.execute(f"grant execute on all functions in schema pq to {role}".encode())
    try:
        session.execute(f"alter function pq.health owner to {role}".encode())
        plain = PsycopgConnector(make_conninfo(dsn, options=f"-c role={role}"))
        other.execute("select txid_current()")
        found = plain.sync.health()
        (pin,) = [pin for pin in found.pins if pin.pid == other.info.backend_pid]
        assert (pin.kind, pin.role, pin.state, pin.age) == ("session", other.info.user, None, None)
        assert (found.live_rows, found.days_ahead, found.findings) == (0, 3, [])
        plain.sync.close()
    finally:
        session.execute(f"reassign owned by {role} to current_user; drop owned by {role}; drop role {role}".encode())


def test_findings_say_what_to_look_into() -> None:
    well = Health(
        at=NOON,
        workers=1,
        live_rows=5,
        dead_rows=90_000,
        days_ahead=3,
        queues=[
            QueueHealth(name="busy", since=NOON - timedelta(minutes=4), served=True, paused=False),
            QueueHealth(name="held", since=NOON - DAY, served=False, paused=True),
            QueueHealth(name="new", since=NOON, served=False, paused=False),
        ],
        pins=[Pin(kind="session", pid=4, age=timedelta(seconds=9)), Pin(kind="session", pid=5)],
    )
    assert well.findings == []
    ill = Health(
        at=NOON,
        workers=0,
        lost_workers=2,
        live_rows=5,
        dead_rows=200_000,
        days_ahead=0,
        queues=[
            QueueHealth(name="late", since=NOON - timedelta(hours=26), served=True, paused=False),
            QueueHealth(name="lone", since=NOON - timedelta(minutes=2, seconds=5), served=False, paused=False),
        ],
        pins=[
            Pin(
                kind="session",
                name="report",
                pid=4,
                role="ada",
                state="idle in transaction",
                age=timedelta(hours=3, minutes=2),
            ),
            Pin(kind="replication slot", name="gone", state="inactive", transactions=9),
        ],
    )
    assert ill.findings == [
        "in the queue 'late' a job has waited for 1 d 2 h: its workers do not keep up",
        "no live worker serves the queue 'lone', in which a job has waited for 2 min 5 s",
        "2 workers have been lost, and no other is alive to give jobs back",
        "session 'report' of ada (pid 4) idle in transaction has kept vacuum for 3 h 2 min from removing dead rows",
        "replication slot 'gone' inactive has kept vacuum from removing dead rows",
        "the table of live jobs has 200000 dead rows beside 5 live ones",
        "the history has no partition for tomorrow: no worker has looked after it",
    ]


async def quiet(connector: PsycopgConnector) -> list[Pin]:
    """Return who keeps vacuum back, but for what PostgreSQL itself does in passing."""
    for _ in range(50):
        pins = [*(await connector.health()).pins]
        if not pins:
            break
        await asyncio.sleep(0.01)
    return pins
