"""Connections of tests: they outlast tests and event loops, and nobody has to open or close anything."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import trio

from pq_core.connector import JobFilter, WorkerInfo
from pq_core.errors import ConnectionFailed, ConnectorClosed, ConnectorError, InvalidOption
from pq_core.job import NewJob
from pq_core.outcome import Outcome
from pq_core.postgres.link import REFUSAL
from pq_testing import Clock
from pq_testing.backends.connector import BackendConnector, HandConnector
from pq_testing.backends.postgres import PostgresBackend

JOB = [NewJob(task="t")]
WORKER = WorkerInfo(id=1)


async def drain(connector: BackendConnector) -> list[int]:
    await connector.heartbeat(WORKER, timedelta(hours=1))
    jobs = (await connector.fetch(1, None, 10)).jobs
    return await connector.finish([Outcome.succeeded(job) for job in jobs])


def test_loops_one_after_the_other_share_connections(backend: PostgresBackend, sessions: Callable[[], int]) -> None:
    before = sessions()
    connector = backend.connector()
    for number in range(1, 6):
        connector.sync.defer(JOB)
        assert asyncio.run(drain(connector)) == [number]
    assert sessions() <= before + 2  # one of each colour


def test_a_connector_that_is_to_stay_open_outlives_who_closes_it(backend: PostgresBackend) -> None:
    connector = backend.connector()
    connector.stay_open()

    async def lifespan() -> None:
        await connector.open()
        await connector.close()
        await connector.defer(JOB)

    asyncio.run(lifespan())
    connector.sync.open()
    connector.sync.close()
    assert len(connector.sync.defer(JOB)) == 1


def test_loops_may_be_interleaved(backend: PostgresBackend) -> None:
    connector = backend.connector()
    connector.sync.defer(JOB * 6)
    loops = [asyncio.new_event_loop() for _ in range(3)]
    seen = []
    for _ in range(2):
        for loop in loops:
            loop.run_until_complete(connector.heartbeat(WORKER, timedelta(hours=1)))
            seen += [job.id for job in loop.run_until_complete(connector.fetch(1, None, 1)).jobs]
    for loop in loops:
        loop.close()
    assert seen == [1, 2, 3, 4, 5, 6]


async def _many(connector: BackendConnector) -> list[list[Any]]:
    return await asyncio.gather(*(connector.defer(JOB) for _ in range(5)))


def test_many_tasks_and_threads_at_once_have_a_connection_each(backend: PostgresBackend) -> None:
    connector = backend.connector()
    asyncio.run(_many(connector))
    threads = [threading.Thread(target=connector.sync.defer, args=[JOB]) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(connector.sync.find(JobFilter())) == 10


def test_connections_of_one_test_serve_the_next(backend: PostgresBackend, sessions: Callable[[], int]) -> None:
    asyncio.run(drain(backend.connector()))
    before = sessions()
    for _ in range(10):
        backend.close_test()
        backend.reset()
        asyncio.run(drain(backend.connector()))
    assert sessions() == before


def test_of_very_many_connections_a_few_are_kept(backend: PostgresBackend, sessions: Callable[[], int]) -> None:
    for _ in range(30):
        asyncio.run(backend.connector().find(JobFilter()))
    backend.close_test()
    deadline = time.monotonic() + 20
    while sessions() > 2 * 8 + 1:  # the server takes its time to notice
        assert time.monotonic() < deadline


def test_nothing_but_sockets_is_kept(backend: PostgresBackend) -> None:
    asyncio.run(_many(backend.connector()))
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pq")] == []


@pytest.mark.filterwarnings("error")
def test_a_query_whose_loop_ended_in_the_middle_leaves_nothing(
    backend: PostgresBackend, sessions: Callable[[], int], user: psycopg.Connection
) -> None:
    before = sessions()
    connector = backend.connector()
    connector.sync.defer(JOB)
    user.execute("select * from pq.jobs for update")
    loop = asyncio.new_event_loop()
    task = loop.create_task(connector.cancel([1]))
    loop.run_until_complete(asyncio.sleep(0.05))  # until it waits for the row
    loop.close()
    task._log_destroy_pending = False  # what pytest-asyncio's teardown would have said
    (lent,) = connector._lender._lent
    backend.close_test()
    assert lent.closed
    user.rollback()
    del task
    gc.collect()
    assert sessions() <= before + 2


def test_a_connector_that_its_test_has_lost_gives_back_what_comes_late(backend: PostgresBackend) -> None:
    async def go() -> None:
        connector = backend.connector()
        async with (await connector._opened_pool()).connection() as connection:
            backend.close_test()
            assert not connection.closed
        assert not connection.closed

    asyncio.run(go())


def test_every_statement_goes_by_the_tests_clock(backend: PostgresBackend) -> None:
    clock = Clock(datetime(2030, 1, 1, tzinfo=UTC))
    connector = backend.connector(clock)
    connector.sync.defer([NewJob(task="t", delay=timedelta(days=30))])
    clock.advance(days=30)
    assert asyncio.run(drain(connector)) == [1]
    (job,) = connector.sync.find(JobFilter())
    assert job.finished_at == datetime(2030, 1, 31, tzinfo=UTC)


def test_what_keeps_tests_off_real_databases_does_not_concern_it(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(REFUSAL, "no")
    connector = backend.connector()
    assert connector.sync.check().current
    assert connector.sync.migrate() == []
    connector.sync.defer(JOB)
    assert asyncio.run(drain(connector.with_pool(max_size=3))) == [1]  # type: ignore[arg-type]
    with pytest.raises(InvalidOption):
        connector.with_pool(max_size=0)


def test_open_and_close_mean_what_they_mean_for_any_connector(backend: PostgresBackend) -> None:
    connector = backend.connector()

    async def go() -> None:
        await connector.close()
        await connector.open()
        await connector.defer(JOB)
        await connector.close()
        with pytest.raises(ConnectorClosed):
            await connector.defer(JOB)
        await connector.open()
        await connector.defer(JOB)

    asyncio.run(go())


def test_under_trio_it_says_why_not(backend: PostgresBackend) -> None:
    async def go() -> None:
        with pytest.raises(ConnectorError, match="under trio"):
            await backend.connector().defer(JOB)

    trio.run(go)


def test_the_sessions_of_one_worker_can_be_ended_alone(backend: PostgresBackend, user: psycopg.Connection) -> None:
    """As a crash does: what it had begun is rolled back, others go on, and so does it, on new connections."""
    dying, living = backend.connector(), backend.connector()
    living.sync.defer(JOB)

    async def go() -> None:
        await living.find(JobFilter())
        user.execute("select * from pq.jobs for update")
        task = asyncio.create_task(dying.cancel([1]))
        while not dying.pids:  # noqa: ASYNC110 - nothing tells when a statement is on its way
            await asyncio.sleep(0)
        survivors = living.pids
        dying.terminate()
        with pytest.raises(ConnectionFailed):
            await task
        assert living.pids == survivors
        await living.find(JobFilter())
        user.rollback()
        await dying.heartbeat(WORKER, timedelta(hours=1))

    asyncio.run(go())
    (job,) = living.sync.find(JobFilter())
    assert job.state == "ready"
    assert dying.pids.isdisjoint(living.pids)


async def _claim(connector: HandConnector, worker: int) -> None:
    await connector.heartbeat(WorkerInfo(id=worker), timedelta(hours=1))
    assert len((await connector.fetch(worker, None, 1)).jobs) == 1


def test_what_the_job_of_a_crashed_worker_has_open_is_ended_and_what_the_test_has_is_not(
    backend: PostgresBackend, user: psycopg.Connection
) -> None:
    user.execute("select 1")
    backend.connector().sync.defer(JOB)
    hand = backend.hand_connector()
    asyncio.run(_claim(hand, 1))
    with psycopg.connect(backend.dsn) as job, psycopg.connect(backend.dsn) as spared:
        backend.spare(spared)
        job.execute("create table half_done ()")
        spared.execute("select 1")
        hand.terminate()
        with pytest.raises(psycopg.OperationalError):
            job.execute("select 1")
        spared.execute("select 1")
    assert user.execute("select to_regclass('half_done')").fetchone() == (None,)


def test_what_is_not_known_to_be_the_crashed_workers_lives_on(backend: PostgresBackend) -> None:
    backend.connector().sync.defer(JOB * 2)
    crashing, other = backend.hand_connector(), backend.hand_connector()
    asyncio.run(_claim(crashing, 1))
    asyncio.run(_claim(other, 2))
    with psycopg.connect(backend.dsn) as job:
        job.execute("select 1")
        crashing.terminate()
        job.execute("select 1")


def test_a_worker_that_has_ended_its_job_has_nothing_open(backend: PostgresBackend) -> None:
    backend.connector().sync.defer(JOB)
    hand = backend.hand_connector()
    asyncio.run(drain(hand))
    with psycopg.connect(backend.dsn) as somebody:
        somebody.execute("select 1")
        hand.terminate()
        somebody.execute("select 1")
