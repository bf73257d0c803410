"""Two connectors that are asked the same, and must answer the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, cast

import attrs
from anyio import to_thread

from pq_core.connector import Connector, Deferred, Fetched, JobState, Pause, QueueInfo, Standing, WorkerStatus
from pq_core.errors import ConnectorError, LeaseLost, PQError, WrongConnection
from pq_core.health import Health
from pq_core.job import Job
from pq_core.states import State
from pq_testing.conformance.case import Transactions
from pq_testing.conformance.scene import EVERYTHING
from pq_testing.model.values import WAITING_ALIKE

UNKNOWN_ID = 2**62
"""An id that no job has."""


class Difference(AssertionError):
    """The two connectors do not agree."""


@attrs.define
class Side:
    """One connector, with its own ids: the n-th job that was stored has the n-th of them.

    Ids are compared by that number, because rolled back transactions may leave gaps in one and not in the other.
    """

    name: str
    connector: Connector
    transactions: Transactions | None
    ids: list[int] = attrs.field(factory=list[int])
    numbers: dict[int, int] = attrs.field(factory=dict[int, int])
    twin_is_open: bool = False

    def learn(self, ids: Sequence[int]) -> None:
        """Number jobs that were stored."""
        for job_id in ids:
            if job_id in self.numbers:
                raise Difference(f"{self.name} has given the id {job_id} twice")
            self.numbers[job_id] = len(self.ids)
            self.ids.append(job_id)

    def numbers_of(self, answers: Sequence[Deferred]) -> list[int]:
        """Number the jobs that are new; return the numbers of all."""
        self.learn([answer.id for answer in answers if answer.status == "new"])
        return [self.numbers[answer.id] for answer in answers]

    def id(self, number: int | None) -> int:
        """Return the id of a job by its number; None is a job that nobody knows."""
        return UNKNOWN_ID if number is None else self.ids[number]

    async def call(self, verb: str, *args: Any, twin: bool = False, **options: Any) -> Any:
        """Call a verb, or in another thread that of the sync twin."""
        if not twin:
            return await getattr(self.connector, verb)(*args, **options)
        if not self.twin_is_open:
            await to_thread.run_sync(self.connector.sync.open)
            self.twin_is_open = True
        return await to_thread.run_sync(partial(getattr(self.connector.sync, verb), *args, **options))

    async def close_twin(self) -> None:
        """Close the sync twin, if it was used."""
        if self.twin_is_open:
            await to_thread.run_sync(self.connector.sync.close)


Ask = Callable[[Side], Awaitable[Any]]


@attrs.define
class Pair:
    """A connector and the one that is believed.

    Attributes:
        jobs: all jobs by number, as the reference last listed them.
        paused: what was then paused, as kind and name.
    """

    subject: Side
    reference: Side
    jobs: dict[int, Job] = attrs.field(factory=dict[int, Job])
    paused: set[tuple[str, str]] = attrs.field(factory=set[tuple[str, str]])

    async def ask(self, what: str, ask: Ask) -> tuple[Any, Any]:
        """Ask both the same; compare what they answer, or their errors; return the two answers (None: an error).

        Raises:
            Difference: they do not agree.
        """
        expected, error = await attempt(ask, self.reference)
        actual, other = await attempt(ask, self.subject)
        if error is not None or other is not None:
            compare_errors(what, error, other)
            return None, None
        compare(what, plain(self.reference, expected), plain(self.subject, actual))
        return expected, actual

    async def compare_stores(self, what: str, now: datetime) -> None:
        """Compare all jobs and queues."""
        listed = await self.reference.connector.find(EVERYTHING, limit=100_000, now=now)
        actual = await self.subject.connector.find(EVERYTHING, limit=100_000, now=now)
        compare(f"all jobs after {what}", plain(self.reference, listed), plain(self.subject, actual))
        self.jobs = {self.reference.numbers[job.id]: job for job in listed}
        await self.ask(f"queues after {what}", lambda side: side.call("queues", now=now))
        pauses, _ = await self.ask(f"pauses after {what}", lambda side: side.call("pauses", now=now))
        self.paused = {(pause.kind, pause.name) for pause in pauses}

    def learn(self, answers: tuple[Any, Any]) -> None:
        """Number the jobs that both have stored.

        Raises:
            Difference: one of them has named another job as the one that has a unique key.
        """
        expected, actual = answers
        if expected is not None:
            compare("the jobs deferred", self.reference.numbers_of(expected), self.subject.numbers_of(actual))


async def attempt(ask: Ask, side: Side) -> tuple[Any, Exception | None]:
    """Ask one side; return its answer, or the error that belongs to the rules. Any other error is a fault."""
    try:
        return await ask(side), None
    except (LeaseLost, WrongConnection) as error:
        return None, error
    except ConnectorError:
        raise
    except (PQError, ValueError) as error:
        return None, error


def compare(what: str, expected: Any, actual: Any) -> None:
    """Compare two answers made plain.

    Raises:
        Difference: they differ; shows where.
    """
    if expected == actual:
        return
    if both(list, expected, actual) and len(expected) == len(actual):
        place = next(n for n in range(len(expected)) if expected[n] != actual[n])
        compare(f"{what}[{place}]", expected[place], actual[place])
    if both(dict, expected, actual) and list(expected) == list(actual):
        key = next(key for key in expected if expected[key] != actual[key])
        compare(f"{what}.{key}", expected[key], actual[key])
    raise Difference(f"{what}\n    in memory: {expected!r}\n    here:      {actual!r}")


def both(kind: type[object], expected: object, actual: object) -> bool:
    """Whether the two are of one kind."""
    return isinstance(expected, kind) and isinstance(actual, kind)


def compare_errors(what: str, expected: Exception | None, actual: Exception | None) -> None:
    """Compare two errors by their class, and the field and place that they name."""
    shown = f"{what}\n    in memory: {expected!r}\n    here:      {actual!r}"
    if expected is None or actual is None or not isinstance(actual, type(expected)):
        raise Difference(shown)
    for name in ("field", "index"):
        if getattr(expected, name, None) != getattr(actual, name, None):
            raise Difference(f"{shown}\n    in its {name}")


def plain(side: Side, answer: Any) -> Any:
    """Return an answer with ids as numbers of jobs, and without what connectors are free to do differently."""
    match answer:
        case Job():
            return plain_job(side, answer)
        case JobState():
            return {"job": side.numbers[answer.id], "state": alike(answer.state)}
        case Fetched():
            return [plain_job(side, job) for job in answer.jobs]
        case Deferred() | QueueInfo() | WorkerStatus() | Standing() | Health():
            return plain_report(side, answer)
        case Mapping():
            return plain_counts(cast("Mapping[State, int]", answer))
        case str() | int() | float() | None | Pause():
            return answer
        case Sequence():
            return [plain(side, item) for item in cast("Sequence[object]", answer)]
        case _:
            return type(answer).__name__


def plain_report(side: Side, report: Deferred | QueueInfo | WorkerStatus | Standing | Health) -> dict[str, Any]:
    """Return what is told of a queue, a worker, a job among others or the store. Which jobs are ready is free."""
    match report:
        case Deferred():
            return {"status": report.status}
        case QueueInfo():
            return {"name": report.name, "paused": report.paused, "counts": plain_counts(report.counts)}
        case WorkerStatus():
            return attrs.asdict(report)
        case Standing():
            others = (report.holder, report.before)
            return {"at": report.at, "others": [None if job is None else side.numbers[job] for job in others]}
        case Health():
            return {"at": report.at, "workers": report.workers, "lost": report.lost_workers}


SUPERSEDED = "superseded by job "


def plain_job(side: Side, job: Job) -> dict[str, Any]:
    """Return a job by its fields. Values of JSON as repr, which tells 1 from 1.0 and True, and -0.0 from 0.0."""
    fields = {name: getattr(job, name) for name in attrs.fields_dict(Job)}
    fields["id"] = side.numbers.get(job.id, f"unknown job {job.id}")
    fields["state"] = alike(job.state)
    for name in ("args", "metadata", "result"):
        fields[name] = repr(fields[name])
    fields["errors"] = [plain_error(error) for error in job.errors]
    if job.reason is not None and job.reason.startswith(SUPERSEDED):
        fields["reason"] = f"{SUPERSEDED}number {side.numbers[int(job.reason.removeprefix(SUPERSEDED))]}"
    return fields


def plain_error(error: dict[str, Any]) -> dict[str, Any]:
    """Return an error with its time as one; how a lost worker is put in words is free."""
    free = {"message": "", "traceback": ""} if error["type"] == "WorkerLost" else {}
    return dict(sorted({**error, **free, "at": datetime.fromisoformat(error["at"])}.items()))


def plain_counts(counts: Mapping[State, int]) -> dict[str, int]:
    """Return counts without zeroes, with jobs that are ready and blocked together."""
    plainly: dict[str, int] = {}
    for state in State:
        if counts.get(state):
            plainly[alike(state)] = plainly.get(alike(state), 0) + counts[state]
    return plainly


def alike(state: State) -> str:
    """Return a name for the state, one and the same for ready and blocked."""
    return "ready or blocked" if state in WAITING_ALIKE else str(state)
