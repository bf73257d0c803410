"""How tests ask for jobs: checked, never run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, assert_type
from unittest.mock import ANY

import pq_core as pq
from pq_testing import JobQuery, RunJobs

app = pq.App(connector=pq.InMemoryConnector())


@app.task
def send(to: str, *, copies: int = 1) -> None: ...


@app.task(pass_context=True)
def remind(context: pq.JobContext, user_id: int) -> None: ...


def test_jobs(run_jobs: RunJobs) -> None:
    assert_type(run_jobs.deferred, JobQuery)
    assert_type(run_jobs.deferred.one(send, to="x", copies=ANY), pq.Job)
    assert_type(run_jobs.deferred.all(remind, user_id=lambda value: value > 1), list[pq.Job])
    assert_type([job.id for job in run_jobs.deferred], list[int])
    run_jobs.deferred.one("send")
    run_jobs.deferred.one(app.configure_task("elsewhere"), task=1, self=2)
    run_jobs.deferred.none(to="x")
    run_jobs.deferred.one(7)  # type: ignore[arg-type]


def test_conditions(deferred: JobQuery) -> None:
    assert_type(deferred.where(queue="mail", lock=None, state="ready", priority=1, attempt=0), JobQuery)
    deferred.where(state=[pq.State.READY, "scheduled"])
    for moment in (datetime.now(UTC), timedelta(hours=1), "1h", None):
        deferred.where(scheduled_at=moment)
    deferred.where(scheduled_at={"hours": 1})
    deferred.where(sate="ready")  # type: ignore[call-arg]
    deferred.where(priority="1")  # type: ignore[arg-type]


def test_none_returns_nothing(deferred: JobQuery) -> None:
    nothing: Any = deferred.none(send)  # type: ignore[func-returns-value]
    assert nothing is None
