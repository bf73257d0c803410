"""The machine: the rules, and one transaction beside them that is open as long as it likes."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, cast

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pq_core.connector import JobFilter, Transactional
from pq_core.job import NewJob
from pq_testing.conformance.case import Transactions, Undo
from pq_testing.model import values
from pq_testing.model.pair import Ask, Side
from pq_testing.model.rules import several_jobs
from pq_testing.model.schedule_rules import ScheduleRules


@attrs.define
class OpenTransaction:
    """A transaction on one side."""

    transactions: Transactions
    context: AbstractAsyncContextManager[Any]
    connection: Any


class ConnectorMachine(ScheduleRules):
    """What the model does: any verb, in any order, at any time, with and without a transaction."""

    def __init__(self) -> None:
        self.open_now: dict[str, OpenTransaction] = {}
        self.deferred: list[tuple[Any, Any]] = []
        self.transactions_begun = 0
        super().__init__()

    @precondition(lambda self: self.open_transactions is not None and not self.open_now)
    @rule()
    def begin(self) -> None:
        """Open a transaction on both sides."""
        self.run(self.begin_both)

    @precondition(lambda self: self.open_now)
    @rule(jobs=st.lists(values.new_jobs | values.bad_jobs, max_size=3))
    def defer_in_transaction(self, jobs: list[NewJob]) -> None:
        """Defer in it."""
        self.deferred.append(self.step("defer in a transaction", self.defer_of(jobs)))

    @precondition(lambda self: self.open_now)
    @rule(outer=st.lists(values.new_jobs, max_size=2), inner=st.lists(values.new_jobs, max_size=2))
    def roll_back_to_savepoint(self, outer: list[NewJob], inner: list[NewJob]) -> None:
        """Defer in two savepoints of it, of which the inner is kept and the outer is not."""

        async def ask(side: Side) -> None:
            here = self.open_now[side.name]
            with suppress(Undo):
                async with here.transactions.savepoint(here.connection):
                    await self.defer_of(outer)(side)
                    async with here.transactions.savepoint(here.connection):
                        await self.defer_of(inner)(side)
                    raise Undo

        self.step("roll back to a savepoint", ask)

    @precondition(lambda self: self.open_now)
    @rule(commit=st.booleans())
    def end_transaction(self, *, commit: bool) -> None:
        """Commit it or roll it back."""
        self.run(lambda: self.end_both(commit=commit))
        self.step("the end of a transaction", lambda side: side.call("count", JobFilter(), now=self.now))

    @precondition(lambda self: not self.open_now and self.both_lend)
    @rule(
        ends=st.lists(values.ends, min_size=1, max_size=4),
        jobs=several_jobs,
        worker=values.workers,
        commit=st.booleans(),
    )
    def finish_in_transaction(self, ends: list[values.End], jobs: list[NewJob], worker: int, *, commit: bool) -> None:
        """Write outcomes, some of which are stale or double, in a transaction that the connector lends."""
        self.let_some_run(jobs, worker)
        runs = self.runs_at(ends)

        async def ask(side: Side) -> list[int]:
            written: list[int] = []
            with suppress(Undo):
                async with cast("Transactional", side.connector).transaction() as connection:
                    written = await self.finish_on(side, runs, connection=connection)
                    if not commit:
                        raise Undo
            return written

        self.step("finish in a transaction", ask)

    @property
    def both_lend(self) -> bool:
        """Whether transactional jobs can run on both sides."""
        return all(hasattr(side.connector, "transaction") for side in (self.pair.reference, self.pair.subject))

    async def tear_down(self) -> None:
        """Roll back what is open."""
        await self.end_both(commit=False)
        await super().tear_down()

    async def begin_both(self) -> None:
        """Open a transaction on each side."""
        self.transactions_begun += 1
        for side in (self.pair.reference, self.pair.subject):
            if side.transactions is not None:
                context = side.transactions.begin()
                self.open_now[side.name] = OpenTransaction(side.transactions, context, await context.__aenter__())

    async def end_both(self, *, commit: bool) -> None:
        """Commit or roll back on each side, and number the jobs that were stored by that."""
        for here in self.open_now.values():
            if commit:
                await here.context.__aexit__(None, None, None)
            else:
                await leave_without(here.context)
        self.open_now.clear()
        for answers in self.deferred if commit else ():
            self.pair.learn(answers)
        self.deferred.clear()

    def defer_of(self, jobs: list[NewJob]) -> Ask:
        """Defer in the open transaction. What it answers is compared when it is known, at the end.

        Unique keys are its own: whoever else came to one would have to wait for the end. So are the locks of jobs that
        have one: if such a job is dropped because it has expired, the transaction has the lock in hand until its end.
        """
        own = f" of transaction {self.transactions_begun}"
        mine = [
            attrs.evolve(job, unique_key=job.unique_key + own, lock=job.lock and job.lock + own)
            if job.unique_key
            else job
            for job in jobs
        ]

        async def ask(side: Side) -> Any:
            connection = self.open_now[side.name].connection
            return await side.call("defer", mine, connection=connection, now=self.now)

        return ask


async def leave_without(context: AbstractAsyncContextManager[Any]) -> None:
    """Leave a transaction or savepoint by an exception, so that it is rolled back."""
    error = Undo()
    with suppress(Undo):
        await context.__aexit__(Undo, error, None)
