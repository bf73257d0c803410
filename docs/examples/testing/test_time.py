"""Let time pass, without waiting."""

from datetime import UTC, datetime, timedelta

from newsletter import count_readers, sent, sign_up, wait_for_post

from pq_testing import Clock, RunJobs


def test_the_clock_stands_still_unless_moved(run_jobs: RunJobs, pq_clock: Clock) -> None:
    began = pq_clock.now()
    sign_up("ada@example.org")
    run_jobs()
    assert pq_clock.now() == began
    pq_clock.advance(days=3)
    run_jobs()
    assert sent == ["Welcome: ada@example.org", "Are you still there?: ada@example.org"]


def test_a_drain_lets_the_clock_go(run_jobs: RunJobs, pq_clock: Clock) -> None:
    began = pq_clock.now()
    sign_up("ada@example.org")
    run_jobs(until="3d")
    assert sent[-1] == "Are you still there?: ada@example.org"
    assert pq_clock.now() == began + timedelta(days=3)


def test_back_off_is_as_in_production(run_jobs: RunJobs) -> None:
    count_readers.defer("https://example.org")
    report = run_jobs(until="1h", on_error="record")
    starts = [run.started_at - report.runs[0].started_at for run in report]
    assert starts == [timedelta(0), timedelta(minutes=1), timedelta(minutes=2)]
    assert len(report.failed) == 1


def test_sleeping_takes_no_time(run_jobs: RunJobs) -> None:
    wait_for_post.defer(hours=5)
    report = run_jobs(until="1d")
    assert report.runs[0].duration == timedelta(hours=5)


def test_any_date(run_jobs: RunJobs, pq_clock: Clock) -> None:
    pq_clock.move_to(datetime(2028, 2, 29, tzinfo=UTC))
    sign_up("ada@example.org")
    run_jobs.deferred.where(scheduled_at=datetime(2028, 3, 3, tzinfo=UTC)).one()


def test_pythons_own_clock_too(run_jobs: RunJobs, pq_clock: Clock) -> None:
    pq_clock.move_to(datetime(2028, 2, 29, tzinfo=UTC))
    with pq_clock.patch_python():
        assert datetime.now(UTC) == pq_clock.now()
        pq_clock.advance("1d")
        assert datetime.now(UTC) == datetime(2028, 3, 1, tzinfo=UTC)
