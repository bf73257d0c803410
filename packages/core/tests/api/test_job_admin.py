"""`app.jobs`: to look at stored jobs and to change them, sync and async alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

import pq_core as pq


class Desk:
    """An app with three jobs, looked after in the colour of the test."""

    def __init__(self, *, is_async: bool) -> None:
        self.is_async = is_async
        self.memory = pq.InMemoryConnector()
        self.app = pq.App(connector=self.memory)
        self.red = self.app.task(name="red", lock="l")(lambda: None)
        self.blue = self.app.task(name="blue", queue="q")(lambda: None)
        self.ids = self.app.defer_many(
            [self.red.job(), self.blue.job(), self.blue.configure(schedule_in={"hours": 1}).job()]
        )

    def do(self, verb: str, /, *args: Any, **kwargs: Any) -> Any:
        if not self.is_async:
            return getattr(self.app.jobs, verb)(*args, **kwargs)

        async def call() -> Any:
            return await getattr(self.app.jobs, f"{verb}_async")(*args, **kwargs)

        return anyio.run(call)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def desk(request: pytest.FixtureRequest) -> Desk:
    return Desk(is_async=request.param)


def test_get_returns_the_job(desk: Desk) -> None:
    assert desk.do("get", desk.ids[1]).task == "blue"


def test_get_of_an_unknown_id_names_it(desk: Desk) -> None:
    with pytest.raises(pq.JobNotFound, match="no job has the id 4711"):
        desk.do("get", 4711)


@pytest.mark.parametrize(
    "which,found",
    [
        ({}, [1, 2, 3]),
        ({"task": "blue"}, [2, 3]),
        ({"queue": "default"}, [1]),
        ({"lock": "l"}, [1]),
        ({"state": "scheduled"}, [3]),
        ({"state": [pq.State.READY, "failed"]}, [1, 2]),
        ({"state": []}, []),
        ({"ids": 2}, [2]),
        ({"ids": [1, 3, 99]}, [1, 3]),
        ({"ids": []}, []),
        ({"task": "blue", "state": "ready"}, [2]),
        ({"args": {"x": 1}}, []),
        ({"unique_key": "k"}, []),
        ({"scheduled_after": datetime.now(UTC) + timedelta(minutes=45)}, [3]),
        ({"scheduled_before": datetime.now(UTC) + timedelta(minutes=45)}, [1, 2]),
        ({"created_after": datetime(2001, 1, 1, tzinfo=UTC)}, [1, 2, 3]),
        ({"created_before": datetime(2001, 1, 1, tzinfo=UTC)}, []),
        ({"limit": 2}, [1, 2]),
        ({"limit": 2, "after": 1}, [2, 3]),
    ],
)
def test_find_returns_the_jobs_that_fit(desk: Desk, which: dict[str, Any], found: list[int]) -> None:
    assert [job.id for job in desk.do("find", **which)] == found


def test_find_takes_a_task(desk: Desk) -> None:
    assert [job.id for job in desk.do("find", task=desk.blue)] == [2, 3]


def test_count_counts_by_state(desk: Desk) -> None:
    assert desk.do("count")[pq.State.READY] == 2
    assert desk.do("count", task=desk.blue) == {**dict.fromkeys(pq.State, 0), pq.State.READY: 1, pq.State.SCHEDULED: 1}


def test_cancel_ends_waiting_jobs_and_retry_brings_them_back(desk: Desk) -> None:
    assert desk.do("cancel", [1, 3, 99], reason="sold out") == [
        pq.JobState(1, pq.State.CANCELLED),
        pq.JobState(3, pq.State.CANCELLED),
    ]
    assert desk.do("get", 1).reason == "sold out"
    assert desk.do("retry", 1) == [pq.JobState(1, pq.State.READY)]
    assert desk.do("retry", iter([1, 2, 3])) == [pq.JobState(3, pq.State.READY)]


def test_cancel_gives_a_reason_of_its_own(desk: Desk) -> None:
    desk.do("cancel", 2)
    assert desk.do("get", 2).reason == "cancelled by request"


def test_reschedule_changes_what_it_names(desk: Desk) -> None:
    moment = datetime(2040, 1, 1, tzinfo=UTC)
    assert desk.do("reschedule", 1, schedule_at=moment, queue="later", priority=3) == [
        pq.JobState(1, pq.State.SCHEDULED)
    ]
    job = desk.do("get", 1)
    assert (job.scheduled_at, job.queue, job.priority, job.lock) == (moment, "later", 3, "l")
    desk.do("reschedule", [1], lock=None)
    assert desk.do("get", 1).lock is None
    assert desk.do("reschedule", [1, 3], schedule_in=timedelta(0)) == [
        pq.JobState(1, pq.State.READY),
        pq.JobState(3, pq.State.READY),
    ]


@pytest.mark.parametrize(
    "changes,why",
    [
        ({"schedule_in": {"hours": -1}}, "is negative"),
        ({"schedule_at": datetime(2040, 1, 1)}, "no time zone"),  # noqa: DTZ001 - that is the fault
        ({"schedule_at": datetime(2040, 1, 1, tzinfo=UTC), "schedule_in": {"hours": 1}}, "exclude each other"),
        ({"priority": 99_999}, "priority"),
        ({"queue": ""}, "queue"),
        ({"lock": ""}, "lock"),
    ],
)
def test_a_change_that_no_job_may_have_changes_nothing(desk: Desk, changes: dict[str, Any], why: str) -> None:
    before = desk.memory.jobs
    with pytest.raises(pq.InvalidJob, match=why):
        desk.do("reschedule", desk.ids, **changes)
    assert desk.memory.jobs == before


def test_options_that_there_are_not_are_refused(desk: Desk) -> None:
    with pytest.raises(pq.InvalidOption, match="has no option 'status'; its options are args, created_after"):
        desk.do("find", status="ready")
    with pytest.raises(pq.InvalidOption, match="state 'done': there are only scheduled, ready"):
        desk.do("count", state="done")
    with pytest.raises(pq.InvalidOption, match="reschedule has no option 'delay'"):
        desk.do("reschedule", 1, delay=5)
