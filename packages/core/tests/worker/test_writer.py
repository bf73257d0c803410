"""Outcomes reach the store: together, in spite of it, and once."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import anyio
import pytest

import pq_core as pq
from pq_core.connector import WorkerInfo
from pq_core.outcome import Outcome
from pq_core.worker import writer as writer_module
from pq_core.worker.backoff import Backoff
from pq_core.worker.journal import Journal
from pq_core.worker.writer import Writer

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "Backoff", lambda: Backoff(first=0.001, longest=0.002))


@pytest.fixture
def writer(troubled: Any, anyio_backend: str) -> Writer:
    return Writer(troubled, batch=10, patience=0.2, journal=Journal("w"), written=lambda: None)


async def claimed(store: Any, count: int) -> list[pq.Job]:
    await store.defer([pq.NewJob(task="t") for _ in range(count)])
    await store.inner.heartbeat(WorkerInfo(id=1), timedelta(hours=1))
    return list((await store.inner.fetch(1, None, count)).jobs)


def states(memory: pq.InMemoryConnector) -> list[str]:
    return [str(job.state) for job in memory.jobs.values()]


async def flushed(writer: Writer) -> None:
    with anyio.fail_after(10):
        await writer.flush()


async def test_whatever_waits_is_written_together(troubled: Any, writer: Writer, memory: pq.InMemoryConnector) -> None:
    for job in await claimed(troubled, 23):
        writer.put(Outcome.succeeded(job))
    await flushed(writer)
    assert [len(outcomes) for (outcomes,) in troubled.calls["finish"]] == [10, 10, 3]
    assert states(memory) == ["succeeded"] * 23


async def test_a_finish_that_is_never_answered_is_tried_again(
    troubled: Any, writer: Writer, memory: pq.InMemoryConnector
) -> None:
    async def hang_at_first(*_: object) -> None:
        if len(troubled.calls["finish"]) == 1:
            await anyio.sleep_forever()

    troubled.before["finish"] = hang_at_first
    for job in await claimed(troubled, 3):
        writer.put(Outcome.succeeded(job))
    await flushed(writer)
    assert states(memory) == ["succeeded"] * 3


@pytest.mark.parametrize(
    "fault",
    [pq.ConnectionFailed("away"), pq.SchemaMissing("migrating"), OSError("reset"), pq.ConnectorClosed("closed")],
    ids=repr,
)
async def test_while_the_store_is_away_outcomes_wait_whole(
    troubled: Any, writer: Writer, memory: pq.InMemoryConnector, fault: Exception
) -> None:
    troubled.faults["finish"] = [fault] * 20
    for job in await claimed(troubled, 3):
        writer.put(Outcome.succeeded(job))
    await flushed(writer)
    assert {len(outcomes) for (outcomes,) in troubled.calls["finish"]} == {3}
    assert states(memory) == ["succeeded"] * 3


async def test_one_outcome_that_the_store_refuses_does_not_hold_up_the_others(
    troubled: Any, writer: Writer, memory: pq.InMemoryConnector
) -> None:
    jobs = await claimed(troubled, 5)

    async def refuse_the_third(outcomes: list[Outcome]) -> None:
        if any(outcome.job_id == 3 and outcome.result == '"poison"' for outcome in outcomes):
            raise RuntimeError("cannot digest")

    troubled.before["finish"] = refuse_the_third
    for job in jobs:
        writer.put(Outcome.succeeded(job, "poison"))
    await flushed(writer)
    assert states(memory) == ["succeeded", "succeeded", "failed", "succeeded", "succeeded"]
    error = memory.jobs[3].errors[0]
    assert error["type"] == "pq_core.errors.InvalidResult"
    assert "RuntimeError: cannot digest" in error["message"]


async def test_an_outcome_that_meets_a_busy_store_comes_back_unchanged(
    troubled: Any, writer: Writer, memory: pq.InMemoryConnector
) -> None:
    refusals = itertools.count()

    async def hold_the_first(outcomes: list[Outcome]) -> None:
        if any(outcome.job_id == 1 for outcome in outcomes) and next(refusals) < 30:
            raise pq.errors.StoreBusy("locked elsewhere")

    troubled.before["finish"] = hold_the_first
    for job in await claimed(troubled, 3):
        writer.put(Outcome.succeeded(job, "precious"))
    await flushed(writer)
    assert [job.result for job in memory.jobs.values()] == ["precious"] * 3


async def test_an_error_that_the_store_refuses_is_replaced_and_the_retry_stays(
    troubled: Any, writer: Writer, memory: pq.InMemoryConnector
) -> None:
    async def refuse(outcomes: list[Outcome]) -> None:
        if any(outcome.error and outcome.error["message"] == "poison" for outcome in outcomes):
            raise RuntimeError("cannot digest")

    troubled.before["finish"] = refuse
    (job,) = await claimed(troubled, 1)
    writer.put(Outcome.retried(job, ValueError("poison")))
    await flushed(writer)
    assert states(memory) == ["ready"]
    assert "cannot digest" in memory.jobs[1].errors[0]["message"]


async def test_an_outcome_whose_claim_is_not_current_is_logged_and_forgotten(
    troubled: Any, writer: Writer, memory: pq.InMemoryConnector, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = await claimed(troubled, 2)
    await troubled.inner.leave(1)
    await troubled.inner.heartbeat(WorkerInfo(id=2), timedelta(hours=1))
    await troubled.inner.fetch(2, None, 1)
    for job in jobs:
        writer.put(Outcome.succeeded(job))
    await flushed(writer)
    assert states(memory) == ["running", "ready"]
    assert [record.job["id"] for record in caplog.records if record.action == "outcome_lost"] == [1, 2]


async def test_an_answer_that_was_lost_costs_nothing(
    troubled: Any, writer: Writer, memory: pq.InMemoryConnector
) -> None:
    troubled.answers_lost["finish"] = [pq.ConnectionFailed("cut off")]
    for job in await claimed(troubled, 2):
        writer.put(Outcome.succeeded(job, "kept"))
    await flushed(writer)
    assert writer.unwritten == 0
    assert [job.result for job in memory.jobs.values()] == ["kept"] * 2


async def test_outcomes_that_come_while_a_batch_is_being_written_go_with_the_next(
    troubled: Any, writer: Writer, memory: pq.InMemoryConnector
) -> None:
    first, second, third = await claimed(troubled, 3)

    async def more_come(outcomes: list[Outcome]) -> None:
        if outcomes[0].job_id == 1:
            writer.put(Outcome.succeeded(second))
            writer.put(Outcome.succeeded(third))

    troubled.before["finish"] = more_come
    writer.put(Outcome.succeeded(first))
    await flushed(writer)
    assert [len(outcomes) for (outcomes,) in troubled.calls["finish"]] == [1, 2]
    assert states(memory) == ["succeeded"] * 3
