"""Run what a test has deferred."""

from datetime import timedelta

import pytest
from newsletter import app, count_readers, remind, send_issue, send_mail, sent, sign_up, wait_for_post

import pq_core as pq
from pq_testing import RunJobs


def test_what_is_due_runs_and_what_is_not_waits(run_jobs: RunJobs) -> None:
    sign_up("ada@example.org")
    report = run_jobs()
    assert report.names == [send_mail.name]
    assert sent == ["Welcome: ada@example.org"]


def test_jobs_that_jobs_defer_run_too(run_jobs: RunJobs) -> None:
    send_issue.defer(7, ["ada@example.org", "grace@example.org"])
    report = run_jobs()
    assert report.count(send_mail) == 2
    assert [run.result for run in report.succeeded] == [None, "sent", "sent"]


def test_a_job_that_fails_for_good_raises_its_own_error(run_jobs: RunJobs) -> None:
    count_readers.defer("https://example.org")
    with pytest.raises(ConnectionError, match="does not answer"):
        run_jobs(until="1h")


def test_errors_can_be_looked_at_instead(run_jobs: RunJobs) -> None:
    count_readers.defer("https://example.org")
    report = run_jobs(until="1h", on_error="record")
    assert (len(report.retried), len(report.failed)) == (2, 1)
    assert str(report.failed[0].error) == "https://example.org does not answer"
    assert report.duration == timedelta(hours=1)


def test_some_jobs_only(run_jobs: RunJobs) -> None:
    send_mail.batch_defer([{"address": "ada@example.org"}, {"address": "grace@example.org"}])
    remind.defer("ada@example.org")
    assert run_jobs(queues=["mail"], limit=1).count() == 1
    assert run_jobs(queues=["mail"]).count() == 1
    assert run_jobs(queues=["default"], limit=1).names == [remind.name]


def test_one_job_without_a_queue(run_jobs: RunJobs) -> None:
    outcome = run_jobs.perform(count_readers.job("https://example.org"), attempt=2)
    assert (outcome.kind, outcome.delay) == ("retried", timedelta(seconds=60))
    outcome = run_jobs.perform(count_readers.job("https://example.org"), attempt=3)
    assert outcome.kind == "failed"


@app.task(pass_context=True)
def say_which_run(context: pq.JobContext) -> str:
    return f"run {context.job.attempt}"


def test_a_task_that_takes_its_context_can_be_called(run_jobs: RunJobs) -> None:
    assert say_which_run(run_jobs.context(say_which_run, attempt=3)) == "run 3"


@pytest.mark.anyio
async def test_in_an_async_test_the_drain_is_awaited(run_jobs: RunJobs) -> None:
    await wait_for_post.defer_async(hours=0)
    report = await run_jobs.run_async()
    assert report.succeeded[0].result == "the post is there"
