"""The indexed engine against a specification without an index: slow, and short enough to be believed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from pq_core.connector import Fetched, JobChanges, JobFilter, WorkerInfo
from pq_core.job import NewJob
from pq_core.memory.claiming import Fetch, Heartbeat
from pq_core.memory.deferring import Defer
from pq_core.memory.ending import Finish, Leave, Rescue
from pq_core.memory.listing import Find
from pq_core.memory.reviving import Retry
from pq_core.memory.steering import Cancel, Pause, Reschedule, Resume
from pq_core.memory.store import Operation, Store, apply
from pq_core.outcome import UNCHANGED, Kind, Outcome
from pq_core.states import State

QUEUES = ["a", "b", "c"]
LOCKS = [None, None, "x", "y"]
WORKERS = [1, 2, 3]
LEASE = timedelta(seconds=7)
WAITING, SCHEDULED, RUNNING = "waiting", "scheduled", "running"


class Specification:
    """Every live job in one dict, every rule a search through all of them. It does not tell ready from blocked."""

    def __init__(self) -> None:
        self.jobs: dict[int, SimpleNamespace] = {}
        self.ended: dict[int, SimpleNamespace] = {}
        self.leases: dict[int, datetime] = {}
        self.paused: set[str] = set()

    def of(self, state: str, *workers: int) -> list[SimpleNamespace]:
        found = [job for job in self.jobs.values() if job.state == state and (not workers or job.worker in workers)]
        return sorted(found, key=rank)

    def runnable(self, job: SimpleNamespace) -> bool:
        rivals = [other for other in self.jobs.values() if other is not job and other.lock == job.lock]
        if job.lock is None:
            return True
        if any(other.state == RUNNING for other in rivals):
            return False
        return job.mode == "mutex" or not any(rank(other) < rank(job) for other in rivals)

    def fall_due(self, now: datetime) -> None:
        for job in self.of(SCHEDULED):
            if job.due <= now:
                job.state = WAITING

    def fetch(
        self, worker: int, queues: list[str] | None, limit: int, called_ready: set[int]
    ) -> tuple[list[int], bool, bool]:
        """Return ids, again and solo. What is *called* ready decides how many queues count, and solo."""
        ready = [job for job in self.jobs.values() if job.id in called_ready]
        names = {job.queue for job in ready} if queues is None else set(queues)
        served = [job for job in self.of(WAITING) if job.queue in names - self.paused]
        mine = self.of(RUNNING, worker)
        solo = bool(mine) and any(last_life(job) for job in served if job.id in called_ready)
        if not mine:
            for job in served:
                if last_life(job) and self.runnable(job):
                    return [self.claim(job, worker)], False, False
        if any(last_life(job) for job in mine):
            return [], False, solo
        share = max(1, -(-2 * limit // max(1, len(names))))
        taken: Counter[str] = Counter()
        claimed: list[SimpleNamespace] = []
        for job in served:
            if len(claimed) < limit and taken[job.queue] < share and not last_life(job) and self.runnable(job):
                self.claim(job, worker)
                claimed.append(job)
                taken[job.queue] += 1
        again = any(
            self.runnable(job) and (len(claimed) < limit or rank(job) < rank(claimed[-1]))
            for job in served
            if job.state == WAITING and taken[job.queue] == share and not last_life(job)
        )
        return [job.id for job in claimed], again, solo

    def claim(self, job: SimpleNamespace, worker: int) -> int:
        job.state, job.worker = RUNNING, worker
        job.attempt += 1
        job.claim += 1
        return int(job.id)

    def end(self, job: SimpleNamespace, state: str) -> None:
        job.state = state
        self.ended[job.id] = self.jobs.pop(job.id)

    def go_on(self, job: SimpleNamespace, due: datetime, now: datetime) -> None:
        job.state, job.worker, job.due = SCHEDULED if due > now else WAITING, None, due

    def release(self, job: SimpleNamespace, due: datetime, now: datetime) -> None:
        if job.stop:
            self.end(job, "cancelled")
        else:
            job.attempt -= 1
            self.go_on(job, due, now)

    def lose(self, job: SimpleNamespace, now: datetime) -> None:
        job.losses += 1
        if job.stop:
            self.end(job, "cancelled")
        elif job.losses >= job.max_losses:
            self.end(job, "failed")
        else:
            self.go_on(job, now, now)


def rank(job: SimpleNamespace) -> tuple[int, int]:
    return -job.priority, job.id


def last_life(job: SimpleNamespace) -> bool:
    return bool(job.losses >= job.max_losses - 1)


class Pair:
    """The engine and the specification, taken through the same random life."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.store = Store()
        self.spec = Specification()
        self.seen: Counter[str] = Counter()

    def do(self, operation: Operation[Any]) -> Any:
        return apply(self.store, operation, self.now)

    def step(self) -> None:
        self.now += timedelta(seconds=self.random.choice([0, 0, 0, 1, 3]))
        verbs: list[Callable[[], None]] = [
            *[self.defer] * 3,
            *[self.fetch] * 6,
            *[self.finish] * 4,
            self.cancel,
            self.retry,
            self.reschedule,
            self.reschedule,
            self.rescue,
            self.leave,
            self.pause,
        ]
        self.random.choice(verbs)()
        self.compare()

    def compare(self) -> None:
        merged = {State.READY: WAITING, State.BLOCKED: WAITING}
        found = self.do(Find(JobFilter(), 10_000, 0))
        engine = {j.id: (merged.get(j.state, j.state.value), j.attempt, j.claim, j.losses, j.worker) for j in found}
        spec = {**self.spec.jobs, **self.spec.ended}
        assert engine == {j.id: (j.state, j.attempt, j.claim, j.losses, j.worker) for j in spec.values()}

    def some_ids(self, ids: Iterable[int]) -> list[int]:
        known = [*ids, 10**9]
        return self.random.sample(known, min(len(known), self.random.randint(1, 3)))

    def defer(self) -> None:
        choose = self.random.choice
        new = [
            NewJob(
                task="t",
                queue=choose(QUEUES),
                priority=choose([0, 0, 0, 5]),
                lock=choose(LOCKS),
                lock_mode=choose(["ordered", "mutex"]),
                delay=choose([None, None, None, timedelta(seconds=4)]),
                max_losses=choose([1, 2, 2, 3, 3, 3]),
            )
            for _ in range(self.random.randint(1, 5))
        ]
        for job, deferred in zip(new, self.do(Defer(new)), strict=True):
            stored = SimpleNamespace(
                id=deferred.id, queue=job.queue, priority=job.priority, lock=job.lock, mode=job.lock_mode, attempt=0,
                claim=0, losses=0, max_losses=job.max_losses, worker=None, stop=False,
            )  # fmt: skip
            self.spec.go_on(stored, self.now + (job.delay or timedelta(0)), self.now)
            self.spec.jobs[stored.id] = stored

    def fetch(self) -> None:
        worker = self.random.choice(WORKERS)
        queues = self.random.choice([None, *[self.random.choices([*QUEUES, "empty"], k=n) for n in (1, 2, 3, 4)]])
        limit = self.random.randint(1, 4)
        self.do(Heartbeat(WorkerInfo(id=worker), LEASE))
        self.spec.leases[worker] = self.now + LEASE
        self.spec.fall_due(self.now)
        live = self.store.live.values()
        called_ready = {
            j.id for j in live if j.state is State.READY or (j.state is State.SCHEDULED and j.scheduled_at <= self.now)
        }
        got: Fetched = self.do(Fetch(worker, queues, limit))
        expected = self.spec.fetch(worker, queues, limit, called_ready)
        assert ([job.id for job in got.jobs], got.again, got.solo) == expected
        upcoming = [(job.due - self.now).total_seconds() for job in self.spec.of(SCHEDULED)]
        assert got.next_in == min(upcoming, default=None)
        self.seen.update(
            jobs=len(got.jobs), again=got.again, solo=got.solo, unlocked=sum(j.lock is not None for j in got.jobs)
        )

    def finish(self) -> None:
        running = self.spec.of(RUNNING)
        if not running:
            return
        job = self.random.choice(running)
        kind: Kind = self.random.choice(get_args(Kind))
        stale = self.random.random() < 0.2
        delay = timedelta(seconds=self.random.choice([0, 0, 2]))
        to: dict[str, Any] = {}
        if kind == "retried":
            to = {"queue": self.random.choice([None, *QUEUES]), "priority": self.random.choice([None, 0, 5])}
            to["lock"] = self.random.choice(LOCKS)
        outcome = Outcome(job_id=job.id, claim=job.claim - stale, kind=kind, delay=delay, **to)
        assert self.do(Finish([outcome])) == ([] if stale else [job.id])
        if stale:
            return
        if kind in ("succeeded", "failed", "cancelled"):
            self.spec.end(job, kind)
        elif kind != "retried" or job.stop:
            self.spec.release(job, self.now + delay, self.now)
        else:
            self.spec.go_on(job, self.now + delay, self.now)
            job.queue = to["queue"] or job.queue
            job.priority = job.priority if to["priority"] is None else to["priority"]
            job.lock = to["lock"]

    def cancel(self) -> None:
        ids = self.some_ids(self.spec.jobs)
        self.do(Cancel(ids, "no need"))
        for job in [self.spec.jobs[number] for number in ids if number in self.spec.jobs]:
            if job.state == RUNNING:
                job.stop = True
            else:
                self.spec.end(job, "cancelled")

    def retry(self) -> None:
        ids = self.some_ids(self.spec.ended)
        self.do(Retry(ids))
        for number in ids:
            if job := self.spec.ended.pop(number, None):
                job.attempt = job.losses = 0
                job.stop = False
                self.spec.go_on(job, self.now, self.now)
                self.spec.jobs[number] = job

    def reschedule(self) -> None:
        ids = self.some_ids(self.spec.jobs)
        delay = self.random.choice([None, timedelta(0), timedelta(seconds=5)])
        queue, priority = self.random.choice([None, *QUEUES]), self.random.choice([None, -3, 0, 5])
        lock = self.random.choice(LOCKS) if self.random.random() < 0.5 else UNCHANGED
        self.do(Reschedule(ids, JobChanges(delay=delay, queue=queue, priority=priority, lock=lock)))
        for job in [self.spec.jobs[number] for number in ids if number in self.spec.jobs]:
            if job.state == RUNNING:
                continue
            if delay is not None:
                self.spec.go_on(job, self.now + delay, self.now)
            job.queue = queue or job.queue
            job.priority = job.priority if priority is None else priority
            job.lock = job.lock if lock is UNCHANGED else lock

    def rescue(self) -> None:
        self.spec.leases = {worker: end for worker, end in self.spec.leases.items() if end > self.now}
        lost = [job for job in self.spec.of(RUNNING) if job.worker not in self.spec.leases]
        for job in lost:
            self.spec.lose(job, self.now)
        assert [state.id for state in self.do(Rescue())] == sorted(job.id for job in lost)
        self.seen["lost"] += len(lost)

    def leave(self) -> None:
        worker = self.random.choice(WORKERS)
        theirs = self.spec.of(RUNNING, worker)
        for job in theirs:
            self.spec.release(job, self.now, self.now)
        self.spec.leases.pop(worker, None)
        assert [state.id for state in self.do(Leave(worker))] == sorted(job.id for job in theirs)

    def pause(self) -> None:
        queue = self.random.choice(QUEUES)
        if queue in self.spec.paused:
            self.do(Resume(queue))
            self.spec.paused.remove(queue)
        elif self.random.random() < 0.5:
            self.do(Pause(queue))
            self.spec.paused.add(queue)


@pytest.mark.parametrize("life", range(40))
def test_the_indexed_engine_gives_what_a_search_through_all_jobs_would_give(life: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    pair = Pair(seed)
    for _ in range(150):
        pair.step()
    assert pair.seen["jobs"]


def test_random_lives_come_to_every_rule() -> None:
    seen: Counter[str] = Counter()
    for seed in range(10):
        pair = Pair(seed)
        for _ in range(150):
            pair.step()
        seen += pair.seen
    assert all(seen[rule] for rule in ("jobs", "again", "solo", "unlocked", "lost")), seen
