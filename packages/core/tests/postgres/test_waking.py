"""What an idle worker asks of the database, and how soon it comes when there is something to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

import pq_core as pq
from pq_core.connector import JobFilter, WorkerInfo
from pq_core.job import NewJob
from pq_core.postgres import PsycopgConnector, listening
from pq_core.postgres.statements import Statement
from pq_core.worker.options import Settings

pytestmark = pytest.mark.anyio
DEADLINE = 20.0
HOUR = 3600.0
Running = Callable[..., AbstractAsyncContextManager[pq.Worker]]


@pytest.fixture
async def app(dsn: str) -> AsyncIterator[pq.App]:
    """Give an app on PostgreSQL with tasks that tell when they start."""
    connector = PsycopgConnector(dsn)
    app = pq.App(connector=connector)
    await connector.open()
    yield app
    await connector.close()


@pytest.fixture
def started(app: pq.App) -> list[datetime]:
    """Give the times at which jobs of the task `work` start."""
    times: list[datetime] = []

    @app.task(name="work")
    async def work() -> None:
        times.append(datetime.now(UTC))

    return times


@asynccontextmanager
async def running(app: pq.App, **options: Any) -> AsyncIterator[pq.Worker]:
    """Run a worker for a block, from when it hears."""
    worker = pq.Worker(app, **{"install_signal_handlers": False, **options})
    with anyio.fail_after(DEADLINE):
        async with asyncio.TaskGroup() as group:
            group.create_task(worker.run_async())
            yield worker
            worker.stop()


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(DEADLINE):
        while not condition():  # noqa: ASYNC110 - any condition
            await anyio.sleep(0.002)


async def comes(condition: Callable[[], Awaitable[object]]) -> None:
    with anyio.fail_after(DEADLINE):
        while not await condition():  # noqa: ASYNC110 - any condition
            await anyio.sleep(0.002)


async def statements(dsn: str) -> int:
    """Return how many statements the server has run in this database, once nobody is connected to it any more."""
    name = conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(make_conninfo(dsn, dbname="postgres"), autocommit=True) as session:

        async def left() -> bool:
            query = "select from pg_stat_activity where datname = %s and backend_type = 'client backend'"
            return session.execute(query, (name,)).fetchone() is None

        await comes(left)
        query = "select xact_commit + xact_rollback from pg_stat_database where datname = %s"
        ((count,),) = session.execute(query, (name,))
    return int(count)


async def test_an_idle_worker_asks_less_than_once_in_five_seconds(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    times_faster = 20
    monkeypatch.setattr(listening, "PATIENCE", listening.PATIENCE / times_faster)
    monkeypatch.setattr(listening, "AFTERTHOUGHT", listening.AFTERTHOUGHT / times_faster)
    usual = Settings()

    async def idle(seconds: float) -> tuple[int, float]:
        """Return how many statements there were in how many seconds: on a loaded machine they are some more."""
        before = await statements(dsn)
        app = pq.App(connector=PsycopgConnector(dsn))
        options = {"lease": usual.lease / times_faster, "poll_interval": usual.poll_interval / times_faster}
        async with running(app, **options):
            began = anyio.current_time()
            await anyio.sleep(seconds)
        lasted = anyio.current_time() - began
        await app.connector.close()
        return await statements(dsn) - before, lasted

    for _ in range(
        3
    ):  # a machine that stalls for a tenth of a second stalls for two here, and something is asked again
        (start_and_end, moment), (count, span) = await idle(1.0), await idle(9.0)
        each_second = (count - start_and_end) / (span - moment) / times_faster
        if each_second <= 0.2:
            break
    assert 0.08 < each_second <= 0.2  # the heartbeats alone are 0.1: the count is not blind


async def test_the_jobs_of_a_dead_worker_run_within_a_third_of_the_lease_after_its_end(app: pq.App) -> None:
    lease = timedelta(seconds=1.5)
    async with running(app, queues=["q"], lease=lease.total_seconds()):
        await comes(app.connector.workers)
        died = datetime.now(UTC)
        await app.connector.heartbeat(WorkerInfo(id=1, name="dead"), lease)
        await app.connector.defer([NewJob(task="work", queue="other")])
        (job,) = (await app.connector.fetch(1, ["other"], 1)).jobs

        async def is_ready() -> bool:
            return bool(await app.connector.find(JobFilter(ids=[job.id], states=["ready"])))

        await comes(is_ready)
    late = datetime.now(UTC) - died - lease
    assert timedelta(0) <= late < lease / 3 + timedelta(seconds=0.4), late


async def test_a_new_schedule_is_heard_of(app: pq.App, started: list[datetime]) -> None:
    async with running(app, poll_interval=HOUR):
        await comes(app.connector.workers)
        await until(lambda: app.connector._news.listening)  # type: ignore[attr-defined]
        put = datetime.now(UTC)
        await app.connector.put_schedules([pq.NewSchedule(id="s", job=NewJob(task="work"), cron="* * * * * *")])
        await until(lambda: len(started) > 1)
        await app.connector.pause_schedules(["s"])
        await app.connector.pause_schedules(["s"], paused=False)
        count = len(started)
        await until(lambda: len(started) > count + 1)
    assert started[0] - put < timedelta(seconds=1.5)


async def test_a_worker_goes_on_if_the_connection_breaks_on_which_it_asks_for_jobs(
    app: pq.App, dsn: str, session: psycopg.Connection, started: list[datetime]
) -> None:
    connector = app.connector
    assert isinstance(connector, PsycopgConnector)
    cut_off = """
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock' and query like '%fetch%'
    """
    async with running(app, poll_interval=HOUR):
        await until(lambda: connector._news._sure)
        with psycopg.connect(dsn) as owner:
            owner.execute("lock table pq.jobs in access exclusive mode")
            session.execute("notify pq, 'queue:0::default'")

            async def is_cut_off() -> bool:
                return session.execute(cut_off).fetchone() is not None

            await comes(is_cut_off)
        await connector.defer([NewJob(task="work")])
        await until(lambda: started)


async def test_who_asks_on_the_connection_of_a_listener_that_leaves_is_answered(connector: PsycopgConnector) -> None:
    listener = asyncio.create_task(connector.listen(None, lambda: None))
    await until(lambda: connector._news.listening)
    (line,) = connector._news.lines
    answer = asyncio.create_task(connector._ask(Statement("select 1 from pg_sleep(0.3)", [], lambda rows: rows[0][0])))
    await until(lambda: not line.free)
    listener.cancel()
    assert await answer == 1
    assert line._connection.closed


async def test_a_scheduled_job_starts_when_it_is_due(app: pq.App, started: list[datetime]) -> None:
    async with running(app, poll_interval=HOUR):
        await comes(app.connector.workers)
        due = datetime.now(UTC) + timedelta(seconds=0.7)
        await app.connector.defer([NewJob(task="work", scheduled_at=due)])
        await until(lambda: started)
    assert timedelta(0) <= started[0] - due < timedelta(seconds=0.2)


def test_who_finds_more_due_jobs_than_it_has_room_for_tells_others(session: psycopg.Connection) -> None:
    def told() -> list[str]:
        return [notice.payload.split(":", 2)[2] for notice in session.notifies(timeout=0.2)]

    session.execute("select heartbeat(1, 'w', null, '{}', 36000)")
    for _ in range(3):
        session.execute("select defer('t', scheduled_at => now() + '1 hour')")
    session.execute("listen pq")
    session.execute("""select from "fetch"(1, null, 1, now() + '2 hours')""")
    assert told() == ["1,2,3:default"]
    session.execute("select defer('t', scheduled_at => now() + '3 hours')")
    told()
    session.execute("select from finish('{1}', '{1}', '{succeeded}')")
    session.execute("""select from "fetch"(1, null, 3, now() + '4 hours')""")
    assert told() == []


def claim(session: psycopg.Connection, worker: int, *ids: int, queues: list[str] | None = None) -> list[int | None]:
    rows = session.execute("select id from pq.claim(%s::bigint, %s::text[], %s::bigint[])", (worker, queues, list(ids)))
    return [row[0] for row in rows]


def test_a_claim_takes_what_is_simple_and_says_if_something_is_left_to_fetch(session: psycopg.Connection) -> None:
    session.execute("select heartbeat(1, 'w', null, '{}', 3600), heartbeat(2, 'dead', null, '{}', -1)")
    asked = ["", ", queue => 'other'", ", lock => 'l'", ", max_losses => 1::smallint", ", expires_in => '1 hour'"]
    later = ", delay => '1 hour'"
    rows = [session.execute(f"select defer('t'{more})".encode()).fetchone() for more in [*asked, later]]
    plain, other, locked, last_life, expiring, scheduled = [row[0] for row in rows if row]
    assert claim(session, 2, plain) == [None]
    session.execute("select pause('elsewhere')")
    assert claim(session, 1, plain) == [None]
    session.execute("select resume('elsewhere')")
    assert claim(session, 1, plain, other, queues=["default"]) == [plain]
    assert claim(session, 1, plain) == []
    for left in (locked, last_life, expiring, scheduled):
        assert claim(session, 1, left) == [None]
    assert claim(session, 1, other, locked) == [other]
    claimed = session.execute("select attempt, claim, worker, state from jobs where id = %s", (plain,)).fetchone()
    assert claimed == (1, 1, 1, "running")


def test_a_claim_waits_for_nobody(dsn: str, session: psycopg.Connection) -> None:
    session.execute("select heartbeat(1, 'w', null, '{}', 3600)")
    session.execute("select defer('t'), defer('t')")
    with psycopg.connect(dsn) as other:
        other.execute("select from pq.jobs where id = 1 for update")
        assert claim(session, 1, 1) == []
        assert claim(session, 1, 1, 2) == [2]
