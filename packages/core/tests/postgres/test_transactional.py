"""Transactional jobs on PostgreSQL: their work and their end are one transaction, of whichever colour."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import anyio
import psycopg
import pytest
import sqlalchemy
from django.db import connections
from django.db import transaction as django_transaction
from sqlalchemy.orm import sessionmaker

import pq_core as pq
from pq_core.connector import JobFilter, WorkerInfo
from pq_core.outcome import Outcome
from pq_core.postgres import PsycopgConnector
from pq_core.postgres.transactions import IDLE

pytestmark = pytest.mark.anyio
LATER = timedelta(hours=1)
Drain = Callable[[], None]


@pytest.fixture
def app(dsn: str) -> Iterator[pq.App]:
    app = pq.App(connector=PsycopgConnector(dsn))
    yield app
    app.close()


@pytest.fixture
def ledger(session: psycopg.Connection) -> Callable[[], list[str]]:
    """Give what jobs have entered into a table of the user's."""
    session.execute("create table public.ledger (entry text unique deferrable initially deferred)")
    return lambda: [entry for (entry,) in session.execute("select entry from ledger order by entry")]


@pytest.fixture
def drain(app: pq.App) -> Drain:
    return lambda: pq.Worker(app, wait=False, install_signal_handlers=False, listen=False).run()


def both_colours(
    app: pq.App, work: Callable[[pq.JobContext, str], Any], **options: Any
) -> list[pq.ContextTask[[str], Any]]:
    """Make two tasks of one function of a context and a text that does its work through :func:`enter`."""

    @app.task(name="sync", pass_context=True, delivery="transactional", **options)
    def sync(context: pq.JobContext, entry: str) -> Any:
        context.connection.execute("insert into ledger values (%s)", [entry])
        return work(context, entry)

    @app.task(name="async", pass_context=True, delivery="transactional", **options)
    async def async_(context: pq.JobContext, entry: str) -> Any:
        await context.connection.execute("insert into ledger values (%s)", [entry])
        result = work(context, entry)
        return await result if hasattr(result, "__await__") else result

    return [sync, async_]


async def no_result(awaitable: Any) -> None:
    await awaitable


async def test_the_work_of_a_job_and_its_end_are_there_together(
    app: pq.App, ledger: Callable[[], list[str]], drain: Drain
) -> None:
    def work(context: pq.JobContext, entry: str) -> str:
        assert ledger() == seen
        return entry.upper()

    seen: list[str] = []
    for task in both_colours(app, work):
        number = task.defer(task.name)
        await anyio.to_thread.run_sync(drain)
        job = app.jobs.get(number)
        assert (job.state, job.result, job.attempt) == ("succeeded", task.name.upper(), 1)
        seen = ledger()
    assert seen == ["async", "sync"]


def fails(_: pq.JobContext, __: str) -> None:
    raise ValueError("it went wrong")


def returns_what_json_cannot_carry(_: pq.JobContext, __: str) -> object:
    return object()


def snoozes(context: pq.JobContext, _: str) -> None:
    context.snooze(3600)


def cancels_itself(context: pq.JobContext, _: str) -> None:
    context.cancel("enough")


@pytest.mark.parametrize(
    "end",
    [
        (fails, "failed", "ValueError"),
        (returns_what_json_cannot_carry, "failed", "pq_core.errors.InvalidResult"),
        (snoozes, "scheduled", None),
        (cancels_itself, "cancelled", None),
    ],
)
async def test_a_run_that_does_not_succeed_leaves_nothing_in_the_database(
    app: pq.App, ledger: Callable[[], list[str]], drain: Drain, end: tuple[Any, str, str | None]
) -> None:
    work, state, error = end
    for task in both_colours(app, work):
        number = task.defer("x")
        await anyio.to_thread.run_sync(drain)
        job = app.jobs.get(number)
        assert (job.state, [each["type"] for each in job.errors]) == (state, [error] if error else [])
    assert ledger() == []


async def test_a_constraint_that_is_checked_at_the_commit_fails_the_job(
    app: pq.App, ledger: Callable[[], list[str]], drain: Drain
) -> None:
    def work(context: pq.JobContext, entry: str) -> Any:
        execution = context.connection.execute("insert into ledger values (%s)", [entry])
        return no_result(execution) if context.task.is_async else None

    for task in both_colours(app, work, retry=2):
        number = task.defer("x")
        await anyio.to_thread.run_sync(drain)
        job = app.jobs.get(number)
        assert job.state == "failed"
        assert [error["type"] for error in job.errors] == ["psycopg.errors.UniqueViolation"] * 2
    assert ledger() == []


async def test_jobs_that_a_job_defers_on_its_connection_share_its_fate(
    app: pq.App, ledger: Callable[[], list[str]], drain: Drain
) -> None:
    @app.task(name="next")
    def following() -> None: ...

    @app.task(name="sync", pass_context=True, delivery="transactional", retry=2)
    def sync(context: pq.JobContext) -> None:
        following.configure(connection=context.connection).defer()
        if context.job.attempt == 1:
            raise ValueError

    @app.task(name="async", pass_context=True, delivery="transactional", retry=2)
    async def async_(context: pq.JobContext) -> None:
        await following.configure(connection=context.connection).defer_async()
        if context.job.attempt == 1:
            raise ValueError

    for task in (sync, async_):
        task.defer()
        await anyio.to_thread.run_sync(drain)
    assert len(app.jobs.find(task="next", state="succeeded")) == 2
    assert ledger() == []


async def test_the_first_runner_of_a_job_that_was_given_to_another_cannot_commit(
    app: pq.App,
    ledger: Callable[[], list[str]],
    drain: Drain,
    session: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def work(context: pq.JobContext, _: str) -> str:
        if context.job.claim == 1:
            session.execute("update jobs set claim = 7 where id = %s", [context.job.id])
        return "late"

    for task in both_colours(app, work):
        number = task.defer("x")
        await anyio.to_thread.run_sync(drain)
        job = app.jobs.get(number)
        assert (job.claim, job.state, job.result) == (7, "ready", None)  # the worker has given it back when it left
        assert ledger() == []
        app.jobs.cancel([number])
    lost = [record for record in caplog.records if getattr(record, "action", "") == "outcome_lost"]
    assert len(lost) == 2


@pytest.mark.parametrize("statement", ["commit", "rollback"])
async def test_a_job_that_ends_its_transaction_by_itself_has_failed_and_is_told_why(
    app: pq.App, drain: Drain, ledger: Callable[[], list[str]], statement: str
) -> None:
    def work(context: pq.JobContext, _: str) -> Any:
        execution = context.connection.execute(statement)
        return no_result(execution) if context.task.is_async else None

    for task in both_colours(app, work):
        number = task.defer(task.name)
        await anyio.to_thread.run_sync(drain)
        (error,) = app.jobs.get(number).errors
        assert "has been ended already" in error["message"]
    assert ledger() == (["async", "sync"] if statement == "commit" else [])


async def test_a_job_that_calls_commit_fails_at_once(
    app: pq.App, drain: Drain, ledger: Callable[[], list[str]]
) -> None:
    for task in both_colours(app, lambda context, _: context.connection.commit()):
        number = task.defer(task.name)
        await anyio.to_thread.run_sync(drain)
        (error,) = app.jobs.get(number).errors
        assert "commit() forbidden" in error["message"]
    assert ledger() == []


async def test_a_job_that_closes_its_connection_has_failed_and_does_not_run_for_ever(
    app: pq.App, drain: Drain, ledger: Callable[[], list[str]]
) -> None:
    for task in both_colours(app, lambda context, _: context.connection.close()):
        number = task.defer(task.name)
        await anyio.to_thread.run_sync(drain)
        job = app.jobs.get(number)
        assert (job.state, "closed its connection" in job.errors[0]["message"]) == ("failed", True)
    assert ledger() == []


async def test_a_job_that_rolls_back_in_secret_has_not_succeeded(
    app: pq.App, drain: Drain, ledger: Callable[[], list[str]]
) -> None:
    def work(_: pq.JobContext, __: str) -> None:
        raise psycopg.Rollback

    for task in both_colours(app, work):
        number = task.defer(task.name)
        await anyio.to_thread.run_sync(drain)
        job = app.jobs.get(number)
        assert (job.state, "has rolled back its transaction" in job.errors[0]["message"]) == ("failed", True)
    assert ledger() == []


async def test_an_error_of_the_database_that_a_job_catches_without_a_savepoint_fails_it(
    app: pq.App, drain: Drain, ledger: Callable[[], list[str]]
) -> None:
    @app.task(name="careless", pass_context=True, delivery="transactional")
    def careless(context: pq.JobContext) -> None:
        with pytest.raises(psycopg.Error):
            context.connection.execute("select 1 / 0")

    @app.task(name="careful", pass_context=True, delivery="transactional")
    def careful(context: pq.JobContext) -> None:
        context.connection.execute("insert into ledger values ('kept')")
        with pytest.raises(psycopg.Error), context.connection.transaction():
            context.connection.execute("select 1 / 0")

    numbers = careless.defer(), careful.defer()
    await anyio.to_thread.run_sync(drain)
    jobs = [app.jobs.get(number) for number in numbers]
    assert [job.state for job in jobs] == ["failed", "succeeded"]
    assert "with connection.transaction()" in jobs[0].errors[0]["message"]
    assert ledger() == ["kept"]


async def test_what_a_job_does_under_another_isolation_level_fails_it(
    app: pq.App, drain: Drain, ledger: Callable[[], list[str]]
) -> None:
    @app.task(name="strict", pass_context=True, delivery="transactional")
    def strict(context: pq.JobContext) -> None:
        context.connection.execute("set transaction isolation level repeatable read")
        context.connection.execute("insert into ledger values ('x')")

    number = strict.defer()
    await anyio.to_thread.run_sync(drain)
    (error,) = app.jobs.get(number).errors
    assert "READ COMMITTED" in error["message"]
    assert ledger() == []


async def test_a_row_that_is_held_elsewhere_for_a_moment_is_waited_for(
    app: pq.App, drain: Drain, ledger: Callable[[], list[str]], dsn: str
) -> None:
    """The outcome needs the row of the job, which somebody else has locked, for longer than one attempt waits."""
    letting_go: list[threading.Timer] = []

    def work(context: pq.JobContext, _: str) -> None:
        holder = psycopg.connect(dsn)
        holder.execute("select from pq.jobs where id = %s for update", [context.job.id])
        letting_go.append(threading.Timer(0.3, holder.close))
        letting_go[-1].start()

    for task in both_colours(app, work):
        number = task.defer(task.name)
        await anyio.to_thread.run_sync(drain)
        assert app.jobs.get(number).state == "succeeded"
        assert app.jobs.get(number).claim == 1
    assert ledger() == ["async", "sync"]


async def test_a_row_that_is_held_elsewhere_for_long_sends_the_job_back(
    app: pq.App, ledger: Callable[[], list[str]], dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    worker = pq.Worker(app, install_signal_handlers=False, listen=False, concurrency=1)

    def work(context: pq.JobContext, _: str) -> None:
        if context.job.claim == 1:
            holder = psycopg.connect(dsn)
            holder.execute("select from pq.jobs where id = %s for update", [context.job.id])
            threading.Timer(1.0, holder.close).start()
            worker.stop()

    task, _ = both_colours(app, work)
    number = task.defer("x")
    await anyio.to_thread.run_sync(worker.run)
    job = app.jobs.get(number)
    assert (job.state, job.attempt, job.claim) == ("scheduled", 0, 1)
    assert [record for record in caplog.records if getattr(record, "action", "") == "transaction_undone"]
    assert ledger() == []


@pytest.mark.parametrize("committed", [True, False])
async def test_a_commit_whose_answer_is_lost_neither_loses_nor_repeats_the_job(
    app: pq.App, ledger: Callable[[], list[str]], drain: Drain, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    runs: list[int] = []
    plain = psycopg.Connection.transaction

    def cut(self: psycopg.Connection[Any], *args: Any, **kwargs: Any) -> Any:
        return Cut(self, plain(self, *args, **kwargs))

    class Cut:
        def __init__(self, connection: Any, block: Any) -> None:
            self.connection, self.block = connection, block

        def __enter__(self) -> Any:
            return self.block.__enter__()

        def __exit__(self, *error: object) -> Any:
            if error[0] is not None or len(runs) > 1:
                return self.block.__exit__(*error)
            if committed:
                self.block.__exit__(*error)
            self.connection.pgconn.finish()
            raise psycopg.OperationalError("the connection is lost")

    monkeypatch.setattr(psycopg.Connection, "transaction", cut)
    monkeypatch.setattr("pq_core.worker.transactional.REST", timedelta(0))

    @app.task(name="once", pass_context=True, delivery="transactional")
    def once(context: pq.JobContext) -> None:
        runs.append(context.job.claim)
        context.connection.execute("insert into ledger values ('once')")

    number = once.defer()
    await anyio.to_thread.run_sync(drain)
    assert app.jobs.get(number).state == "succeeded"
    assert ledger() == ["once"]
    assert runs == ([1] if committed else [1, 2])


async def test_a_worker_that_shuts_down_rolls_back_what_its_jobs_have_begun(
    app: pq.App, ledger: Callable[[], list[str]]
) -> None:
    begun = threading.Event()
    gate = threading.Event()

    async def forever() -> None:
        begun.set()
        await anyio.sleep_forever()

    def work(context: pq.JobContext, _: str) -> Any:
        if context.task.is_async:
            return forever()
        begun.set()
        while not context.should_stop():
            time.sleep(0.001)
        return gate.set()

    for task in both_colours(app, work):
        begun.clear()
        number = task.defer(task.name)
        worker = pq.Worker(app, install_signal_handlers=False, listen=False, graceful_timeout=0)
        thread = threading.Thread(target=worker.run)
        thread.start()
        assert await anyio.to_thread.run_sync(begun.wait, 10)
        worker.stop()
        await anyio.to_thread.run_sync(thread.join)
        job = app.jobs.get(number)
        assert (job.state, job.attempt) == ("ready", 0)
        app.jobs.cancel([number])
    assert ledger() == []


async def test_a_transaction_that_is_held_for_long_is_told_of_once(
    app: pq.App, ledger: Callable[[], list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    def told() -> list[logging.LogRecord]:
        return [record for record in caplog.records if getattr(record, "action", "") == "transaction_long"]

    pids: list[int] = []

    def work(context: pq.JobContext, _: str) -> None:
        pids.append(context.connection.info.backend_pid)
        deadline = time.monotonic() + 10
        while not told() and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.2)

    task, _ = both_colours(app, work)
    number = task.defer("x")
    worker = pq.Worker(app, wait=False, install_signal_handlers=False, listen=False, transaction_warning=0.05)
    await anyio.to_thread.run_sync(worker.run)
    (record,) = told()
    assert (record.backend_pid, record.job["id"]) == (pids[0], number)  # type: ignore[attr-defined]
    assert ledger() == ["x"]


async def test_a_context_of_another_task_has_no_connection_and_says_how_to_get_one(app: pq.App, drain: Drain) -> None:
    @app.task(name="plain", pass_context=True)
    def plain(context: pq.JobContext) -> None:
        context.connection.execute("select 1")

    number = plain.defer()
    await anyio.to_thread.run_sync(drain)
    assert "declare it with delivery='transactional'" in app.jobs.get(number).errors[0]["message"]


async def test_connections_for_transactions_are_none_of_the_pool_and_are_closed_when_nobody_needs_them(
    dsn: str, session: psycopg.Connection
) -> None:
    assert IDLE <= 10
    connector = PsycopgConnector(dsn, max_size=1)
    async with connector.transaction() as one, connector.transaction() as two:
        assert one.info.backend_pid != two.info.backend_pid
        await connector.heartbeat(WorkerInfo(id=1), LATER)  # the only connection of the pool is free
    with connector.sync.transaction() as connection:
        connector.sync.defer([pq.NewJob(task="t")], connection=connection)
    assert (await connector.find(JobFilter()))[0].task == "t"
    pids = [one.info.backend_pid, two.info.backend_pid]
    await connector.close()
    connector.sync.close()
    with anyio.fail_after(10):
        while session.execute("select from pg_stat_activity where pid = any(%s)", [pids]).fetchall():  # noqa: ASYNC110 - the server tells nobody
            await anyio.sleep(0.01)


async def test_an_outcome_is_refused_where_it_would_be_part_of_no_transaction(dsn: str, app: pq.App) -> None:
    app.defer_many([pq.NewJob(task="t")])
    connector: Any = app.connector
    await connector.heartbeat(WorkerInfo(id=1), LATER)
    (job,) = (await connector.fetch(1, None, 1)).jobs
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        with pytest.raises(pq.TransactionRequired):
            await connector.finish([Outcome.succeeded(job)], connection=connection)
    assert (await connector.find(JobFilter(ids=[job.id])))[0].state == "running"
    await connector.close()


async def test_a_job_works_in_a_transaction_that_djangos_orm_is_in(
    dsn: str, django: Any, ledger: Callable[[], list[str]]
) -> None:
    """Django's connection belongs to the thread: so its ORM takes part without being given anything."""

    @contextmanager
    def atomic() -> Iterator[Any]:
        try:
            with django_transaction.atomic(using="jobs"):
                yield connections["jobs"]
        finally:
            connections["jobs"].close()

    app = pq.App(connector=PsycopgConnector(dsn, transactions=atomic))
    given: list[Any] = []

    @app.task(name="enter", pass_context=True, delivery="transactional")
    def enter(context: pq.JobContext, entry: str, fail: bool) -> None:
        given.append(context.connection)
        with connections["jobs"].cursor() as cursor:
            cursor.execute("insert into ledger values (%s)", [entry])
        enter.configure(connection=context.connection, queue="unserved").defer(entry, fail)
        if fail:
            raise ValueError

    numbers = [enter.defer(entry, fail) for entry, fail in (("kept", False), ("lost", True))]
    worker = pq.Worker(app, wait=False, install_signal_handlers=False, listen=False, queues=["default"])
    await anyio.to_thread.run_sync(worker.run)
    assert [app.jobs.get(number).state for number in numbers] == ["succeeded", "failed"]
    assert ledger() == ["kept"]
    assert [job.args["entry"] for job in app.jobs.find(queue="unserved")] == ["kept"]
    assert {type(connection) for connection in given} == {type(django)}
    app.close()


async def test_a_job_works_in_a_transaction_of_a_session(
    dsn: str, engine: sqlalchemy.Engine, ledger: Callable[[], list[str]]
) -> None:
    app = pq.App(connector=PsycopgConnector(dsn, transactions=sessionmaker(engine).begin))

    @app.task(name="enter", pass_context=True, delivery="transactional")
    def enter(context: pq.JobContext, entry: str, fail: bool) -> None:
        context.connection.execute(sqlalchemy.text("insert into ledger values (:entry)"), {"entry": entry})
        if fail:
            raise ValueError

    numbers = [enter.defer(entry, fail) for entry, fail in (("kept", False), ("lost", True))]
    worker = pq.Worker(app, wait=False, install_signal_handlers=False, listen=False)
    await anyio.to_thread.run_sync(worker.run)
    assert [app.jobs.get(number).state for number in numbers] == ["succeeded", "failed"]
    assert ledger() == ["kept"]
    app.close()


async def test_what_begins_no_transaction_is_refused(dsn: str) -> None:
    with pytest.raises(pq.InvalidOption, match="transactions 5 is not a function"):
        PsycopgConnector(dsn, transactions=5)  # type: ignore[arg-type]
