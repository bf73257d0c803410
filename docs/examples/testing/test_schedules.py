"""Let schedules tick, without waiting."""

from newsletter import app, remind

from pq_testing import RunJobs


def test_a_schedule_ticks_if_the_test_asks_for_it(run_jobs: RunJobs) -> None:
    app.schedules.add("each night", remind.job("ada@example.org"), cron="0 3 * * *", timezone="Europe/Paris")
    report = run_jobs(until="2d", periodic=True)
    assert report.count(remind) == 2
    assert [tick.schedule for tick in report.ticks] == ["each night", "each night"]
    assert run_jobs(until="2d").count(remind) == 0
