"""The section "pq jobs" of a failing test."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from textwrap import dedent
from typing import Any

import pytest

import pq_core as pq
from pq_testing import Clock, RunJobs
from pq_testing.jobs_section import jobs_section
from pq_testing.swap import using

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def run_jobs() -> Iterator[RunJobs]:
    app = pq.App(connector=pq.InMemoryConnector())

    @app.task(name="mail.send")
    def send(user_id: Any) -> None: ...

    @app.task(name="shop.charge", retry=pq.RetryStrategy(max_attempts=3, wait=60))
    def charge(order: int) -> None:
        raise ValueError("the card\nwas declined")

    with using(app, clock=Clock(START)) as run_jobs:
        yield run_jobs


@pytest.fixture
def send(run_jobs: RunJobs) -> Any:
    return run_jobs.app.tasks["mail.send"]


def test_without_a_job_there_is_no_section(run_jobs: RunJobs) -> None:
    assert jobs_section(run_jobs.harness) == ""


def test_it_shows_the_clock_and_each_job(run_jobs: RunJobs, send: Any) -> None:
    send.configure(schedule_in={"hours": 1, "minutes": 30}).defer(user_id="x y")
    send.defer(user_id=1)
    run_jobs.app.tasks["shop.charge"].defer(order=7)
    run_jobs(on_error="record")
    run_jobs.clock.advance("30s")
    expected = """
        the test's clock stands at 2026-01-01 00:00:30 UTC

        id  task                      state      attempt  scheduled      last error
         1  mail.send(user_id='x y')  scheduled        0  in 1 h 29 min
         2  mail.send(user_id=1)      succeeded        1  30 s ago
         3  shop.charge(order=7)      scheduled        1  in 30 s        ValueError: the card was declined
    """
    assert jobs_section(run_jobs.harness) == dedent(expected).strip("\n")


def test_long_arguments_leave_room_for_the_rest(run_jobs: RunJobs, send: Any) -> None:
    send.defer(user_id="x" * 100)
    row = jobs_section(run_jobs.harness).splitlines()[-1]
    assert row == f" 1  mail.send(user_id='{'x' * 31}...{'x' * 15}')  ready        0  now"


def test_of_many_jobs_those_that_did_not_succeed_are_shown(run_jobs: RunJobs, send: Any) -> None:
    send.batch_defer([{"user_id": number} for number in range(100)])
    run_jobs()
    late = send.configure(schedule_in={"hours": 1}).defer(user_id=-1)
    lines = jobs_section(run_jobs.harness).splitlines()
    assert len(lines) == 2 + 1 + 50 + 1
    assert lines[-2].split()[0] == str(late)
    assert lines[-1] == "and 51 more jobs: 51 succeeded"


def test_a_job_just_ahead_of_the_clock_was_given_the_real_time(run_jobs: RunJobs, send: Any) -> None:
    send.configure(schedule_at=START + timedelta(microseconds=12_345)).defer(user_id=1)
    assert jobs_section(run_jobs.harness).endswith(
        "\n\nhint: job 1 is due in 0.012345 s, so its scheduled_at came from the real clock: the test's clock stands "
        "at 2026-01-01 00:00:00 UTC. Take the time from pq_clock.now(), move the clock with pq_clock.advance(), or "
        "let Python tell its time with pq_clock.patch_python()."
    )


@pytest.mark.parametrize(
    "ahead", [timedelta(milliseconds=500), timedelta(seconds=1), timedelta(hours=1, microseconds=1), timedelta(0)]
)
def test_other_times_are_no_reason_for_a_hint(run_jobs: RunJobs, send: Any, ahead: timedelta) -> None:
    send.configure(schedule_at=START + ahead).defer(user_id=1)
    assert "hint" not in jobs_section(run_jobs.harness)


def test_a_jittered_retry_is_no_reason_for_a_hint(run_jobs: RunJobs) -> None:
    @run_jobs.app.task(name="flaky", retry=pq.RetryStrategy(max_attempts=3, wait=0.012345))
    def flaky() -> None:
        raise ValueError

    flaky.defer()
    run_jobs(on_error="record")
    assert run_jobs.deferred.one(flaky).state == "scheduled"
    assert "hint" not in jobs_section(run_jobs.harness)
