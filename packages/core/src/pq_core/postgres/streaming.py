"""Batches of jobs, all in one transaction and sent ahead: PostgreSQL stores some while the next are made."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import attrs
import psycopg
from psycopg.rows import tuple_row

from pq_core.answers import Deferred
from pq_core.errors import InvalidJob
from pq_core.job import NewJob
from pq_core.postgres.faults import translate, unspeakable
from pq_core.postgres.statements import Statement
from pq_core.streaming import Tell

AHEAD = 4
"""Batches that are sent before the answer to the first is read."""
Make = Callable[[Sequence[NewJob]], Statement[list[Deferred]]]
Row = tuple[Any, ...]


def store_batches(
    connection: psycopg.Connection[Any], batches: Iterable[Sequence[NewJob]], make: Make, tell: Tell, schema: str
) -> None:
    """Store all on a connection in a transaction.

    Raises:
        PQError: what the database's error means.
    """
    sent = _Sent(make, schema)
    with connection.pipeline() if psycopg.Pipeline.is_supported() else nullcontext():
        for jobs in batches:
            statement, cursor = sent.statement(jobs), psycopg.Cursor(connection, row_factory=tuple_row)
            answers = _collect(sent) if len(sent.waiting) == AHEAD else []
            try:
                # Unprepared: a pooler may mix that up, and there would be no second try.
                cursor.execute(statement.text, statement.parameters, prepare=False)
            except (psycopg.Error, UnicodeEncodeError) as fault:
                raise sent.meaning(fault) from fault
            sent.add(statement, cursor, len(jobs))
            _tell(answers, tell)
        _tell(_collect(sent), tell)


async def store_batches_async(
    connection: psycopg.AsyncConnection[Any],
    batches: AsyncIterable[Sequence[NewJob]],
    make: Make,
    tell: Tell,
    schema: str,
) -> None:
    """Do what :func:`store_batches` does."""
    sent = _Sent(make, schema)
    async with connection.pipeline() if psycopg.AsyncPipeline.is_supported() else nullcontext():
        async for jobs in batches:
            statement, cursor = sent.statement(jobs), psycopg.AsyncCursor(connection, row_factory=tuple_row)
            answers = await _collect_async(sent) if len(sent.waiting) == AHEAD else []
            try:
                await cursor.execute(statement.text, statement.parameters, prepare=False)
            except (psycopg.Error, UnicodeEncodeError) as fault:
                raise sent.meaning(fault) from fault
            sent.add(statement, cursor, len(jobs))
            _tell(answers, tell)
        _tell(await _collect_async(sent), tell)


def _collect(sent: _Sent) -> list[tuple[_Batch, list[Row]]]:
    """Wait for the answers to all that is on its way: psycopg cannot wait for one alone."""
    try:
        return [(each, each.cursor.fetchall()) for each in sent.taken()]
    except psycopg.Error as fault:
        raise sent.meaning(fault) from fault


async def _collect_async(sent: _Sent) -> list[tuple[_Batch, list[Row]]]:
    """Do what :func:`_collect` does."""
    try:
        return [(each, await each.cursor.fetchall()) for each in sent.taken()]
    except psycopg.Error as fault:
        raise sent.meaning(fault) from fault


def _tell(answers: Sequence[tuple[_Batch, list[Row]]], tell: Tell) -> None:
    """Read answers, and tell of them: once the next batch is sent, so that PostgreSQL has something to do meanwhile."""
    for batch, rows in answers:
        tell(batch.read(rows))


@attrs.frozen
class _Batch:
    first: int
    statement: Statement[list[Deferred]]
    cursor: Any

    def read(self, rows: list[Row]) -> list[Deferred]:
        try:
            return self.statement.read(rows)
        except InvalidJob as reason:
            raise reason.after(self.first) from reason.__cause__


@attrs.define
class _Sent:
    """What is on its way."""

    _make: Make
    _schema: str
    waiting: list[_Batch] = attrs.field(init=False, factory=list[_Batch])
    _jobs: int = attrs.field(init=False, default=0)

    def statement(self, jobs: Sequence[NewJob]) -> Statement[list[Deferred]]:
        try:
            return self._make(jobs)
        except InvalidJob as reason:
            raise reason.after(self._jobs) from reason.__cause__

    def add(self, statement: Statement[list[Deferred]], cursor: object, jobs: int) -> None:
        self.waiting.append(_Batch(self._jobs, attrs.evolve(statement, parameters=()), cursor))
        self._jobs += jobs

    def taken(self) -> list[_Batch]:
        taken, self.waiting = self.waiting, []
        return taken

    def meaning(self, fault: psycopg.Error | UnicodeEncodeError) -> Exception:
        return unspeakable(fault) if isinstance(fault, UnicodeEncodeError) else translate(fault, self._schema)
