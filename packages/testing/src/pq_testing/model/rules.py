"""The rules: each is one call of a verb, legal or not, on both connectors. Which jobs are meant is drawn as places."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pq_core.connector import JobChanges, JobFilter, JobState
from pq_core.job import NewJob
from pq_core.states import ENDED, LIVE, State
from pq_testing.model import values
from pq_testing.model.pair import Ask, Difference, Side
from pq_testing.model.stage import DEADLINE, Stage

SECOND = timedelta(seconds=1)
CLOSE = 1e-3
"""Seconds by which two times to wait may differ."""

some_places = st.lists(values.places, max_size=4)
fields = st.fixed_dictionaries(
    {},
    optional={
        "queue": values.queues,
        "task": st.sampled_from(("t", "u")),
        "lock": st.sampled_from(values.LOCKS),
        "args": values.arguments,
        "created_after": values.moments,
        "created_before": values.moments,
        "scheduled_after": values.moments,
        "scheduled_before": values.moments,
    },
)
several_jobs = st.lists(values.new_jobs, min_size=1, max_size=4)
everyone = st.sampled_from((*values.WORKERS, 404))


class Rules(Stage):
    """Every verb that needs no transaction."""

    @rule(
        span=st.sampled_from((1, 0.000001, 1, 5, 5, 60, 3600, 100_000)).map(lambda seconds: timedelta(seconds=seconds))
    )
    def wait(self, span: timedelta) -> None:
        """Let time pass."""
        self.now += span

    @rule(jobs=st.lists(values.new_jobs, max_size=4), twin=st.booleans())
    def defer(self, jobs: list[NewJob], *, twin: bool) -> None:
        """Store jobs."""
        self.step("defer", self.verb("defer", jobs, twin=twin), learn=True)

    @rule(jobs=st.lists(values.new_jobs | values.bad_jobs, max_size=3), bad=values.bad_jobs, twin=st.booleans())
    def defer_what_cannot_be_stored(self, jobs: list[NewJob], bad: NewJob, *, twin: bool) -> None:
        """Have a batch refused."""
        self.step("defer what cannot be stored", self.verb("defer", [*jobs, bad], twin=twin))

    @rule(
        worker=everyone,
        queues=st.none() | st.lists(values.queues, max_size=3),
        limit=st.sampled_from((5, 1, 2, 50, 0)),
    )
    def fetch(self, worker: int, queues: list[str] | None, limit: int) -> None:
        """Claim jobs, or have it refused."""
        idle = not any(job.worker == worker for job in self.running().values())
        expected, actual = self.step("fetch", self.fetch_of(worker, queues, limit))
        if expected is None:
            return
        if (expected.next_in is None) != (actual.next_in is None) or (
            actual.next_in is not None and abs(expected.next_in - actual.next_in) > CLOSE
        ):
            self.differ(f"next_in of fetch\n    in memory: {expected.next_in}\n    here:      {actual.next_in}")
        self.check_solo(queues, idle=idle, solo=actual.solo)

    @rule(
        worker=values.workers, queues=st.none() | st.lists(values.queues, max_size=3), limit=st.sampled_from((5, 1, 50))
    )
    def work(self, worker: int, queues: list[str] | None, limit: int) -> None:
        """Let a worker that is known claim jobs."""
        self.heartbeat(worker=worker, lease=100_000)
        self.fetch(worker=worker, queues=queues, limit=limit)

    @rule(jobs=several_jobs, worker=values.workers)
    def run_new_jobs(self, jobs: list[NewJob], worker: int) -> None:
        """Store jobs, and let a worker claim what it may."""
        self.defer(jobs=jobs, twin=False)
        self.work(worker=worker, queues=None, limit=50)

    @rule(job=values.new_jobs, end=values.ends, worker=values.workers, way=st.sampled_from(("finish", "leave", "die")))
    def overtake_a_run(self, job: NewJob, end: values.End, worker: int, way: str) -> None:
        """Store a job with the unique key of one that runs, and let that one go on if it may."""
        keyed = attrs.evolve(
            job, unique_key="overtaken", unique_scope="waiting", unique_period=None, on_conflict="skip"
        )
        self.run_new_jobs(jobs=[keyed], worker=worker)
        self.defer(jobs=[keyed], twin=False)
        if way == "leave":
            self.leave(worker=worker)
        elif way == "die":
            self.heartbeat(worker=worker, lease=0.000001)
            self.now += SECOND
            self.rescue()
        else:
            running = [number for number, run in self.running().items() if run.unique_key == "overtaken"]
            runs = [(number, self.pair.jobs[number], end) for number in running]
            self.step("finish", lambda side: self.finish_on(side, runs))

    def check_solo(self, queues: list[str] | None, *, idle: bool, solo: bool) -> None:
        """Check `solo` as far as it does not hang on whether a waiting job was called ready or blocked."""
        waiting = [
            job
            for job in self.pair.jobs.values()
            if job.state in values.WAITING_ALIKE
            and job.losses >= job.max_losses - 1
            and not {("all", ""), ("queue", job.queue)} & self.pair.paused
            and (queues is None or job.queue in queues)
        ]
        surely = [job for job in waiting if job.lock is None and ("task", job.task) not in self.pair.paused]
        if solo and not waiting:
            self.differ("fetch says that a job in its last life was passed over, but none is ready")
        if not solo and not idle and surely:
            self.differ(f"fetch does not say that a job in its last life was passed over: {surely}")

    @rule(ends=st.lists(values.ends, min_size=1, max_size=6), jobs=several_jobs, worker=values.workers)
    def finish(self, ends: list[values.End], jobs: list[NewJob], worker: int) -> None:
        """Write outcomes, some of which are stale or double."""
        self.let_some_run(jobs, worker)
        runs = self.runs_at(ends)
        self.step("finish", lambda side: self.finish_on(side, runs))

    @rule(ends=st.lists(values.ends, min_size=1, max_size=2), jobs=several_jobs, worker=values.workers)
    def finish_twice(self, ends: list[values.End], jobs: list[NewJob], worker: int) -> None:
        """Write outcomes, let the jobs be claimed again if they may, and write the same once more."""
        self.let_some_run(jobs, worker)
        runs = self.runs_at(ends)
        self.step("finish", lambda side: self.finish_on(side, runs))
        self.work(worker=worker, queues=None, limit=5)
        self.step("finish again", lambda side: self.finish_on(side, runs))

    @rule(place=values.places, jobs=several_jobs, worker=values.workers)
    def stop_twice(self, place: int, jobs: list[NewJob], worker: int) -> None:
        """Ask a running job to stop, and later once more."""
        self.let_some_run(jobs, worker)
        running = sorted(self.running())
        for reason in ("first", "second") if running else ():
            job = running[place % len(running)]
            self.step("stop", self.stop(job, reason))
            self.now += SECOND

    @rule(place=values.places, jobs=several_jobs, worker=values.workers, changes=values.changes)
    def meddle_with_a_run(self, place: int, jobs: list[NewJob], worker: int, changes: JobChanges) -> None:
        """Retry and reschedule a running job, which is to change nothing."""
        self.let_some_run(jobs, worker)
        running = sorted(self.running())
        if running:
            job = running[place % len(running)]
            self.step("retry a run", lambda side: side.call("retry", [side.id(job)], now=self.now))
            self.step("reschedule a run", lambda side: side.call("reschedule", [side.id(job)], changes, now=self.now))

    def stop(self, job: int, reason: str) -> Ask:
        """Cancel one job."""
        return lambda side: side.call("cancel", [side.id(job)], reason=reason, now=self.now)

    def let_some_run(self, jobs: list[NewJob], worker: int) -> None:
        """Unless a job runs, store some and let a worker claim what it may."""
        if not self.running():
            self.run_new_jobs(jobs=jobs, worker=worker)

    @rule(worker=values.workers, lease=st.sampled_from((100_000, 3600, 60, 5, 0.000001)))
    def heartbeat(self, worker: int, lease: float) -> None:
        """Make a worker known, or prolong its lease."""
        self.step("heartbeat", self.heartbeat_of(worker, timedelta(seconds=lease)))

    @rule(said=st.lists(values.said, min_size=1, max_size=4), jobs=several_jobs, worker=values.workers)
    def tell_of_progress(self, said: list[values.Said], jobs: list[NewJob], worker: int) -> None:
        """Say how far runs are, some of which are stale."""
        self.let_some_run(jobs, worker)
        runs = self.runs_at(said)
        self.step("tell of progress", self.heartbeat_of(worker, timedelta(days=2), runs))

    @rule()
    def rescue(self) -> None:
        """Give back the jobs of the dead."""
        self.step("rescue", self.verb("rescue"))

    @rule(worker=everyone)
    def leave(self, worker: int) -> None:
        """Let a worker go."""
        self.step("leave", self.verb("leave", worker))

    @rule(places=some_places, reason=values.texts, twin=st.booleans())
    def cancel(self, places: list[int], reason: str, *, twin: bool) -> None:
        """Cancel jobs of any state."""
        self.step("cancel", self.verb_of_jobs("cancel", places, reason=reason, twin=twin))

    @precondition(lambda self: self.listens)
    @rule(places=some_places)
    def cancel_watched(self, places: list[int]) -> None:
        """Cancel jobs of any state whose end is waited for."""
        numbers = {number for number in self.jobs_at(places) if number is not None}

        async def ask(side: Side) -> list[JobState]:
            async with AsyncExitStack() as stack:
                watches = {
                    side.ids[n]: await stack.enter_async_context(side.connector.watch(side.ids[n])) for n in numbers
                }
                answers: list[JobState] = await side.call("cancel", [*watches], now=self.now)
                for answer in answers:
                    if answer.state in ENDED:
                        await watches[answer.id].wait(2 * DEADLINE)
            return answers

        self.step("cancel what is watched", ask)

    @rule(places=some_places, twin=st.booleans())
    def retry(self, places: list[int], *, twin: bool) -> None:
        """Retry jobs of any state."""
        self.step("retry", self.verb_of_jobs("retry", places, prefer=ENDED, twin=twin))

    @rule(places=some_places, changes=values.changes, twin=st.booleans())
    def reschedule(self, places: list[int], changes: JobChanges, *, twin: bool) -> None:
        """Reschedule jobs of any state."""
        self.step("reschedule", self.verb_of_jobs("reschedule", places, changes, twin=twin))

    @rule(age=st.none() | values.spans, states=values.states, twin=st.booleans())
    def prune(self, age: timedelta | None, states: list[State] | None, *, twin: bool) -> None:
        """Forget ended jobs, all of them or those of some states."""
        self.step("prune", self.verb("prune", age, states=states, twin=twin))

    @rule(place=values.places, twin=st.booleans())
    def report(self, place: int, *, twin: bool) -> None:
        """Ask for all workers, for the health, and for where a job stands."""
        (job,) = self.jobs_at([place])
        self.step("workers", self.verb("workers", twin=twin))
        self.step("health", self.verb("health", twin=twin))
        self.step("standing", lambda side: side.call("standing", side.id(job), now=self.now, twin=twin))

    @rule(places=some_places, twin=st.booleans())
    def purge(self, places: list[int], *, twin: bool) -> None:
        """Delete jobs of any state."""
        jobs = self.jobs_at(places)

        async def purge(side: Side) -> list[int]:
            gone = await side.call("purge", [*map(side.id, jobs)], now=self.now, twin=twin)
            return [side.numbers[job_id] for job_id in gone]

        self.step("purge", purge)

    @rule(what=values.pausable, verb=st.sampled_from(("resume", "pause", "resume")), twin=st.booleans())
    def pause_or_resume(self, what: dict[str, Any], verb: str, *, twin: bool) -> None:
        """Pause or resume a queue, a task, or everything."""
        self.step(verb, lambda side: side.call(verb, **what, now=self.now, twin=twin))

    @rule(
        places=st.none() | some_places,
        after=st.none() | values.places,
        limit=st.sampled_from((100, 1, 3)),
        states=values.states,
        fields=fields,
        twin=st.booleans(),
    )
    def find_and_count(
        self,
        *,
        places: list[int] | None,
        after: int | None,
        limit: int,
        states: list[State] | None,
        fields: dict[str, Any],
        twin: bool,
    ) -> None:
        """Find a page of jobs, and count all that fit."""
        jobs = None if places is None else self.jobs_at(places)
        (start,) = (None,) if after is None else self.jobs_at([after])

        def which(side: Side) -> JobFilter:
            return JobFilter(ids=None if jobs is None else [*map(side.id, jobs)], states=states, **fields)

        async def find(side: Side) -> Any:
            first = 0 if start is None else side.id(start)
            return await side.call("find", which(side), limit=limit, after=first, now=self.now, twin=twin)

        self.step("find", find)
        self.step("count", lambda side: side.call("count", which(side), now=self.now, twin=twin))

    def verb_of_jobs(
        self, verb: str, places: list[int], *arguments: Any, prefer: Collection[State] = LIVE, **options: Any
    ) -> Ask:
        """Call a verb of the jobs at `places`."""
        jobs = self.jobs_at(places, prefer)
        return lambda side: side.call(verb, [*map(side.id, jobs)], *arguments, now=self.now, **options)

    def differ(self, message: str) -> None:
        """End the example with a difference."""
        self.agreed = False
        raise Difference(message)
