"""What a type checker must know of tests with fixtures of pq. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import assert_type

import pytest

from pq_core import Connector, InMemoryConnector
from pq_core.outcome import Outcome
from pq_testing import App, Clock, Effects, JobQuery, Report, Run, RunJobs, RunOnceWorker, using

shop = App(connector=InMemoryConnector())


@shop.task(retry=3)
def charge(order: int) -> None: ...


@pytest.fixture
def pq_app_factory() -> App:
    return shop


@pytest.fixture(scope="session")
def jobs_of_the_session() -> Iterator[RunJobs]:
    with using(shop) as run_jobs:
        yield run_jobs


@pytest.mark.pq(backend="all", redeliver=True, strict="pending")
def test_sync(app: App, run_jobs: RunJobs, pq_clock: Clock, pq_effects: Effects, pq_connector: Connector) -> None:
    charge.configure(schedule_in={"hours": 1}).defer(order=7)
    assert_type(run_jobs.deferred, JobQuery)
    run_jobs.deferred.one(charge, order=7)
    assert_type(pq_clock.advance(hours=1), datetime)
    report = run_jobs(until="2h", on_error="record", queues=["default"], limit=5, workers=2)
    assert_type(report, Report)
    assert_type(report.failed, tuple[Run, ...])
    assert_type(report.duration, timedelta)
    assert_type(run_jobs.perform(charge.job(7), attempt=3), Outcome)
    pq_effects.watch([])
    RunOnceWorker(app)


async def test_async(run_jobs: RunJobs) -> None:
    assert_type(await run_jobs.run_async(until=timedelta(hours=1)), Report)


def test_what_is_wrong(run_jobs: RunJobs, pq_clock: Clock) -> None:
    run_jobs(untl="2h")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    run_jobs(on_error="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    pq_clock.move_to("tomorrow")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
