"""`app.jobs` by filter: to change many jobs that have something in common; and to pause. Sync and async alike."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import pq_core as pq
from pq_core import job_search

S = pq.State


class Desk:
    """An app with jobs 1 to 5 (red: 1 and 2, of which 1 has failed; blue: 3 to 5, of which 5 is scheduled)."""

    def __init__(self, *, is_async: bool) -> None:
        self.is_async = is_async
        self.memory = pq.InMemoryConnector()
        self.app = pq.App(connector=self.memory)
        self.red = self.app.task(name="red")(self.fail)
        self.blue = self.app.task(name="blue", queue="q")(self.do_nothing)
        self.red.defer(n=0)
        self.work()
        later = self.blue.configure(schedule_in={"hours": 1})
        self.app.defer_many([self.red.job(n=1), self.blue.job(n=1), self.blue.job(n=2), later.job(n=1)])

    def work(self) -> None:
        self.app.run_worker(wait=False)
        self.app.open()

    @staticmethod
    def fail(n: int) -> None:
        raise ValueError(n)

    @staticmethod
    def do_nothing(n: int) -> None:
        pass

    def do(self, verb: str, /, *args: Any, **kwargs: Any) -> Any:
        if not self.is_async:
            return getattr(self.app.jobs, verb)(*args, **kwargs)

        async def call() -> Any:
            return await getattr(self.app.jobs, f"{verb}_async")(*args, **kwargs)

        return anyio.run(call)

    def changed(self, verb: str, /, *args: Any, **kwargs: Any) -> list[int]:
        return [job.id for job in self.do(verb, *args, **kwargs)]

    @property
    def states(self) -> dict[int, str]:
        return {number: str(job.state) for number, job in self.memory.jobs.items()}


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def desk(request: pytest.FixtureRequest) -> Desk:
    return Desk(is_async=request.param)


@pytest.mark.parametrize(
    "search,found",
    [
        ({"queue": "q"}, [3, 4, 5]),
        ({"task": "red"}, [2]),
        ({"state": "ready"}, [2, 3, 4]),
        ({"queue": "q", "state": "ready", "args": {"n": 1}}, [3]),
        ({"everything": True}, [2, 3, 4, 5]),
        ({"task": "none"}, []),
    ],
)
def test_live_jobs_that_have_something_in_common_are_cancelled(
    desk: Desk, search: dict[str, Any], found: list[int]
) -> None:
    assert desk.changed("cancel", reason="enough", **search) == found
    assert dict.fromkeys(found, "cancelled").items() <= desk.states.items()
    assert {desk.memory.jobs[number].reason for number in found} <= {"enough"}


def test_a_task_may_be_given_in_place_of_its_name(desk: Desk) -> None:
    assert desk.changed("cancel", task=desk.blue) == [3, 4, 5]


def test_without_a_state_only_failed_jobs_are_retried(desk: Desk) -> None:
    desk.do("cancel", 2)
    assert desk.changed("retry", task="red") == [1]
    assert desk.changed("retry", task="red", state="cancelled") == [2]


def test_everything_to_retry_is_all_that_has_failed(desk: Desk) -> None:
    desk.do("cancel", 2)
    assert desk.changed("retry", everything=True) == [1]


def test_waiting_jobs_that_have_something_in_common_are_rescheduled(desk: Desk) -> None:
    assert desk.changed("reschedule", where={"queue": "q", "args": {"n": 1}}, queue="slow", priority=3) == [3, 5]
    assert [(job.queue, job.priority) for job in desk.memory.jobs.values()][2:] == [("slow", 3), ("q", 0), ("slow", 3)]
    assert desk.changed("reschedule", everything=True, lock="l") == [2, 3, 4, 5]


def test_a_time_of_expiry_is_given_and_taken_away(desk: Desk) -> None:
    moment = desk.memory.jobs[5].scheduled_at
    desk.do("reschedule", 5, expires_at=moment)
    assert desk.memory.jobs[5].expires_at == moment
    desk.do("reschedule", 5, priority=1)
    assert desk.memory.jobs[5].expires_at == moment
    desk.do("reschedule", 5, expires_at=None)
    assert desk.memory.jobs[5].expires_at is None


def test_deleted_jobs_leave_no_trace(desk: Desk) -> None:
    assert desk.do("delete", args={"n": 1}) == [2, 3, 5]
    assert desk.do("delete", [1, 99]) == [1]
    assert list(desk.memory.jobs) == [4]
    assert desk.do("delete", everything=True) == [4]


def test_many_are_changed_a_page_at_a_time_and_none_twice(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_search, "PAGE", 2)
    asked: list[list[int]] = []
    reschedule = type(desk.memory.sync).reschedule, type(desk.memory).reschedule

    def watched(self: Any, ids: Any, *args: Any, **options: Any) -> Any:
        asked.append(list(ids))
        return reschedule[self is desk.memory](self, ids, *args, **options)

    for kind in (type(desk.memory.sync), type(desk.memory)):
        monkeypatch.setattr(kind, "reschedule", watched)
    assert desk.changed("reschedule", where={"state": ["ready", "scheduled"]}, priority=1) == [2, 3, 4, 5]
    assert asked == [[2, 3], [4, 5]]


@pytest.mark.parametrize("verb", ["cancel", "retry", "delete", "reschedule"])
@pytest.mark.parametrize(
    "args,search",
    [((), {}), ((None,), {}), ((), {"queue": None}), ((), {"args": {}}), ((1,), {"queue": "q"}), ((1,), "everything"),
     ((), {"queue": "q", "everything": True})],
)  # fmt: skip
def test_a_change_wants_either_ids_or_a_search_or_everything(
    desk: Desk, verb: str, args: tuple[Any, ...], search: Any
) -> None:
    before = desk.memory.jobs
    given: dict[str, Any] = {"everything": True} if search == "everything" else search
    if verb == "reschedule":
        everything = given.get("everything", False)
        given = {
            "where": {name: value for name, value in given.items() if name != "everything"},
            "everything": everything,
        }
    with pytest.raises(
        pq.InvalidOption, match=rf"{verb} was given .*either by their ids, or by what they have in common"
    ):
        desk.do(verb, *args, **given)
    assert desk.memory.jobs == before


@pytest.mark.parametrize(
    "verb,state",
    [
        ("cancel", "failed"),
        ("retry", ["ready", "running"]),
        ("delete", "running"),
        ("reschedule", ["running", "failed"]),
    ],
)
def test_a_change_of_jobs_in_states_that_allow_none_is_refused(desk: Desk, verb: str, state: Any) -> None:
    given: dict[str, Any] = {"where": {"state": state}, "priority": 1} if verb == "reschedule" else {"state": state}
    with pytest.raises(pq.InvalidOption, match=rf"{verb} leaves jobs alone that are \w+.*; name some of "):
        desk.do(verb, **given)


def test_options_of_a_search_that_there_are_not_are_refused(desk: Desk) -> None:
    with pytest.raises(pq.InvalidOption, match="cancel has no option 'status'; its options are args"):
        desk.do("cancel", status="ready")
    with pytest.raises(pq.InvalidOption, match="reschedule has no option 'ids'"):
        desk.do("reschedule", where={"ids": [1]}, priority=1)
    with pytest.raises(pq.InvalidOption, match="state 'done'"):
        desk.do("delete", state="done")
    with pytest.raises(pq.InvalidOption, match=r"created_before .* has no time zone"):
        desk.do("cancel", created_before=desk.memory.jobs[1].created_at.replace(tzinfo=None))


def test_queues_tasks_and_everything_are_paused_and_resumed(desk: Desk) -> None:
    desk.do("pause", "q")
    desk.do("pause", task=desk.red)
    desk.do("pause", everything=True)
    assert [(pause.kind, pause.name) for pause in desk.do("pauses")] == [("all", ""), ("queue", "q"), ("task", "red")]
    desk.work()
    assert desk.states == {1: "failed", 2: "ready", 3: "ready", 4: "ready", 5: "scheduled"}
    desk.do("resume", everything=True)
    desk.do("resume", task="red")
    desk.work()
    assert desk.states == {1: "failed", 2: "failed", 3: "ready", 4: "ready", 5: "scheduled"}


def test_nothing_is_paused_that_is_not_named(desk: Desk) -> None:
    with pytest.raises(pq.InvalidOption, match="everything=True"):
        desk.do("pause")
    with pytest.raises(pq.InvalidOption, match="queue='q' and task='red'"):
        desk.do("resume", "q", task=desk.red)
    assert desk.do("pauses") == []
