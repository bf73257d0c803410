"""A connection that cannot hear, as behind a pooler that lends it for a transaction at a time, is not relied on."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

import pq_core as pq
from pq_core.connector import Fetched
from pq_core.job import NewJob
from pq_core.postgres import PsycopgConnector, listening

pytestmark = pytest.mark.anyio


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let connections listen where nobody speaks."""
    monkeypatch.setattr(listening, "quote", lambda _: '"where nobody speaks"')
    monkeypatch.setattr(listening, "LONGEST_PROOF", 0.1)


class Ear:
    """A listener that counts what it is told."""

    def __init__(self) -> None:
        self.woken = self.starts = 0
        self.any = anyio.Event()
        self.any_job = anyio.Event()

    def __call__(self) -> None:
        self.woken += 1
        self.any.set()

    def started(self) -> None:
        self.starts += 1
        self.any.set()

    def jobs(self) -> None:
        self.any_job.set()

    def stop(self, worker: int) -> None: ...

    def schedules(self) -> None: ...


@pytest.mark.usefixtures("deaf")
async def test_who_hears_nothing_is_woken_once_and_told_so(
    connector: PsycopgConnector, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear()
    with caplog.at_level(logging.WARNING, "pq_core.postgres"), anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(connector.listen, None, ear)
            await ear.any.wait()
            group.cancel_scope.cancel()
    assert (ear.woken, ear.starts) == (1, 0)
    assert "listen=False" in caplog.text


async def test_who_hears_wakes_no_other_by_finding_that_out(connector: PsycopgConnector) -> None:
    first, second = Ear(), Ear()
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(connector.listen, None, first)
            await first.any.wait()
            group.start_soon(connector.listen, None, second)
            await second.any.wait()
            await connector.defer([NewJob(task="t")])
            await first.any_job.wait()
            await second.any_job.wait()
            group.cancel_scope.cancel()
    assert (first.woken, first.starts, second.woken, second.starts) == (0, 1, 0, 1)


@pytest.mark.usefixtures("deaf")
async def test_a_worker_that_hears_nothing_looks_at_each_poll_interval(
    connector: PsycopgConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch, looks, enough = connector.fetch, 0, anyio.Event()

    async def counted(*args: Any, **kwargs: Any) -> Fetched:
        nonlocal looks
        looks += 1
        if looks == 10:
            enough.set()
        return await fetch(*args, **kwargs)

    monkeypatch.setattr(connector, "fetch", counted)
    worker = pq.Worker(pq.App(connector=connector), poll_interval=0.5, install_signal_handlers=False)
    with anyio.fail_after(20):  # It would take 40 s if the worker relied on what it hears.
        async with anyio.create_task_group() as group:
            group.start_soon(worker.run_async)
            await enough.wait()
            worker.stop()
