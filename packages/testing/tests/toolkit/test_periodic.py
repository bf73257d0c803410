"""Schedules tick in virtual time, if a test asks for it, and never by accident."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import anyio
import pytest

import pq_core as pq
from pq_core.job import NewJob
from pq_testing import RunJobs
from pq_testing.clock import Clock
from pq_testing.postgres import fresh_database
from pq_testing.swap import using

NOON = datetime(2031, 5, 6, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.PsycopgConnector("host=/nowhere"))


@pytest.fixture
def run_jobs(app: pq.App) -> Iterator[RunJobs]:
    with using(app) as run_jobs:
        run_jobs.clock.move_to(NOON)
        yield run_jobs


def test_schedules_tick_until_then_and_the_report_shows_it(app: pq.App, run_jobs: RunJobs) -> None:
    seen = []

    @app.periodic(cron="0 3 * * *", timezone="Europe/Paris", id="nightly", args={"n": 1})
    @app.task(name="work", pass_context=True)
    def work(context: pq.JobContext, n: int) -> None:
        seen.append((run_jobs.clock.now(), n, context.job.metadata["pq.tick"]))

    report = run_jobs(until="2d", periodic=True)

    one, two = datetime(2031, 5, 7, 1, tzinfo=UTC), datetime(2031, 5, 8, 1, tzinfo=UTC)
    assert seen == [(one, 1, one.isoformat()), (two, 1, two.isoformat())]
    assert [(tick.schedule, tick.at) for tick in report.ticks] == [("nightly", one), ("nightly", two)]
    assert "schedule 'nightly' ticked 2 times" in repr(report)
    assert run_jobs.clock.now() == NOON + timedelta(days=2)


def test_a_later_drain_goes_on_where_the_last_one_ended(app: pq.App, run_jobs: RunJobs) -> None:
    @app.periodic(cron="@hourly")
    @app.task(name="work")
    def work() -> None: ...

    counts = [run_jobs(until=HOUR, periodic=True).count(work) for _ in range(3)]
    assert counts == [1, 1, 1]


def test_nothing_ticks_unless_it_is_asked_for(app: pq.App, run_jobs: RunJobs) -> None:
    @app.periodic(cron="* * * * *")
    @app.task
    def work() -> None: ...

    assert len(run_jobs()) == len(run_jobs(until="2d")) == 0
    assert run_jobs(until="2d").ticks == ()
    assert app.schedules.all() == []


def test_ticks_come_in_time_while_a_job_takes_its_time(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="slow")
    async def slow() -> None:
        await anyio.sleep(3600)

    @app.periodic(cron="*/20 * * * *", catch_up="none")
    @app.task(name="work")
    def work() -> None: ...

    slow.defer()
    assert run_jobs(until="2h", periodic=True).names == ["slow", *["work"] * 6]


def test_side_by_side_each_tick_is_made_once(app: pq.App, run_jobs: RunJobs) -> None:
    @app.periodic(cron="*/20 * * * *")
    @app.task(name="work")
    async def work() -> None:
        await anyio.sleep(1800)

    assert run_jobs(until="4h", periodic=True, workers=3).count(work) == 12


def test_schedules_made_at_run_time_tick_too(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work")
    def work() -> None: ...

    app.schedules.add("mine", work.job(), cron="@hourly")
    assert run_jobs(until="3h", periodic=True).count(work) == 3
    app.schedules.pause("mine")
    assert run_jobs(until="3h", periodic=True).count(work) == 0


@pytest.mark.parametrize("options", [{"periodic": True}, {"periodic": 1, "until": "1h"}], ids=str)
def test_to_tick_while_the_clock_stands_is_refused(run_jobs: RunJobs, options: dict[str, object]) -> None:
    with pytest.raises(pq.InvalidOption, match="periodic"):
        run_jobs(**options)  # type: ignore[arg-type] # which is the point


@pytest.mark.postgres
def test_schedules_tick_in_a_database_as_in_memory(app: pq.App) -> None:
    @app.periodic(cron="*/20 * * * *", id="often")
    @app.task(name="work")
    def work() -> None: ...

    with ExitStack() as stack:
        clock = Clock(NOON)
        connector = pq.PsycopgConnector(stack.enter_context(fresh_database()), clock=clock.now)
        connector.sync.migrate()
        connector.sync.put_schedules([pq.NewSchedule(id="stored", job=NewJob(task="work"), cron="@hourly")])
        stack.callback(connector.sync.close)
        run_jobs = stack.enter_context(using(app, connector=connector, clock=clock))
        report = run_jobs(until="2h", periodic=True)
        assert sorted(tick.schedule for tick in report.ticks) == ["often"] * 6 + ["stored"] * 2
        assert report.count(work) == 8
