"""Deferring in a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from contextlib import nullcontext, suppress
from datetime import timedelta

import anyio
import pytest

from pq_core.connector import WorkerInfo
from pq_core.errors import InvalidArguments, StoreBusy, WrongConnection
from pq_core.job import NewJob
from pq_core.memory import InMemoryConnector, MemoryTransaction
from pq_core.outcome import Outcome
from pq_core.states import State

JOB = NewJob(task="t")


class Undo(Exception):
    pass


def ids(memory: InMemoryConnector) -> list[int]:
    return list(memory.jobs)


def test_jobs_appear_when_the_transaction_ends(memory: InMemoryConnector) -> None:
    with memory.transaction() as transaction:
        memory.sync.defer([JOB, JOB], connection=transaction)
        assert ids(memory) == []
        memory.sync.defer([JOB])
    assert ids(memory) == [1, 2, 3]


def test_a_rolled_back_transaction_leaves_nothing_but_a_gap(memory: InMemoryConnector) -> None:
    with suppress(Undo), memory.sync.transaction() as transaction:
        memory.sync.defer([JOB, JOB], connection=transaction)
        raise Undo
    assert ids(memory) == []
    assert memory.sync.defer([JOB])[0].id == 3


@pytest.mark.anyio
async def test_a_transaction_may_be_awaited(memory: InMemoryConnector) -> None:
    async with memory.transaction() as transaction:
        await memory.defer([JOB], connection=transaction)
        with suppress(Undo):
            async with transaction.savepoint():
                await memory.defer([JOB], connection=transaction)
                raise Undo
        assert ids(memory) == []
    assert ids(memory) == [1]


def test_a_savepoint_takes_back_what_was_deferred_in_it_with_all_savepoints_inside(memory: InMemoryConnector) -> None:
    with memory.transaction() as transaction:
        memory.sync.defer([JOB], connection=transaction)
        with suppress(Undo), transaction.savepoint():
            memory.sync.defer([JOB], connection=transaction)
            with transaction.savepoint() as inner:
                memory.sync.defer([JOB], connection=inner)
            raise Undo
        with transaction.savepoint():
            memory.sync.defer([JOB], connection=transaction)
            with suppress(Undo), transaction.savepoint():
                memory.sync.defer([JOB], connection=transaction)
                raise Undo
    assert ids(memory) == [1, 4]


def test_a_bad_job_does_not_end_the_transaction(memory: InMemoryConnector) -> None:
    with memory.transaction() as transaction:
        memory.sync.defer([JOB], connection=transaction)
        with pytest.raises(InvalidArguments):
            memory.sync.defer([JOB, NewJob(task="t", args={"a": {1}})], connection=transaction)
    assert ids(memory) == [1]


def test_a_job_has_the_times_of_the_call_not_of_the_commit(memory: InMemoryConnector) -> None:
    memory.sync.defer([JOB])
    later = memory.jobs[1].created_at + timedelta(seconds=5)
    with memory.transaction() as transaction:
        memory.sync.defer([NewJob(task="t", delay=timedelta(seconds=5))], connection=transaction, now=later)
    job = memory.jobs[2]
    assert (job.created_at, job.scheduled_at) == (later, later + timedelta(seconds=5))
    assert job.state is State.SCHEDULED


def test_a_connection_of_another_kind_is_refused_by_name(memory: InMemoryConnector) -> None:
    connection = sqlite3.connect(":memory:")
    try:
        with pytest.raises(WrongConnection, match=r"sqlite3\.Connection"):
            memory.sync.defer([], connection=connection)
    finally:
        connection.close()


def test_a_transaction_of_another_connector_is_refused(memory: InMemoryConnector) -> None:
    with InMemoryConnector().transaction() as other, pytest.raises(WrongConnection, match="another"):
        memory.sync.defer([JOB], connection=other)


def test_a_transaction_is_used_between_its_begin_and_its_end(memory: InMemoryConnector) -> None:
    transaction = memory.transaction()
    with pytest.raises(WrongConnection, match="has not begun"):
        memory.sync.defer([JOB], connection=transaction)
    with transaction:
        pass
    with pytest.raises(WrongConnection, match="has ended"):
        memory.sync.defer([JOB], connection=transaction)
    with pytest.raises(WrongConnection, match="entered once"):
        transaction.__enter__()
    assert ids(memory) == []


def test_reset_ends_open_transactions_too(memory: InMemoryConnector) -> None:
    with memory.transaction() as transaction:
        memory.sync.defer([JOB], connection=transaction)
        memory.reset()
        with pytest.raises(WrongConnection, match="has ended"):
            memory.sync.defer([JOB], connection=transaction)
        memory.sync.defer([JOB])
    assert ids(memory) == [1]
    assert isinstance(transaction, MemoryTransaction)


def test_a_key_in_the_hands_of_another_open_transaction_cannot_be_waited_for() -> None:
    connector = InMemoryConnector()
    job = NewJob(task="t", unique_key="k", on_conflict="skip")
    with connector.transaction() as transaction:
        connector.sync.defer([job], connection=transaction)
        for connection in (None, connector.transaction()):
            with nullcontext() if connection is None else connection, pytest.raises(StoreBusy, match="unique_key 'k'"):
                connector.sync.defer([NewJob(task="u"), job], connection=connection)
    assert [found.task for found in connector.jobs.values()] == ["t"]
    assert connector.sync.defer([job])[0].status == "skipped"


def test_a_twin_that_comes_back_while_a_transaction_is_open_is_overtaken_by_its_commit() -> None:
    connector = InMemoryConnector()
    job = NewJob(task="t", unique_key="k")
    (first,) = connector.sync.defer([job])

    async def run() -> None:
        await connector.heartbeat(WorkerInfo(id=1), timedelta(hours=1))
        (claimed,) = (await connector.fetch(1, None, 1)).jobs
        with connector.transaction() as transaction:
            connector.sync.defer([job], connection=transaction)
            await connector.finish([Outcome.retried(claimed, ValueError("once more"), delay=timedelta(0))])
            assert connector.jobs[first.id].state is State.READY

    anyio.run(run)
    assert connector.jobs[first.id].state is State.CANCELLED
    assert connector.jobs[first.id].reason == f"superseded by job {max(connector.jobs)}"
