"""The two faces, the view of the jobs, the clock."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import anyio
import pytest

from pq_core.connector import JobFilter, SyncTransactional, Transactional, WorkerInfo
from pq_core.errors import ConnectorClosed, ForkedConnector, InvalidOption
from pq_core.job import NewJob
from pq_core.memory import InMemoryConnector
from pq_core.outcome import Outcome
from pq_core.states import State

JOB = NewJob(task="t", args={"list": [1]}, metadata={"by": "me"})


def test_both_faces_are_what_the_contract_asks_for(memory: InMemoryConnector) -> None:
    def signature(owner: type, name: str) -> inspect.Signature:
        return inspect.signature(getattr(owner, name))

    for contract, face in ((Transactional, InMemoryConnector), (SyncTransactional, type(memory.sync))):
        verbs = [name for name, _ in inspect.getmembers(contract, inspect.isfunction) if not name.startswith("_")]
        assert len(verbs) > 12
        for name in set(verbs) - {"transaction"}:  # which says what it gives, and gives it at once
            assert signature(contract, name) == signature(face, name), name


def test_a_connector_that_was_never_opened_works(memory: InMemoryConnector) -> None:
    assert [deferred.id for deferred in memory.sync.defer([JOB, JOB])] == [1, 2]


@pytest.mark.anyio
async def test_both_faces_see_the_same_jobs(memory: InMemoryConnector) -> None:
    memory.sync.defer([JOB])
    await memory.defer([JOB])
    assert (await memory.count(JobFilter()))[State.READY] == memory.sync.count(JobFilter())[State.READY] == 2


@pytest.mark.anyio
async def test_a_closed_face_says_so_until_it_is_opened_and_the_other_goes_on(memory: InMemoryConnector) -> None:
    await memory.open()
    await memory.close()
    await memory.close()
    with pytest.raises(ConnectorClosed):
        await memory.defer([JOB])
    with pytest.raises(ConnectorClosed):
        memory.transaction()
    memory.sync.defer([JOB])
    await memory.open()
    await memory.defer([JOB])
    memory.sync.open()
    memory.sync.close()
    with pytest.raises(ConnectorClosed):
        memory.sync.queues()
    memory.sync.open()
    assert len(memory.sync.find(JobFilter())) == 2


@pytest.mark.anyio
async def test_a_face_that_was_never_opened_goes_on_after_a_close(memory: InMemoryConnector) -> None:
    await memory.close()
    memory.sync.close()
    await memory.defer([JOB])
    assert len(memory.sync.find(JobFilter())) == 1


def test_jobs_shows_live_and_ended_ones_in_order_even_of_a_closed_connector(memory: InMemoryConnector) -> None:
    memory.sync.defer([JOB, JOB, JOB])
    memory.sync.cancel([2])
    memory.sync.close()
    states = {number: job.state.value for number, job in memory.jobs.items()}
    assert states == {1: "ready", 2: "cancelled", 3: "ready"}
    assert list(states) == [1, 2, 3]
    assert memory.sync.jobs == memory.jobs


@pytest.mark.anyio
async def test_what_a_reader_or_caller_changes_changes_nothing_stored(memory: InMemoryConnector) -> None:
    args: dict[str, Any] = {"list": [1]}
    await memory.defer([NewJob(task="t", args=args)])
    args["list"].append(2)
    memory.jobs[1].args["list"].append(3)
    await memory.heartbeat(WorkerInfo(id=1), timedelta(hours=1))
    [job] = (await memory.fetch(1, None, 1)).jobs
    job.args["list"].append(4)
    await memory.finish([Outcome.retried(job, ValueError("no"))])
    memory.jobs[1].errors.clear()
    [again] = (await memory.fetch(1, None, 1)).jobs
    assert (again.args, len(again.errors)) == ({"list": [1]}, 1)


def test_reset_forgets_everything_and_starts_the_ids_anew(memory: InMemoryConnector) -> None:
    memory.sync.defer([JOB, JOB])
    memory.sync.cancel([1])
    memory.sync.pause("default")
    memory.reset()
    assert (memory.jobs, memory.sync.queues()) == ({}, [])
    assert memory.sync.defer([JOB])[0].id == 1


def test_the_clock_tells_the_time_unless_the_caller_does(memory: InMemoryConnector, clock: Any) -> None:
    memory.sync.defer([JOB])
    clock.go(seconds=1.000001)
    memory.sync.defer([JOB])
    elsewhere = datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    memory.sync.defer([NewJob(task="t", scheduled_at=elsewhere)], now=elsewhere)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    expected = [start, start + timedelta(seconds=1, microseconds=1), datetime(2030, 1, 1, tzinfo=UTC)]
    assert [job.created_at for job in memory.jobs.values()] == expected
    assert memory.jobs[3].created_at.tzinfo is memory.jobs[3].scheduled_at.tzinfo is UTC


def test_without_a_clock_it_is_now() -> None:
    memory = InMemoryConnector()
    before = datetime.now(UTC)
    memory.sync.defer([JOB])
    assert before <= memory.jobs[1].created_at <= datetime.now(UTC)


def test_a_time_without_a_zone_is_refused(memory: InMemoryConnector) -> None:
    with pytest.raises(InvalidOption, match="no time zone"):
        memory.sync.defer([JOB], now=datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused
    assert memory.jobs == {}


@pytest.mark.anyio
async def test_a_verb_lets_other_tasks_run_and_a_cancelled_one_does_nothing(memory: InMemoryConnector) -> None:
    order: list[str] = []

    async def other() -> None:
        order.append("other")

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        for _ in range(100):
            await memory.queues()
        order.append("hundred verbs")
    assert order == ["other", "hundred verbs"]
    with anyio.CancelScope() as scope:
        scope.cancel()
        await memory.defer([JOB])
    assert memory.jobs == {}


def test_importing_it_brings_in_neither_psycopg_nor_an_event_loop() -> None:
    code = "import sys, pq_core.memory; print([m for m in ('psycopg', 'anyio', 'asyncio', 'trio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"


FORKS = """
import os, sys, threading
from pq_core.memory import InMemoryConnector

def fork():
    for _ in range(25):
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)

memory = InMemoryConnector()
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=fork) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""

if sys.platform != "win32":

    @contextmanager
    def fork() -> Iterator[int]:
        """Give 0 in a child, which ends with the block, and the child's id in the parent, which waits for it."""
        child = os.fork()
        if child:
            yield child
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            return
        code = 1
        try:
            yield child
            code = 0
        finally:
            os._exit(code)

    def test_a_fork_of_a_connector_never_opened_has_a_copy_and_both_go_on(memory: InMemoryConnector) -> None:
        memory.sync.defer([JOB])
        with fork() as child:
            memory.sync.defer([JOB] if child else [JOB, JOB])
            assert len(memory.jobs) == (2 if child else 3)

    def test_threads_that_fork_at_the_same_time_do_not_let_go_of_each_others_store() -> None:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FORKS], capture_output=True, text=True, check=True, timeout=30
        )
        assert done.stderr == ""

    @pytest.mark.parametrize("face", [lambda memory: memory, lambda memory: memory.sync], ids=["async", "sync"])
    def test_in_a_fork_an_opened_connector_says_so_until_it_is_opened_there(
        memory: InMemoryConnector, face: Callable[[InMemoryConnector], Any]
    ) -> None:
        def do(verb: str, *args: object) -> None:
            result = getattr(face(memory), verb)(*args)
            if inspect.iscoroutine(result):
                asyncio.run(result)

        do("open")
        do("defer", [JOB])
        with fork() as child:
            if not child:
                with pytest.raises(ForkedConnector, match="is a fork"):
                    do("defer", [JOB])
                do("open")
            do("defer", [JOB])
            assert list(memory.jobs) == [1, 2]
