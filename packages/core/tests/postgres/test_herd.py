"""One job does not wake a whole fleet, and whoever is called off is not needed."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import psycopg
import pytest

import pq_core as pq
from pq_core.connector import WorkerInfo
from pq_core.job import NewJob
from pq_core.postgres import PsycopgConnector, news
from pq_core.postgres.herd import Herd
from pq_core.postgres.news import News
from pq_core.postgres.notices import Notice

pytestmark = pytest.mark.anyio
DEADLINE = 20.0
MOST_WORKERS = 60
"""Two connections each; more would take this test's process longer than the server."""


class Fleet:
    """Workers that never look by themselves, and what they did.

    Attributes:
        started: when each job started.
        looks: how often the workers have asked for jobs.
        by: how many jobs each worker has run.
    """

    def __init__(self, dsn: str, count: int) -> None:
        self.dsn = dsn
        self.count = count
        self.started: dict[int, float] = {}
        self.looks = 0
        self.by: Counter[int] = Counter()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.apps = [self._app(number) for number in range(count)]

    def _app(self, number: int) -> pq.App:
        connector = PsycopgConnector(self.dsn, min_size=0, max_size=1)
        fetch = connector.fetch

        async def counted(*args: Any, **kwargs: Any) -> Any:
            self.looks += 1
            return await fetch(*args, **kwargs)

        connector.fetch = counted  # type: ignore[method-assign]
        app = pq.App(connector=connector)

        @app.task(name="work", pass_context=True)
        async def work(context: pq.JobContext) -> None:
            self.started[context.job.id] = time.monotonic()
            self.by[number] += 1
            await self.may_end.wait()

        return app

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[None]:
        """Run them for a block, from when each knows of all others."""
        given = {"poll_interval": 3600.0, "lease": 6.0, "install_signal_handlers": False, "keep": "none", **options}
        fleet = [pq.Worker(app, **given) for app in self.apps]
        async with AsyncExitStack() as stack:
            group = await stack.enter_async_context(asyncio.TaskGroup())
            for worker in fleet:
                group.create_task(worker.run_async())
            await until(lambda: all(news_of(app).others >= self.count - 1 for app in self.apps))
            await until(lambda: all(news_of(app).listening for app in self.apps))
            await self.rest()
            yield
            self.may_end.set()
            for worker in fleet:
                worker.stop()
        for app in self.apps:
            await app.connector.close()

    async def rest(self) -> None:
        """Wait until nobody asks for jobs any more."""
        looks = -1
        while looks < self.looks:
            looks = self.looks
            await asyncio.sleep(0.4)


def news_of(app: pq.App) -> News:
    connector = app.connector
    assert isinstance(connector, PsycopgConnector)
    return connector._news


async def until(condition: Callable[[], object]) -> None:
    with anyio.fail_after(DEADLINE):
        while not condition():  # noqa: ASYNC110 - any condition
            await anyio.sleep(0.002)


async def test_few_of_many_idle_workers_come_for_one_job(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # They share a process, which takes them ten times as long to answer as if they had processors of their own.
    monkeypatch.setattr(news, "BETWEEN_COMERS", 10 * news.BETWEEN_COMERS)
    fleet = Fleet(dsn, MOST_WORKERS)
    looks: list[int] = []
    async with open_connector(dsn) as connector, fleet.running():
        for _ in range(7):
            before = fleet.looks
            (job,) = await connector.defer([NewJob(task="work")])
            stored = time.monotonic()
            await until(lambda: len(fleet.started) > len(looks))
            assert fleet.started[job.id] - stored < 0.2
            await fleet.rest()
            looks.append(fleet.looks - before)
    assert statistics.median(looks) < MOST_WORKERS / 3, looks


async def test_as_many_jobs_as_workers_reach_all(dsn: str) -> None:
    fleet = Fleet(dsn, MOST_WORKERS)
    async with open_connector(dsn) as connector, fleet.running(concurrency=1):
        fleet.may_end.clear()
        for _ in range(MOST_WORKERS):
            await connector.defer([NewJob(task="work")])
        await until(lambda: len(fleet.started) == MOST_WORKERS)
        assert set(fleet.by.values()) == {1}


@asynccontextmanager
async def open_connector(dsn: str) -> AsyncIterator[PsycopgConnector]:
    connector = PsycopgConnector(dsn)
    await connector.open()
    yield connector
    await connector.close()


async def test_who_comes_too_late_still_knows_when_the_next_job_is_due(
    connector: PsycopgConnector, session: psycopg.Connection
) -> None:
    heard = connector._news
    await connector.heartbeat(WorkerInfo(id=1), timedelta(hours=1))
    session.execute("select heartbeat(2, 'w', null, '{}', 3600)")
    await connector.defer([NewJob(task="t", scheduled_at=datetime.now(UTC) + timedelta(seconds=30))])
    listener = asyncio.create_task(connector.listen(None, lambda: None))
    await until(lambda: heard.listening)
    heard.others = 200
    while (await connector.fetch(1, None, 1)).again:
        pass
    session.execute("select from claim(2, null, array[defer('t')])")
    await until(lambda: heard._told.get(None))
    fetched = await connector.fetch(1, None, 1)
    assert (fetched.jobs, fetched.again) == ([], False)
    assert fetched.next_in is not None
    assert 0 < fetched.next_in <= 30
    listener.cancel()
    await asyncio.wait([listener])


async def test_who_was_called_off_comes_for_what_was_told_later() -> None:
    woken: list[float] = []
    late: list[int] = []
    herd = Herd(lambda: woken.append(time.monotonic()), None, spread=lambda: 0.05, came_late=lambda: late.append(1))
    herd.hear(Notice(1, [1], "a"))
    herd.hear(Notice(2, [2], "a"))
    herd.taken("a", 1)
    await until(lambda: woken)
    assert late == []
    herd.hear(Notice(3, [3], "a"))
    herd.hear(Notice(4, [4], "b"))
    herd.taken("a", 3)
    await until(lambda: len(woken) == 2)
    herd.hear(Notice(5, [5], "a"))
    herd.taken("a", 5)
    await asyncio.sleep(0.1)
    assert (len(woken), late) == (2, [1])


async def test_who_waits_for_the_word_of_another_comes_for_what_was_told_later() -> None:
    woken: list[float] = []
    herd = Herd(lambda: woken.append(time.monotonic()), None, spread=lambda: 0.05, came_late=lambda: None)
    herd.hear(Notice(2, [2], "a"))
    herd.watch([Notice(1, [1], "a")], 0.05)
    herd.taken("a", 1)
    await until(lambda: woken)


async def test_a_job_that_is_told_of_again_is_not_called_off_with_what_was_told_of_it_before() -> None:
    woken: list[float] = []
    herd = Herd(lambda: woken.append(time.monotonic()), None, spread=lambda: 0.05, came_late=lambda: None)
    herd.hear(Notice(2, [7], "a"))
    herd.taken("a", 1)
    await until(lambda: woken)
    news = News(others=200)
    news.hear(Notice(1, [7], "a"))
    look = news.begin(None)
    news.hear(Notice(2, [7], "a"))
    assert news.settled(None, look) == []


async def test_a_look_speaks_of_what_was_told_before_it_began_whoever_looks_beside_it() -> None:
    news = News(others=200)
    look = news.begin(("a",))
    news.hear(Notice(1, [7], "a"))
    other = news.begin(("b",))
    assert news.settled(("a",), look) == []
    assert news.settled(("b",), other) == []
