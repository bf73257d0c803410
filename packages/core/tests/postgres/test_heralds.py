"""One transaction notifies for all that commit beside it, and no job waits while a worker is idle."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest

import pq_core as pq
from pq_core.postgres import PsycopgConnector, listening

pytestmark = pytest.mark.anyio
SLOW_COMMITS = """
    create function pq.nap() returns trigger language plpgsql as $$
        begin perform pg_sleep(random() ^ 2 * 0.02); return null; end $$;
    create constraint trigger nap after insert on pq.jobs deferrable initially deferred
        for each row execute function pq.nap();
"""
ENQUEUERS = 12
ALL: list[list[str] | None] = [None, None, None]
EACH: list[list[str] | None] = [["a"], ["b"], ["a"]]
"""The queues of workers."""
SECONDS = 3.0
BOUND = 0.5
"""Seconds that a job may wait though workers are idle; they never look by themselves here."""
ROUGH_BOUND = 3.0
"""Likewise, while connections of workers are cut off: they wait before they connect again."""


class Field:
    """Enqueuers of all sorts, who come in waves, and when each job was stored and started.

    Args:
        dsn: of the database.
        seed: of all choices.
    """

    def __init__(self, dsn: str, seed: int) -> None:
        self.dsn = dsn
        self.rng = random.Random(seed)
        self.stored: dict[int, float] = {}
        self.started: dict[int, float] = {}

    def app(self) -> pq.App:
        """Make an app for a worker of its own."""
        app = pq.App(connector=PsycopgConnector(self.dsn))

        @app.task(name="work", pass_context=True)
        async def work(context: pq.JobContext) -> None:
            self.started.setdefault(context.job.id, time.monotonic())
            await asyncio.sleep(random.random() * 0.003)

        return app

    async def waves(self, bound: float) -> None:
        """Store a few jobs at once, and wait until all have started: nobody comes to wake workers for others' jobs.

        Raises:
            AssertionError: one has waited for longer.
        """
        async with contextlib.AsyncExitStack() as stack:
            enqueuers = [
                await stack.enter_async_context(await psycopg.AsyncConnection.connect(self.dsn, autocommit=True))
                for _ in range(ENQUEUERS)
            ]
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                async with asyncio.TaskGroup() as group:
                    for enqueuer in self.rng.sample(enqueuers, self.rng.randint(1, ENQUEUERS)):
                        group.create_task(self._enqueue(enqueuer, random.Random(self.rng.random())))
                await self._all_start(bound)

    async def _enqueue(self, connection: psycopg.AsyncConnection, rng: random.Random) -> None:
        await asyncio.sleep(rng.random() ** 2 * 0.02)
        if rng.random() < 0.9:
            id_ = await defer(connection, f"queue => '{rng.choice('ab')}', alone => true")
            self.stored[id_] = time.monotonic()
            return
        level = rng.choice(["read committed", "repeatable read"])
        with contextlib.suppress(ZeroDivisionError):
            async with connection.transaction():
                await connection.execute(f"set transaction isolation level {level}".encode())
                ids = [await defer(connection, f"queue => '{rng.choice('ab')}'") for _ in range(rng.randint(1, 3))]
                await asyncio.sleep(rng.random() ** 4 * 0.2)
                if rng.random() < 0.2:
                    raise ZeroDivisionError
            self.stored |= dict.fromkeys(ids, time.monotonic())

    async def _all_start(self, bound: float) -> None:
        since = time.monotonic()
        while late := self.stored.keys() - self.started.keys():
            assert time.monotonic() - since < bound, late
            await asyncio.sleep(0.001)

    def longest(self) -> float:
        """Return for how long a job has waited."""
        return max(self.started[id_] - stored for id_, stored in self.stored.items())


async def defer(connection: psycopg.AsyncConnection, how: str) -> int:
    cursor = await connection.execute(f"select pq.defer('work', {how})".encode())
    ((id_,),) = await cursor.fetchall()
    return int(id_)


@contextlib.asynccontextmanager
async def workers(field: Field, queues: Sequence[list[str] | None]) -> AsyncIterator[None]:
    """Run workers that hear, and never look by themselves."""
    apps = [field.app() for _ in queues]
    options = {"install_signal_handlers": False, "poll_interval": 3600.0, "concurrency": 4, "keep": "none"}
    fleet = [pq.Worker(app, queues=names, **options) for app, names in zip(apps, queues, strict=True)]  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as group:
        for worker in fleet:
            group.create_task(worker.run_async())
        try:
            yield
        finally:
            for worker in fleet:
                worker.stop()
    for app in apps:
        await app.connector.close()


async def cut_off(dsn: str, rng: random.Random) -> None:
    """End connections of workers, one by one."""
    query = (
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pq' order by random() limit 1"
    )
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, application_name="villain") as connection:
        while True:
            await asyncio.sleep(rng.random() * 0.5)
            await connection.execute(query.encode())


@pytest.mark.parametrize("slow,queues", [(False, ALL), (True, ALL), (True, EACH)])
async def test_no_job_waits_though_a_worker_is_idle(
    dsn: str, session: psycopg.Connection, queues: list[list[str] | None], *, slow: bool
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - to be found if it fails
    field = Field(dsn, seed)
    if slow:
        session.execute(SLOW_COMMITS.encode())
    async with workers(field, queues):
        await field.waves(BOUND)
    print(f"{len(field.stored)} jobs, the longest wait {field.longest():.3f} s")  # noqa: T201 - as above


async def test_no_job_is_forgotten_when_connections_are_cut_off(dsn: str, session: psycopg.Connection) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - as above
    field = Field(dsn, seed)
    session.execute(SLOW_COMMITS.encode())
    async with workers(field, EACH):
        villain = asyncio.create_task(cut_off(dsn, random.Random(seed)))
        await field.waves(ROUGH_BOUND)
        villain.cancel()
    print(f"{len(field.stored)} jobs, the longest wait {field.longest():.3f} s")  # noqa: T201 - as above


async def test_a_herald_speaks_for_his_own_queue_alone(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "AFTERTHOUGHT", 3600.0)
    connector = PsycopgConnector(dsn)
    app, started = pq.App(connector=connector), asyncio.Event()

    @app.task(name="work")
    async def work() -> None:
        started.set()

    async with (
        await psycopg.AsyncConnection.connect(dsn) as herald,
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as other,
    ):
        worker = pq.Worker(app, queues=["b"], install_signal_handlers=False, poll_interval=3600.0)
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(worker.run_async())
            while not connector._news._sure:  # noqa: ASYNC110 - it hears, and has looked
                await asyncio.sleep(0.01)
            await defer(herald, "queue => 'a', alone => true")
            await defer(other, "queue => 'b', alone => true")
            await started.wait()
            await herald.commit()
            worker.stop()
    await connector.close()
