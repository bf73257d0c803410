"""Rules of the state machine that only show from inside; what every connector does, pq_testing.conformance says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from pq_core.connector import JobChanges, JobFilter, WorkerInfo
from pq_core.errors import InvalidArguments, InvalidJob, InvalidOption, LeaseLost
from pq_core.job import Job, NewJob
from pq_core.memory.claiming import Fetch, Heartbeat
from pq_core.memory.deferring import Defer
from pq_core.memory.ending import Finish, Leave, Rescue, worker_lost
from pq_core.memory.listing import Find
from pq_core.memory.steering import Cancel, Prune, Reschedule, Resume
from pq_core.memory.store import Lock, Operation, Store, apply
from pq_core.outcome import Outcome
from pq_core.states import State

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LEASE = timedelta(days=1)


@attrs.define
class Scene:
    store: Store = attrs.field(factory=Store)

    def do(self, operation: Operation[Any], now: datetime = NOW) -> Any:
        self.store.rung.clear()
        return apply(self.store, operation, now)

    def defer(self, *jobs: NewJob) -> list[int]:
        return [deferred.id for deferred in self.do(Defer(jobs))]

    def fetch(self, limit: int = 10, worker: int = 1, queues: list[str] | None = None) -> list[Job]:
        self.do(Heartbeat(WorkerInfo(id=worker), LEASE))
        jobs: list[Job] = self.do(Fetch(worker, queues, limit)).jobs
        return jobs

    def succeed(self, *jobs: Job) -> None:
        self.do(Finish([Outcome.succeeded(job) for job in jobs]))

    def state(self, number: int) -> State:
        found: list[Job] = self.do(Find(JobFilter(ids=[number]), 1, 0))
        return found[0].state


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the jobs whose lock was looked at."""
    seen: list[int] = []
    admits = Lock.admits

    def watched(self: Lock, record: Any) -> bool:
        seen.append(record.id)
        return admits(self, record)

    monkeypatch.setattr(Lock, "admits", watched)
    return seen


def test_a_job_found_blocked_is_not_looked_at_again(scene: Scene, judged: list[int]) -> None:
    scene.defer(*[NewJob(task="t", lock="one") for _ in range(1000)])
    scene.fetch(limit=5)
    assert len(judged) == 1000
    judged.clear()
    scene.defer(NewJob(task="t"), NewJob(task="t", lock="other"))
    assert len(scene.fetch(limit=5)) == 2
    assert judged == [1002]


def test_each_end_of_a_run_looks_at_one_waiting_job_of_its_lock(scene: Scene, judged: list[int]) -> None:
    scene.defer(*[NewJob(task="t", lock="one") for _ in range(1000)])
    [running] = scene.fetch()
    judged.clear()
    for number in range(2, 52):
        scene.succeed(running)
        [running] = scene.fetch()
        assert running.id == number
    assert judged == list(range(2, 52))


def test_a_freed_mutex_makes_the_first_of_each_queue_ready_and_no_more(scene: Scene) -> None:
    ids = scene.defer(*[NewJob(task="t", queue=queue, lock="one", lock_mode="mutex") for queue in "zaabb"])
    [running] = scene.fetch()
    assert [scene.state(number) for number in ids[1:]] == [State.BLOCKED] * 4
    scene.succeed(running)
    assert [scene.state(number) for number in ids[1:]] == [State.READY, State.BLOCKED, State.READY, State.BLOCKED]


def test_behind_a_mutex_job_in_its_last_life_the_next_is_ready_too(scene: Scene) -> None:
    mutex = NewJob(task="t", lock="one", lock_mode="mutex")
    _, last, other = scene.defer(attrs.evolve(mutex, queue="h"), attrs.evolve(mutex, max_losses=1), mutex)
    [holder] = scene.fetch(queues=["h"])
    assert scene.fetch(worker=2) == []
    assert [scene.state(last), scene.state(other)] == [State.BLOCKED] * 2
    scene.defer(NewJob(task="t"))
    scene.fetch(worker=2)
    scene.succeed(holder)
    # Worker 2 runs something, so it passes the first one over.
    assert [job.id for job in scene.fetch(worker=2)] == [other]


@pytest.mark.parametrize(
    "operation, error",
    [
        (Defer([NewJob(task="t"), NewJob(task="t", args={"a": object()})]), InvalidArguments),
        (Defer([NewJob(task="t"), NewJob(task="t", metadata={"a": float("nan")})]), InvalidJob),
        (Fetch(1, None, 0), InvalidOption),
        (Fetch(2, None, 1), LeaseLost),
        (Cancel([2.5], "late"), InvalidOption),  # type: ignore[list-item]
        (Cancel([1], None), InvalidOption),  # type: ignore[arg-type]
        (Prune(timedelta(-1)), InvalidOption),
        (Leave(2**70), InvalidOption),
        (Heartbeat(WorkerInfo(id=1), timedelta.max), InvalidOption),
        (Resume("\x00"), InvalidJob),
        (Find(JobFilter(), -1, 0), InvalidOption),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, type) else value.__name__,
)
def test_a_refused_operation_leaves_the_store_as_it_was(
    scene: Scene, operation: Operation[Any], error: type[Exception]
) -> None:
    scene.defer(NewJob(task="t", queue="\x01"), NewJob(task="t", delay=timedelta(seconds=1)))
    scene.fetch(queues=[])
    before = attrs.asdict(scene.store)
    with pytest.raises(error):
        apply(scene.store, operation, NOW + timedelta(seconds=2))
    assert attrs.asdict(scene.store) == before


def test_a_lease_is_over_at_its_end(scene: Scene) -> None:
    scene.do(Heartbeat(WorkerInfo(id=1), LEASE))
    scene.do(Fetch(1, None, 1), NOW + LEASE - timedelta(microseconds=1))
    with pytest.raises(LeaseLost):
        scene.do(Fetch(1, None, 1), NOW + LEASE)


def test_a_bad_job_of_a_batch_is_named_by_its_index_and_a_single_one_is_not(scene: Scene) -> None:
    with pytest.raises(InvalidArguments) as batch:
        scene.defer(NewJob(task="t"), NewJob(task="t", args={"a": object()}))
    with pytest.raises(InvalidArguments) as single:
        scene.defer(NewJob(task="t", args={"a": object()}))
    assert (batch.value.field, batch.value.index) == ("args", 1)
    assert (single.value.field, single.value.index) == ("args", None)


@pytest.mark.parametrize("field", ["args", "metadata"])
def test_arguments_that_are_no_mapping_are_refused(scene: Scene, field: str) -> None:
    values: dict[str, Any] = {field: [("a", 1)]}
    with pytest.raises(InvalidJob, match=f"{field} .* is a list, not a mapping"):
        scene.defer(NewJob(task="t", **values))


def test_when_all_have_ended_nothing_is_left_in_any_index(scene: Scene) -> None:
    scene.defer(*[NewJob(task="t", queue=f"q{n % 3}", lock=f"l{n % 5}", lock_mode="mutex") for n in range(50)])
    while jobs := scene.fetch():
        scene.succeed(*jobs)
    store = scene.store
    assert (store.live, store.ready, store.running, store.locks, len(store.scheduled)) == ({}, {}, {}, {}, 0)


def test_jobs_that_come_and_go_behind_a_waiting_head_leave_no_trace(scene: Scene) -> None:
    scene.defer(NewJob(task="t", lock="one", delay=timedelta(days=1)))
    for _ in range(2000):
        scene.do(Cancel(scene.defer(NewJob(task="t", lock="one")), "no need"))
    assert len(scene.store.locks["one"].members._heap) < 200


def test_the_error_of_a_lost_worker_names_it(scene: Scene) -> None:
    scene.defer(NewJob(task="t"))
    scene.fetch(worker=7)
    scene.do(Rescue(), NOW + LEASE)
    [job] = scene.do(Find(JobFilter(), 1, 0))
    at = "2026-01-02T00:00:00.000000+00:00"
    assert job.errors == [{**worker_lost(7, 1), "at": at}]
    assert job.errors[0]["message"] == "worker 7 was lost"


RINGS: dict[str, Callable[[Scene, list[Job]], object]] = {
    "a retry": lambda scene, jobs: scene.do(Finish([Outcome.retried(jobs[0], ValueError())])),
    "a retry for later": lambda scene, jobs: scene.do(Finish([Outcome.snoozed(jobs[0], timedelta(seconds=5))])),
    "a rescue": lambda scene, jobs: scene.do(Rescue(), NOW + LEASE),
    "a request to stop": lambda scene, jobs: scene.do(Cancel([1], "no need")),
    "an unblocked job": lambda scene, jobs: scene.succeed(jobs[0]),
    "a resumed queue": lambda scene, jobs: scene.do(Resume("a")),
    "a new time": lambda scene, jobs: scene.do(Reschedule([2], JobChanges(delay=timedelta(0)))),
    "a job fallen due that this fetch does not take": lambda scene, jobs: scene.do(
        Fetch(1, ["other"], 1), NOW + timedelta(hours=1)
    ),
}


@pytest.mark.parametrize("cause", RINGS)
def test_listeners_of_the_queue_are_rung_for(scene: Scene, cause: str) -> None:
    scene.defer(NewJob(task="t", queue="a", lock="one"), NewJob(task="t", queue="a", lock="one"))
    jobs = scene.fetch(queues=["a"])
    scene.defer(NewJob(task="t", queue="a", delay=timedelta(minutes=1)))
    RINGS[cause](scene, jobs)
    assert scene.store.rung == {"a"}


def test_nobody_is_rung_for_what_fetch_takes_itself_nor_for_an_end(scene: Scene) -> None:
    scene.defer(NewJob(task="t", delay=timedelta(minutes=1)))
    scene.do(Heartbeat(WorkerInfo(id=1), LEASE))
    fetched = scene.do(Fetch(1, None, 1), NOW + timedelta(minutes=1))
    assert len(fetched.jobs) == 1
    assert scene.store.rung == set()
    scene.succeed(*fetched.jobs)
    assert scene.store.rung == set()


@pytest.mark.parametrize("delay, due", [(timedelta(-1), timedelta(0)), (timedelta.max, timedelta(days=365_250))])
def test_a_delay_that_no_job_may_have_is_bent_and_never_costs_an_outcome(
    scene: Scene, delay: timedelta, due: timedelta
) -> None:
    scene.defer(NewJob(task="t"))
    [job] = scene.fetch()
    outcome = Outcome(job_id=job.id, claim=job.claim, kind="snoozed", delay=delay)
    assert scene.do(Finish([outcome])) == [job.id]
    [job] = scene.do(Find(JobFilter(), 1, 0))
    assert job.scheduled_at - NOW == due


def test_of_several_outcomes_of_one_job_the_first_of_the_newest_claim_counts(scene: Scene) -> None:
    scene.defer(NewJob(task="t"))
    [job] = scene.fetch()
    stale = attrs.evolve(job, claim=job.claim - 1)
    outcomes = [Outcome.cancelled(stale, "stale"), Outcome.succeeded(job, "first"), Outcome.succeeded(job, "second")]
    assert scene.do(Finish(outcomes)) == [job.id]
    assert scene.do(Find(JobFilter(), 1, 0))[0].result == "first"
