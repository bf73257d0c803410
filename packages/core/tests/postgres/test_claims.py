"""Jobs that are claimed where they were told of, for a worker that waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import psycopg
import pytest

from pq_core.connector import Fetched, JobFilter, WorkerInfo
from pq_core.errors import ConnectionFailed, SchemaMissing
from pq_core.hearing import Room
from pq_core.job import NewJob
from pq_core.outcome import Outcome
from pq_core.postgres import PsycopgConnector

pytestmark = pytest.mark.anyio
DEADLINE = 20.0
WORKER = 1
LEASE = timedelta(hours=1)
BLOCKED = (
    "from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%claim%'"
)


class Waiting:
    """Hears for a worker that waits for jobs."""

    def __init__(self, room: int = 10) -> None:
        self.room: Room | None = Room(WORKER, room)
        self.comes = 0

    def __call__(self) -> None: ...

    def started(self) -> None: ...

    def jobs(self) -> Room | None:
        self.comes += 1
        return self.room

    def stop(self, worker: int) -> None: ...

    def schedules(self) -> None: ...


@pytest.fixture
async def connector(dsn: str) -> AsyncIterator[PsycopgConnector]:
    connector = PsycopgConnector(dsn)
    await connector.open()
    await connector.heartbeat(WorkerInfo(id=WORKER, name="w"), LEASE)
    yield connector
    await connector.close()


@asynccontextmanager
async def waiting(
    connector: PsycopgConnector, hearer: Waiting, queues: list[str] | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """Listen for a block, from when a fetch has found that there is nothing."""
    listener = asyncio.create_task(connector.listen(queues, hearer))
    await until(lambda: connector._news.listening)
    assert await connector.fetch(WORKER, queues, 10) == Fetched(jobs=[], again=False)
    yield listener
    listener.cancel()
    await asyncio.wait([listener])


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(DEADLINE):
        while not condition():  # noqa: ASYNC110 - any condition
            await anyio.sleep(0.002)


async def comes(condition: Callable[[], Awaitable[object]]) -> None:
    with anyio.fail_after(DEADLINE):
        while not await condition():  # noqa: ASYNC110 - any condition
            await anyio.sleep(0.002)


async def running(connector: PsycopgConnector) -> int:
    return len(await connector.find(JobFilter(states=["running"])))


async def test_what_a_waiting_worker_is_told_of_is_claimed_before_it_fetches(connector: PsycopgConnector) -> None:
    hearer = Waiting()
    async with waiting(connector, hearer):
        (deferred,) = await connector.defer([NewJob(task="t", args={"n": 1})])
        await comes(lambda: running(connector))
        fetched = await connector.fetch(WORKER, None, 10)
        assert [(job.id, job.args, job.worker, job.claim) for job in fetched.jobs] == [
            (deferred.id, {"n": 1}, WORKER, 1)
        ]
        assert fetched.again
        assert await connector.fetch(WORKER, None, 10) == Fetched(jobs=[], again=False)


async def test_what_was_told_together_is_claimed_together(
    connector: PsycopgConnector, session: psycopg.Connection
) -> None:
    hearer = Waiting()
    async with waiting(connector, hearer):
        with session.transaction():
            session.execute("select defer('t')")
            session.execute("select defer('t', '{\"n\": 2}')")
        await comes(lambda: running(connector))
        assert [job.id for job in (await connector.fetch(WORKER, None, 10)).jobs] == [1, 2]


async def test_nothing_is_claimed_for_who_does_not_wait_or_waits_for_fewer(connector: PsycopgConnector) -> None:
    hearer = Waiting(room=1)
    async with waiting(connector, hearer):
        hearer.room = None
        await connector.defer([NewJob(task="t")])
        await until(lambda: hearer.comes)
        assert not connector._claims
        assert len((await connector.fetch(WORKER, None, 10)).jobs) == 1
        while (await connector.fetch(WORKER, None, 10)).again:
            pass
        hearer.room, hearer.comes = Room(WORKER, 1), 0
        await connector.defer([NewJob(task="t"), NewJob(task="t")])
        await until(lambda: hearer.comes)
        assert not connector._claims
        assert len((await connector.fetch(WORKER, None, 1)).jobs) == 1


async def test_a_claim_of_queues_with_any_names_of_any_length(connector: PsycopgConnector) -> None:
    # More than the socket takes at once.
    queues = ['a"b', "a\\b", "a,b", "{}", "null", *(f"{number}{'x' * 400}" for number in range(5000))]
    async with waiting(connector, Waiting(), queues):
        for queue in queues[:6]:
            await connector.defer([NewJob(task="t", queue=queue)])
            await comes(lambda: running(connector))
            (job,) = (await connector.fetch(WORKER, queues, 10)).jobs
            assert job.queue == queue
            await connector.finish([Outcome.succeeded(job)])
            while (await connector.fetch(WORKER, queues, 10)).again:
                pass


async def test_if_claims_fail_the_jobs_are_fetched(connector: PsycopgConnector, session: psycopg.Connection) -> None:
    async with waiting(connector, Waiting()):
        session.execute("drop function claim")
        await connector.defer([NewJob(task="t")])
        await until(lambda: connector._claims)
        with pytest.raises(SchemaMissing, match="claim"):
            await connector.fetch(WORKER, None, 10)
        assert len((await connector.fetch(WORKER, None, 10)).jobs) == 1
        while (await connector.fetch(WORKER, None, 10)).again:
            pass
        await connector.defer([NewJob(task="t")])
        await comes(lambda: found(connector, 2))
        assert not connector._claims


async def found(connector: PsycopgConnector, job: int) -> bool:
    return job in [each.id for each in (await connector.fetch(WORKER, None, 10)).jobs]


async def test_who_cannot_claim_listens_all_the_same(connector: PsycopgConnector, session: psycopg.Connection) -> None:
    session.execute("drop function claim")
    hearer = Waiting()
    async with waiting(connector, hearer):
        await connector.defer([NewJob(task="t")])
        await until(lambda: hearer.comes)
        assert len((await connector.fetch(WORKER, None, 10)).jobs) == 1


async def test_if_the_connection_breaks_on_which_a_claim_waits_the_fetch_says_so(
    connector: PsycopgConnector, dsn: str, session: psycopg.Connection
) -> None:
    async with waiting(connector, Waiting()) as listener:
        with psycopg.connect(dsn) as owner:
            owner.execute("lock table pq.jobs in access exclusive mode")
            session.execute("notify pq, 'queue:0:1:default'")
            await until(lambda: session.execute(f"select pg_terminate_backend(pid) {BLOCKED}").fetchone())
        with pytest.raises(ConnectionFailed):
            await asyncio.wait_for(connector.fetch(WORKER, None, 10), DEADLINE)
        with pytest.raises(ConnectionFailed):
            await asyncio.wait_for(listener, DEADLINE)
    assert await connector.fetch(WORKER, None, 10) == Fetched(jobs=[], again=False)


async def test_who_gives_up_on_a_claim_breaks_its_connection_so_that_no_answer_is_taken_for_another(
    connector: PsycopgConnector, dsn: str, session: psycopg.Connection
) -> None:
    async with waiting(connector, Waiting()) as listener:
        with psycopg.connect(dsn) as owner:
            owner.execute("lock table pq.jobs in access exclusive mode")
            session.execute("notify pq, 'queue:0:1:default'")
            await until(lambda: session.execute(f"select {BLOCKED}").fetchone() is not None)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await connector.fetch(WORKER, None, 10)
            with pytest.raises(ConnectionFailed):
                await asyncio.wait_for(listener, DEADLINE)


async def test_a_claim_that_nobody_fetches_leaves_the_connection_as_it_was(connector: PsycopgConnector) -> None:
    async with waiting(connector, Waiting()):
        await connector.defer([NewJob(task="t")])
        await comes(lambda: running(connector))
        (line,) = connector._news.lines
        await until(lambda: line.asks)
        connector._claims.clear()
        (job,) = await connector.find(JobFilter(states=["running"]))
        await connector.finish([Outcome.released(job)])
        await comes(lambda: found(connector, job.id))
