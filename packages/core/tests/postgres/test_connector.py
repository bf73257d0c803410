"""The connector itself: connections, transactions, pools, forks and faults.

What the verbs mean is held by the conformance suite.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest
import trio
from psycopg.rows import dict_row

from pq_core.connector import JobFilter, WorkerInfo
from pq_core.errors import (
    ConnectionFailed,
    ConnectorClosed,
    ConnectorError,
    ForkedConnector,
    InvalidOption,
    StoreBusy,
    TransactionRequired,
    WrongConnection,
)
from pq_core.job import NewJob
from pq_core.outcome import Outcome
from pq_core.postgres import PsycopgConnector

pytestmark = pytest.mark.anyio
NOWHERE = "host=127.0.0.1 port=1 connect_timeout=2"


@pytest.fixture
async def elsewhere(dsn: str) -> AsyncIterator[psycopg.AsyncConnection[dict[str, object]]]:
    """Give a caller's own connection, not in autocommit, whose rows are dicts."""
    async with await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row) as connection:
        yield connection


async def test_a_job_deferred_on_the_callers_connection_lives_and_dies_with_its_transaction(
    connector: PsycopgConnector, elsewhere: psycopg.AsyncConnection[dict[str, object]]
) -> None:
    await connector.defer([NewJob(task="undone")], connection=elsewhere)
    await elsewhere.rollback()
    await connector.defer([NewJob(task="done"), NewJob(task="done too")], connection=elsewhere)
    assert await connector.find(JobFilter()) == []
    await elsewhere.commit()
    assert [job.task for job in await connector.find(JobFilter())] == ["done", "done too"]


async def test_a_failed_transaction_takes_no_job(
    connector: PsycopgConnector, elsewhere: psycopg.AsyncConnection[dict[str, object]]
) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        await elsewhere.execute("select 1 / 0")
    with pytest.raises(TransactionRequired, match="roll it back"):
        await connector.defer([NewJob(task="t")], connection=elsewhere)


async def test_whatever_cursors_the_callers_connection_makes_it_can_be_joined(
    connector: PsycopgConnector, elsewhere: psycopg.AsyncConnection[dict[str, object]]
) -> None:
    elsewhere.cursor_factory = psycopg.AsyncRawCursor
    await connector.defer([NewJob(task="t")], connection=elsewhere)
    await elsewhere.commit()
    assert [job.task for job in await connector.find(JobFilter())] == ["t"]


async def test_a_savepoint_takes_its_jobs_with_it(
    connector: PsycopgConnector, elsewhere: psycopg.AsyncConnection[dict[str, object]]
) -> None:
    async with elsewhere.transaction():
        await connector.defer([NewJob(task="kept")], connection=elsewhere)
        async with elsewhere.transaction():
            await connector.defer([NewJob(task="undone")], connection=elsewhere)
            raise psycopg.Rollback
    assert [job.task for job in await connector.find(JobFilter())] == ["kept"]


def test_a_synchronous_caller_joins_its_transaction_too(dsn: str) -> None:
    connector = PsycopgConnector(dsn)
    with psycopg.connect(dsn) as connection:
        connector.sync.defer([NewJob(task="undone")], connection=connection)
        connection.rollback()
        connector.sync.defer([NewJob(task="done")], connection=connection)
    assert [job.task for job in connector.sync.find(JobFilter())] == ["done"]
    connector.sync.close()


async def test_a_connection_of_the_wrong_colour_is_refused_with_the_right_call(
    connector: PsycopgConnector, dsn: str, elsewhere: psycopg.AsyncConnection[dict[str, object]]
) -> None:
    with psycopg.connect(dsn) as sync_connection:
        with pytest.raises(WrongConnection, match="a Connection wants defer"):
            await connector.defer([NewJob(task="t")], connection=sync_connection)
        with pytest.raises(WrongConnection, match="an AsyncConnection wants defer_async"):
            connector.sync.defer([NewJob(task="t")], connection=elsewhere)
        with pytest.raises(WrongConnection, match="connection= is a str"):
            connector.sync.defer([NewJob(task="t")], connection="postgresql://")
    assert await connector.find(JobFilter()) == []


async def test_listeners_hear_of_a_job_when_it_is_committed_and_not_before(
    connector: PsycopgConnector, elsewhere: psycopg.AsyncConnection[dict[str, object]]
) -> None:
    heard: asyncio.Queue[None] = asyncio.Queue()
    listening = asyncio.create_task(connector.listen(["default"], lambda: heard.put_nowait(None)))
    async with asyncio.timeout(10):
        await heard.get()
        await connector.defer([NewJob(task="t")], connection=elsewhere)
        await connector.defer([NewJob(task="t", queue="other")])
        # What another transaction says after the first spoke, and before it commits, arrives alone.
        await connector.pause("default")
        await connector.resume("default")
        await heard.get()
        assert heard.empty()
        await elsewhere.commit()
        await heard.get()
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_listening_ends_with_an_error_when_its_connection_breaks(
    connector: PsycopgConnector, session: psycopg.Connection
) -> None:
    ready = asyncio.Event()
    listening = asyncio.create_task(connector.listen(None, ready.set))
    async with asyncio.timeout(10):
        await ready.wait()
        session.execute("select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%'")
        with pytest.raises(ConnectionFailed):
            await listening


async def test_a_database_that_is_away_is_reported_at_once_and_with_the_reason() -> None:
    connector = PsycopgConnector(NOWHERE)
    for verb in (connector.open(), connector.find(JobFilter()), connector.check(), connector.migrate()):
        with pytest.raises(ConnectionFailed, match="port 1 failed"):
            await verb
    with pytest.raises(ConnectionFailed, match="port 1 failed"):
        connector.sync.open()


async def test_an_idle_pool_survives_a_broken_connection(
    connector: PsycopgConnector, session: psycopg.Connection
) -> None:
    await connector.find(JobFilter())
    session.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    with pytest.raises(ConnectionFailed):
        await connector.find(JobFilter())
    assert await connector.find(JobFilter()) == []


@pytest.mark.parametrize(
    "options, named",
    [
        ({"dsn": "postgresql://[::1"}, "IPv6"),
        ({"dsn": "no_such_keyword=1"}, "no_such_keyword"),
        ({"no_such_keyword": 1}, "no_such_keyword"),
        ({"min_size": 3, "max_size": 2}, "3"),
        ({"max_size": 0}, "0"),
    ],
)
def test_options_that_cannot_be_are_refused_when_they_are_given(options: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidOption, match=named):
        PsycopgConnector(**options)  # type: ignore[arg-type]


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(InvalidOption) as caught:
        PsycopgConnector("password=hunter2 no_such_keyword=1")
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in repr(PsycopgConnector("password=hunter2"))


def test_keywords_and_the_environment_of_libpq_complete_the_connection_string(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = psycopg.conninfo.conninfo_to_dict(dsn)
    monkeypatch.setenv("PGUSER", str(given.pop("user")))
    monkeypatch.setenv("PGDATABASE", str(given.pop("dbname")))
    connector = PsycopgConnector(**given)  # type: ignore[arg-type]
    assert connector.sync.find(JobFilter()) == []
    connector.sync.close()


async def test_a_closed_connector_says_so_and_can_be_opened_again(connector: PsycopgConnector) -> None:
    await connector.close()
    await connector.close()
    with pytest.raises(ConnectorClosed):
        await connector.find(JobFilter())
    assert connector.sync.find(JobFilter()) == [], "the other colour has a door of its own"
    connector.sync.close()
    await connector.open()
    assert await connector.find(JobFilter()) == []


async def test_a_connector_that_was_never_opened_goes_on_after_a_close(dsn: str) -> None:
    connector = PsycopgConnector(dsn)
    for _ in range(2):
        assert await connector.find(JobFilter()) == []
        await connector.close()
        assert connector.sync.find(JobFilter()) == []
        connector.sync.close()


def test_a_connector_made_before_a_fork_and_used_after_it_works_on_both_sides(dsn: str) -> None:
    code = """if True:
        import os, sys
        from pq_core.connector import JobFilter
        from pq_core.postgres import PsycopgConnector
        sync = PsycopgConnector(sys.argv[1]).sync
        child = os.fork()
        found = sync.find(JobFilter())
        sync.close()
        if not child:
            os._exit(7 if found == [] else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), found)
    """
    ran = subprocess.run([sys.executable, "-c", code, dsn], capture_output=True, text=True, timeout=30, check=False)
    assert ran.stdout.strip() == "7 []", ran.stderr


async def test_a_forked_child_is_told_to_make_its_own(
    connector: PsycopgConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: -1)
    for refused in (connector.find(JobFilter()), connector.defer([NewJob(task="t")])):
        with pytest.raises(ForkedConnector, match="after the fork"):
            await refused
    monkeypatch.undo()
    assert await connector.find(JobFilter()) == []


def test_a_real_fork_is_refused_and_the_parent_works_on(dsn: str) -> None:
    code = """if True:
        import os, sys
        from pq_core.connector import JobFilter
        from pq_core.errors import ForkedConnector
        from pq_core.postgres import PsycopgConnector
        sync = PsycopgConnector(sys.argv[1]).sync
        sync.find(JobFilter())
        child = os.fork()
        try:
            sync.find(JobFilter())
        except ForkedConnector:
            os._exit(7)
        if not child:
            os._exit(0)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), sync.find(JobFilter()))
        sync.close()
    """
    ran = subprocess.run([sys.executable, "-c", code, dsn], capture_output=True, text=True, timeout=30, check=False)
    assert ran.stdout.strip() == "7 []", ran.stderr


def test_trio_is_told_why_it_cannot_use_psycopg(dsn: str) -> None:
    async def main() -> None:
        with pytest.raises(ConnectorError, match="asyncio"):
            await PsycopgConnector(dsn).open()

    trio.run(main)


def test_a_connector_outlives_the_event_loop_in_which_it_was_closed(dsn: str) -> None:
    connector = PsycopgConnector(dsn)

    async def once() -> int:
        await connector.open()
        found = await connector.defer([NewJob(task="t")])
        await connector.close()
        return found[0].id

    assert [asyncio.run(once()) for _ in range(3)] == [1, 2, 3]


async def test_a_finish_under_a_frozen_snapshot_is_refused(session: psycopg.Connection) -> None:
    session.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    with pytest.raises(psycopg.Error, match="READ COMMITTED") as caught, session.transaction():
        session.execute("select finish(array[1], array[1], array['succeeded'])")
    assert caught.value.sqlstate == "PQ003"


@pytest.mark.parametrize(
    "setting", ["default_transaction_isolation = serializable", "datestyle = 'German'", "client_encoding = 'LATIN1'"]
)
async def test_a_setting_of_the_database_that_pq_could_not_work_with_is_mended(
    dsn: str, session: psycopg.Connection, setting: str
) -> None:
    session.execute(
        f"do $do$ begin execute format($$alter database %I set {setting}$$, current_database()); end $do$".encode()
    )
    connector = PsycopgConnector(dsn)
    await connector.heartbeat(WorkerInfo(id=1), timedelta(minutes=1))
    await connector.defer([NewJob(task="schön"), NewJob(task="\u65e5\u672c", delay=timedelta(days=1))])
    (job,) = (await connector.fetch(1, None, 2)).jobs
    assert await connector.finish([Outcome.succeeded(job)]) == [job.id]
    assert [job.task for job in connector.sync.find(JobFilter())] == ["schön", "\u65e5\u672c"]
    assert [found.id for found in connector.sync.cancel([2])] == [2]
    connector.sync.close()
    await connector.close()


async def test_a_server_that_takes_no_writes_counts_as_away(dsn: str, session: psycopg.Connection) -> None:
    session.execute(
        "do $do$ begin execute format($$alter database %I set default_transaction_read_only = on$$,"
        " current_database()); end $do$"
    )
    connector = PsycopgConnector(dsn)
    with pytest.raises(ConnectionFailed, match="read-only"):
        await connector.defer([NewJob(task="t")])
    await connector.close()


def test_a_program_that_closes_nothing_ends_all_the_same(dsn: str) -> None:
    code = """if True:
        import asyncio, sys
        from pq_core.job import NewJob
        from pq_core.postgres import PsycopgConnector
        connector = PsycopgConnector(sys.argv[1])
        for _ in range(8):
            asyncio.run(connector.defer([NewJob(task="t")]))
        connector.sync.defer([NewJob(task="t")])
        print("done")
    """
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, dsn], capture_output=True, text=True, timeout=30, check=False
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("done\n", "", 0)


async def test_a_finish_that_waits_for_a_stranger_gives_up_and_can_be_repeated(
    connector: PsycopgConnector, elsewhere: psycopg.AsyncConnection[dict[str, object]]
) -> None:
    await connector.heartbeat(WorkerInfo(id=1), timedelta(minutes=1))
    await connector.defer([NewJob(task="t")])
    (job,) = (await connector.fetch(1, None, 1)).jobs
    await elsewhere.execute("select from pq.jobs for update")
    with pytest.raises(StoreBusy):
        await connector.finish([Outcome.succeeded(job)])
    await elsewhere.rollback()
    assert await connector.finish([Outcome.succeeded(job)]) == [job.id]


async def test_a_pooler_that_mixes_up_prepared_statements_is_survived_with_one_warning(
    dsn: str, session: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    connector = PsycopgConnector(dsn, max_size=1)
    for _ in range(8):
        await connector.heartbeat(WorkerInfo(id=1), timedelta(minutes=1))
    assert connector._pool is not None
    async with connector._pool.connection() as connection:
        prepared = await (await connection.execute("select count(*) from pg_prepared_statements")).fetchone()
        assert prepared is not None
        assert prepared[0] > 0
        connection.pgconn.exec_(b"deallocate all")  # behind psycopg's back, as a pooler does
    for _ in range(20):
        await connector.heartbeat(WorkerInfo(id=1), timedelta(minutes=1))
    warnings = [record for record in caplog.records if getattr(record, "action", None) == "stop_preparing"]
    assert len(warnings) == 1
    await connector.close()


async def test_a_fetch_says_how_many_jobs_it_has_set_aside_behind_a_lock(connector: PsycopgConnector) -> None:
    worker = WorkerInfo(id=1)
    await connector.heartbeat(worker, timedelta(minutes=1))
    await connector.defer([NewJob(task="t", lock="l")] * 1501)
    assert len((await connector.fetch(1, None, 1)).jobs) == 1
    behind = [await connector.fetch(1, None, 10) for _ in range(3)]
    assert [len(fetched.jobs) for fetched in behind] == [0, 0, 0]
    assert sum(fetched.set_aside for fetched in behind) == 1500
    assert [fetched.again for fetched in behind] == [True, False, False]
