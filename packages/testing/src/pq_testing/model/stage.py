"""The stage: two empty stores, a clock, and what each step of the model does with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from typing import Any, ClassVar, TypeVar

import anyio
import attrs
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis.stateful import RuleBasedStateMachine

from pq_core.connector import Connector, WorkerInfo
from pq_core.job import Job
from pq_core.memory import InMemoryConnector, MemoryTransaction
from pq_core.outcome import Outcome, Progress
from pq_core.states import LIVE, State
from pq_testing.conformance.case import Transactions
from pq_testing.conformance.scene import START, fetch_out
from pq_testing.model.pair import Ask, Difference, Pair, Side
from pq_testing.model.values import End, Said

Answer = TypeVar("Answer")
OfRun = TypeVar("OfRun", End, Said)
OpenConnector = Callable[[], AbstractAsyncContextManager[Connector]]
"""Gives an open connector to an empty store, each time anew."""
OpenTransactions = Callable[[Any], Transactions]
"""Says how to open a transaction for a connector."""

DEADLINE = 60.0
"""Seconds that one step may take."""
TWO_DAYS = timedelta(days=2)
DRAINER = 9


@attrs.frozen
class MemoryTransactions:
    """Transactions of an in-memory connector."""

    connector: InMemoryConnector

    def begin(self) -> AbstractAsyncContextManager[Any]:
        """Open a transaction."""
        return self.connector.transaction()

    def savepoint(self, connection: MemoryTransaction) -> AbstractAsyncContextManager[Any]:
        """Set a savepoint."""
        return connection.savepoint()


class Stage(RuleBasedStateMachine):
    """Holds the pair of connectors of one example, in an event loop of its own, from its start to its end."""

    open_connector: ClassVar[staticmethod[[], AbstractAsyncContextManager[Connector]]]
    open_transactions: ClassVar[OpenTransactions | None] = None
    listens: ClassVar[bool] = True
    backend: ClassVar[str] = "asyncio"
    steps_done: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.now: datetime = START
        self.agreed = True
        self.stack = AsyncExitStack()
        self.loop = start_blocking_portal(self.backend)
        self.portal: BlockingPortal = self.loop.__enter__()
        self.pair: Pair = self.portal.call(self.set_up)

    async def set_up(self) -> Pair:
        """Open both connectors."""
        memory = InMemoryConnector()
        subject = await self.stack.enter_async_context(type(self).open_connector())
        transactions = type(self).open_transactions
        return Pair(
            Side("the connector", subject, transactions(subject) if transactions else None),
            Side("memory", memory, MemoryTransactions(memory)),
        )

    def teardown(self) -> None:
        """End the example: run all that is left, and close what is open."""
        try:
            self.portal.call(self.tear_down)
        finally:
            self.loop.__exit__(None, None, None)

    async def tear_down(self) -> None:
        """Run all that is left, unless the example has failed already."""
        self.stack.push_async_callback(self.pair.subject.close_twin)
        try:
            if self.agreed:
                await self.drain()
        finally:
            # Not with the error: a context manager without `finally` would leave its connector open.
            await self.stack.aclose()

    def step(self, what: str, ask: Ask, *, learn: bool = False) -> tuple[Any, Any]:
        """Ask both connectors, then compare their stores.

        Args:
            what: names the step in what is raised.
            ask: calls a verb of one side.
            learn: the answers are jobs newly stored.

        Returns:
            The answer of the reference and of the subject; None and None if both refused.
        """

        async def work() -> tuple[Any, Any]:
            answers = await self.pair.ask(what, ask)
            if learn:
                self.pair.learn(answers)
            await self.pair.compare_stores(what, self.now)
            return answers

        type(self).steps_done += 1
        return self.run(work)

    def run(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """Do something in the event loop, in a limited time; if it fails, remember that."""

        async def limited() -> Answer:
            with anyio.fail_after(DEADLINE):
                return await work()

        self.agreed = False
        answer = self.portal.call(limited)
        self.agreed = True
        return answer

    def running(self) -> dict[int, Job]:
        """Return the jobs that run, by number."""
        return {number: job for number, job in self.pair.jobs.items() if job.state is State.RUNNING}

    def jobs_at(self, places: Sequence[int], prefer: Collection[State] = LIVE) -> list[int | None]:
        """Return the numbers of the jobs that are meant.

        An even place means one in a preferred state, an odd one any that ever was, the newest first. The last of
        these is None, a job that nobody knows.
        """
        preferred = sorted((number for number, job in self.pair.jobs.items() if job.state in prefer), reverse=True)
        best: list[int | None] = [*preferred]
        known: list[int | None] = [*range(len(self.pair.reference.ids) - 1, -1, -1), None]
        meant = [(best if best and place % 2 == 0 else known, place // 2) for place in places]
        return [numbers[place % len(numbers)] for numbers, place in meant]

    def runs_at(self, meant: Sequence[OfRun]) -> list[tuple[int, Job, OfRun]]:
        """Return the runs that are meant: of running jobs if there are some, else of any."""
        jobs = self.running() or self.pair.jobs
        found = [(sorted(jobs)[what.place % len(jobs)], what) for what in meant if jobs]
        return [(number, jobs[number], what) for number, what in found]

    def verb(self, verb: str, *arguments: Any, **options: Any) -> Ask:
        """Call a verb that names no job."""
        return lambda side: side.call(verb, *arguments, now=self.now, **options)

    def fetch_of(self, worker: int, queues: Sequence[str] | None, limit: int) -> Ask:
        """Fetch until there is no more to be had."""
        return lambda side: fetch_out(side.connector, worker, queues, limit, self.now)

    def heartbeat_of(self, worker: int, lease: timedelta, said: Sequence[tuple[int, Job, Said]] = ()) -> Ask:
        """Send a heartbeat, with what runs say of their progress; answer with the numbers of the jobs to stop."""

        async def heartbeat(side: Side) -> list[int]:
            info = WorkerInfo(id=worker, details={"größe": [1.5, None]})
            progress = [
                Progress.of(attrs.evolve(job, id=side.ids[number], claim=job.claim + word.fresh), word.word)
                for number, job, word in said
            ]
            asked = await side.connector.heartbeat(info, lease, progress=progress, now=self.now)
            return [side.numbers[job_id] for job_id in asked]

        return heartbeat

    async def finish_on(self, side: Side, runs: Sequence[tuple[int, Job, End]], **connection: Any) -> list[int]:
        """Write outcomes; answer with the numbers of the jobs that were current."""
        outcomes = [
            outcome_of(attrs.evolve(job, id=side.ids[number], claim=job.claim + end.fresh), end)
            for number, job, end in runs
        ]
        return [side.numbers[job_id] for job_id in await side.connector.finish(outcomes, now=self.now, **connection)]

    async def drain(self) -> None:
        """Run every job to its end.

        Raises:
            Difference: some job waits for ever, though nothing holds it.
        """
        for kind, name in sorted(self.pair.paused):
            what = {"everything": True} if kind == "all" else {kind: name}
            await self.pair.ask("resume", partial(Side.call, verb="resume", now=self.now, **what))
        fetched: Any = True
        while fetched:
            self.now += TWO_DAYS
            await self.pair.ask("heartbeat while draining", self.heartbeat_of(DRAINER, TWO_DAYS))
            await self.pair.ask("rescue while draining", self.verb("rescue"))
            expected, actual = await self.pair.ask("fetch while draining", self.fetch_of(DRAINER, None, 100))
            fetched = expected.jobs
            await self.pair.reference.connector.finish([*map(Outcome.succeeded, expected.jobs)], now=self.now)
            await self.pair.subject.connector.finish([*map(Outcome.succeeded, actual.jobs)], now=self.now)
        await self.pair.compare_stores("draining", self.now)
        left = [job for job in self.pair.jobs.values() if not job.ended]
        if left:
            raise Difference(f"never run, on either connector, though nothing holds them: {left}")


def outcome_of(job: Job, end: End) -> Outcome:
    """Return what becomes of a run."""
    progress = None if end.progress is None else Progress.of(job, end.progress).text
    return attrs.evolve(_plain_outcome(job, end), delivery=end.delivery, progress=progress)


def _plain_outcome(job: Job, end: End) -> Outcome:
    error = ValueError(f"größe {end.place}")
    match end.kind:
        case "succeeded":
            return Outcome.succeeded(job, end.result, keep=end.keep)
        case "failed":
            return Outcome.failed(job, error, keep=end.keep)
        case "cancelled":
            return Outcome.cancelled(job, "stopped", keep=end.keep)
        case "retried":
            return Outcome.retried(job, error, delay=end.delay, queue=end.queue, priority=end.priority, lock=end.lock)
        case "snoozed":
            return Outcome.snoozed(job, end.delay)
        case "released":
            return Outcome.released(job, end.delay)
