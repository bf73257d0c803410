"""Transactional jobs in memory: what they defer and their end come true together, under both event loops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import anyio
import pytest

import pq_core as pq

pytestmark = pytest.mark.anyio
Drain = Callable[..., Awaitable[None]]


def pair(app: pq.App, work: Callable[[pq.JobContext], Any], **options: Any) -> list[Any]:
    """Make a sync and an async task that do the same."""

    @app.task(name="sync", pass_context=True, delivery="transactional", **options)
    def sync(context: pq.JobContext) -> Any:
        return work(context)

    @app.task(name="async", pass_context=True, delivery="transactional", **options)
    async def async_(context: pq.JobContext) -> Any:
        await anyio.lowlevel.checkpoint()
        return work(context)

    return [sync, async_]


async def test_what_a_job_defers_is_there_when_it_has_ended_and_not_before(app: pq.App, drain: Drain) -> None:
    seen: list[int] = []

    @app.task(name="next")
    def following() -> None: ...

    def work(context: pq.JobContext) -> str:
        following.configure(connection=context.connection).defer()
        seen.append(len(app.jobs.find(task="next")))
        return "done"

    for task in pair(app, work):
        number = task.defer()
        await drain()
        assert (app.jobs.get(number).state, app.jobs.get(number).result) == ("succeeded", "done")
    assert seen == [0, 1]
    assert len(app.jobs.find(task="next", state="succeeded")) == 2


async def test_what_a_job_that_fails_has_deferred_never_was(app: pq.App, drain: Drain) -> None:
    @app.task(name="next")
    def following() -> None: ...

    def work(context: pq.JobContext) -> None:
        following.configure(connection=context.connection).defer()
        raise ValueError

    for task in pair(app, work, retry=2):
        number = task.defer()
        await drain()
        assert (app.jobs.get(number).state, app.jobs.get(number).attempt) == ("failed", 2)
    assert app.jobs.find(task="next") == []


async def test_the_first_runner_of_a_job_that_others_have_by_now_commits_nothing(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task(name="next")
    def following() -> None: ...

    def work(context: pq.JobContext) -> None:
        following.configure(connection=context.connection).defer()
        if context.job.claim == 1:
            memory._engine.store.live[context.job.id].claim = 7  # as if it had been rescued and fetched

    for task in pair(app, work):
        number = task.defer()
        await drain()
        assert (app.jobs.get(number).state, app.jobs.get(number).claim) == ("ready", 7)
        app.jobs.cancel([number])
    assert app.jobs.find(task="next") == []
    assert [record.outcome for record in caplog.records if getattr(record, "action", "") == "outcome_lost"] == [  # type: ignore[attr-defined]
        "succeeded",
        "succeeded",
    ]


async def test_a_store_that_is_busy_at_the_commit_sends_the_job_back(
    app: pq.App, troubled: Any, drain: Drain, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pq_core.worker.transactional.PAUSES", (0.0, 0.0))
    monkeypatch.setattr("pq_core.worker.transactional.REST", timedelta(0))
    _, task = pair(app, lambda context: context.job.claim)
    troubled.faults["finish"] = [pq.StoreBusy("held elsewhere")] * 3
    number = task.defer()
    await drain()
    job = app.jobs.get(number)
    assert (job.state, job.attempt, job.result) == ("succeeded", 1, 2)
    assert [record for record in caplog.records if getattr(record, "action", "") == "transaction_undone"]


async def test_a_job_whose_transaction_cannot_be_begun_goes_back_unrun(
    app: pq.App, troubled: Any, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pq_core.worker.transactional.REST", timedelta(0))
    runs: list[int] = []
    _, task = pair(app, lambda context: runs.append(context.job.claim))
    begin, away = troubled.inner.transaction, [pq.ConnectionFailed("away")]

    def transaction() -> Any:
        if away:
            raise away.pop()
        return begin()

    monkeypatch.setattr(troubled, "transaction", transaction)
    number = task.defer()
    await drain()
    assert (app.jobs.get(number).state, app.jobs.get(number).attempt) == ("succeeded", 1)
    assert runs == [2]


async def test_in_memory_nothing_can_be_asked_of_the_connection_but_to_defer(app: pq.App, drain: Drain) -> None:
    for task in pair(app, lambda context: context.connection.execute("select 1")):
        number = task.defer()
        await drain()
        (error,) = app.jobs.get(number).errors
        assert error["type"] == "pq_core.errors.WrongConnection"
        assert '@pytest.mark.pq(backend="postgres")' in error["message"]


async def test_who_waits_for_the_lock_of_a_job_runs_as_soon_as_its_transaction_has_ended(
    app: pq.App, drain: Drain
) -> None:
    running: set[int] = set()

    def work(context: pq.JobContext) -> None:
        assert not running
        running.add(context.job.id)
        running.remove(context.job.id)

    for task in pair(app, work, lock="l"):
        numbers = [task.defer() for _ in range(3)]
        await drain(poll_interval=60)
        assert {app.jobs.get(number).state for number in numbers} == {"succeeded"}


async def test_middleware_is_part_of_the_transaction(memory: pq.InMemoryConnector, drain: Drain, app: pq.App) -> None:
    @app.task(name="next")
    def following() -> None: ...

    def deferring(call_next: Callable[[], Any], context: pq.JobContext) -> Any:
        following.configure(connection=context.connection).defer()
        call_next()
        raise ValueError

    @app.task(name="sync", delivery="transactional", middleware=[deferring])
    def sync() -> None: ...

    number = sync.defer()
    await drain()
    assert memory.jobs[number].state == "failed"
    assert app.jobs.find(task="next") == []


async def test_a_job_in_a_transaction_counts_as_current_context(app: pq.App, drain: Drain) -> None:
    def work(context: pq.JobContext) -> bool:
        current = pq.current_context()
        return current is not None and current.connection is context.connection

    for task in pair(app, work):
        number = task.defer()
        await drain()
        assert app.jobs.get(number).result is True


class WithoutTransactions:
    """As much of a connector as an app looks at."""

    sync = None

    def defer(self) -> None: ...


def declare(app: pq.App) -> None:
    app.task(name="t", delivery="transactional")(lambda: None)


def include(app: pq.App) -> None:
    blueprint = pq.Blueprint()
    blueprint.task(name="t", delivery="transactional")(lambda: None)
    app.add_tasks_from(blueprint)


def declare_in_what_is_included(app: pq.App) -> None:
    blueprint = pq.Blueprint()
    app.add_tasks_from(blueprint)
    blueprint.task(name="t", delivery="transactional")(lambda: None)


@pytest.mark.parametrize("how", [declare, include, declare_in_what_is_included])
async def test_a_transactional_task_is_refused_where_there_are_no_transactions(how: Callable[[pq.App], None]) -> None:
    app = pq.App(connector=WithoutTransactions())  # type: ignore[arg-type]
    with pytest.raises(
        pq.InvalidOption, match="'t' has the delivery 'transactional', and a WithoutTransactions has no"
    ):
        how(app)
    assert len(app.tasks) == 0


async def test_a_connector_without_transactions_does_not_replace_one_that_tasks_need(app: pq.App) -> None:
    declare(app)
    with (
        pytest.raises(pq.InvalidOption, match="WithoutTransactions"),
        app.replace_connector(WithoutTransactions()),  # type: ignore[type-var]
    ):
        pass
