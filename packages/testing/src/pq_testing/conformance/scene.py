"""What a case plays on: a connector, and a clock that only the case moves."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import attrs

from pq_core.connector import Connector, Fetched, JobFilter, QueueInfo, WorkerInfo
from pq_core.job import Job, NewJob
from pq_core.outcome import Outcome, Progress
from pq_core.states import State

START = datetime(2031, 5, 6, 12, tzinfo=UTC)
"""When every case begins. No case asks the wall clock."""

ROUNDS = 200
"""Fetches in a row that may say `again` before a case calls that a loop without end."""

EVERYTHING = JobFilter()


def new(task: str = "work", **fields: Any) -> NewJob:
    """Make a job of which only what matters is named."""
    return NewJob(task=task, **fields)


def boom(message: str = "boom") -> ValueError:
    """Make the error of a failed run."""
    return ValueError(message)


async def fetch_all(
    connector: Connector, worker: int, queues: Sequence[str] | None, limit: int, now: datetime
) -> list[Job]:
    """Fetch until `limit` jobs are claimed or the connector does not say `again`.

    A connector may give fewer jobs than it could, if it says so; what it gives in the end is fixed. Returns the jobs,
    the first to run first.
    """
    return list((await fetch_out(connector, worker, queues, limit, now)).jobs)


async def fetch_out(
    connector: Connector, worker: int, queues: Sequence[str] | None, limit: int, now: datetime
) -> Fetched:
    """Fetch as :func:`fetch_all` does; return it as one answer: all jobs, and the rest of the last answer."""
    jobs: list[Job] = []
    solo = False
    for _ in range(ROUNDS):
        fetched = await connector.fetch(worker, queues, limit - len(jobs), now=now)
        jobs += fetched.jobs
        solo = solo or fetched.solo
        if len(jobs) >= limit or not fetched.again:
            jobs.sort(key=lambda job: (-job.priority, job.id))
            return attrs.evolve(fetched, jobs=jobs, solo=solo)
        if not fetched.jobs:
            # What there is, others have in hand for the moment.
            await anyio.sleep(0.005)
    raise AssertionError(f"fetch said `again` {ROUNDS} times in a row, and gave {len(jobs)} of {limit} jobs")


@attrs.define
class Scene:
    """A connector, and the time: each verb is asked as of `now`."""

    connector: Connector
    now: datetime = START

    def wait(self, **units: float) -> datetime:
        """Let time pass, in the units of timedelta."""
        self.now += timedelta(**units)
        return self.now

    def at(self, **units: float) -> datetime:
        """Return the moment that far from now."""
        return self.now + timedelta(**units)

    async def defer(self, *jobs: NewJob) -> list[int]:
        """Store jobs; return their ids."""
        return [deferred.id for deferred in await self.connector.defer(jobs, now=self.now)]

    async def add(self, task: str = "work", **fields: Any) -> int:
        """Store one job; return its id."""
        (job,) = await self.defer(new(task, **fields))
        return job

    async def hire(
        self,
        worker: int = 1,
        *,
        lease: float = 3600,
        queues: Sequence[str] | None = None,
        progress: Sequence[Progress] = (),
    ) -> list[int]:
        """Send the heartbeat of a worker, with a lease in seconds; return which of its jobs are to stop."""
        info = WorkerInfo(id=worker, name=f"worker-{worker}", queues=queues)
        return await self.connector.heartbeat(info, timedelta(seconds=lease), progress=progress, now=self.now)

    async def fetch(self, worker: int = 1, queues: Sequence[str] | None = None, limit: int = 10) -> list[Job]:
        """Claim up to `limit` jobs for a worker that is known."""
        return await fetch_all(self.connector, worker, queues, limit, self.now)

    async def fetch_ids(self, worker: int = 1, queues: Sequence[str] | None = None, limit: int = 10) -> list[int]:
        """Claim likewise; return the ids."""
        return [job.id for job in await self.fetch(worker, queues, limit)]

    async def run(self, worker: int = 1, **fields: Any) -> Job:
        """Store a job and let a worker claim it, alone; return it as claimed."""
        await self.hire(worker)
        wanted = await self.add(**fields)
        (job,) = await self.fetch(worker, [fields.get("queue", "default")], 1)
        assert job.id == wanted, f"job {job.id} was claimed instead of {wanted}"
        return job

    async def end(self, state: State = State.SUCCEEDED, **fields: Any) -> Job:
        """Store a job and let it end in `state`; return it as it is then."""
        job = await self.run(**fields)
        outcome = {
            State.SUCCEEDED: Outcome.succeeded(job),
            State.FAILED: Outcome.failed(job, boom()),
            State.CANCELLED: Outcome.cancelled(job, "no more"),
        }[state]
        assert await self.finish(outcome) == [job.id]
        return await self.job(job.id)

    async def finish(self, *outcomes: Outcome) -> list[int]:
        """Write outcomes; return the ids whose claim was current."""
        return await self.connector.finish(outcomes, now=self.now)

    async def succeed(self, *jobs: Job) -> list[int]:
        """Write that runs succeeded."""
        return await self.finish(*(Outcome.succeeded(job) for job in jobs))

    async def job(self, job_id: int) -> Job:
        """Read one job."""
        (job,) = await self.connector.find(JobFilter(ids=[job_id]), now=self.now)
        return job

    async def state(self, job_id: int) -> State:
        """Read the state of one job."""
        return (await self.job(job_id)).state

    async def states(self, *ids: int) -> list[State]:
        """Read the states of jobs."""
        return [await self.state(job_id) for job_id in ids]

    async def jobs(self) -> list[Job]:
        """Read all jobs, live and ended."""
        return await self.connector.find(EVERYTHING, limit=10_000, now=self.now)

    async def cancel(self, *ids: int, **options: Any) -> dict[int, State]:
        """Cancel jobs; return their states after it, in the order of the answer."""
        return {found.id: found.state for found in await self.connector.cancel(ids, now=self.now, **options)}

    async def retry(self, *ids: int) -> dict[int, State]:
        """Retry ended jobs; return their states after it, in the order of the answer."""
        return {found.id: found.state for found in await self.connector.retry(ids, now=self.now)}

    async def rescue(self) -> dict[int, State]:
        """Give back the jobs of the dead; return their states after it, in the order of the answer."""
        return {found.id: found.state for found in await self.connector.rescue(now=self.now)}

    async def leave(self, worker: int = 1) -> dict[int, State]:
        """Let a worker go; return the states of its jobs after it, in the order of the answer."""
        return {found.id: found.state for found in await self.connector.leave(worker, now=self.now)}

    async def lose(self, *workers: int) -> dict[int, State]:
        """Let the leases of workers run out, and rescue; anyone else who is known stays so."""
        for worker in workers:
            await self.hire(worker, lease=0.001)
        self.wait(seconds=1)
        return await self.rescue()

    async def queue(self, name: str) -> QueueInfo | None:
        """Read one queue, if it is listed."""
        return {queue.name: queue for queue in await self.connector.queues(now=self.now)}.get(name)

    async def counts(self) -> dict[State, int]:
        """Count all jobs by state, without the states that no job is in."""
        return {state: n for state, n in (await self.connector.count(EVERYTHING, now=self.now)).items() if n}
