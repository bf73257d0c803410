"""No job outlives the transaction that it was deferred in."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import pq_core as pq
from pq_core.postgres import PsycopgConnector
from pq_testing import Clock, RunJobs
from pq_testing.errors import WrongBackend
from pq_testing.postgres import fresh_database
from pq_testing.swap import using


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with fresh_database() as dsn:
        connector = PsycopgConnector(dsn)
        connector.sync.migrate()
        connector.sync.close()
        with psycopg.connect(dsn) as connection:
            connection.execute("create table orders (id int)")
        yield dsn


@pytest.fixture
def app() -> pq.App:
    app = pq.App(connector=pq.InMemoryConnector())

    @app.task(name="shop.send_receipt")
    def send_receipt(order: int) -> None: ...

    return app


@pytest.fixture
def memory(app: pq.App) -> Iterator[RunJobs]:
    with using(app) as run_jobs:
        yield run_jobs


@pytest.fixture
def postgres(app: pq.App, dsn: str) -> Iterator[RunJobs]:
    clock = Clock()
    connector = PsycopgConnector(dsn, clock=clock.now)
    with psycopg.connect(dsn, autocommit=True) as eraser:
        for table in ("pq.jobs", "pq.finished_jobs", "orders"):
            eraser.execute(f"delete from {table}")
    with using(app, clock=clock, connector=connector) as run_jobs:
        yield run_jobs
    connector.sync.close()


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def either(request: pytest.FixtureRequest) -> RunJobs:
    run_jobs: RunJobs = request.getfixturevalue(request.param)
    return run_jobs


def defer(run_jobs: RunJobs, order: int, connection: Any = None) -> int:
    return run_jobs.app.tasks["shop.send_receipt"].configure(connection=connection).defer(order=order)


async def defer_async(run_jobs: RunJobs, order: int, connection: Any = None) -> int:
    return await run_jobs.app.tasks["shop.send_receipt"].configure(connection=connection).defer_async(order=order)


def outlived(count: str = "1 job") -> Any:
    return pytest.raises(AssertionError, match=rf"^{count} outlived the rollback")


def breaking() -> Any:
    return pytest.raises(ZeroDivisionError)


def orders(run_jobs: RunJobs) -> list[int]:
    return [job.args["order"] for job in run_jobs.deferred]


def test_a_job_deferred_in_the_transaction_is_gone(either: RunJobs) -> None:
    defer(either, 1)
    with either.rolls_back() as connection:
        defer(either, 2, connection)
    assert orders(either) == [1]


def test_a_job_deferred_outside_of_the_transaction_fails_the_test(either: RunJobs) -> None:
    defer(either, 1)
    with outlived() as failure, either.rolls_back() as connection:
        defer(either, 2, connection)
        stays = defer(either, 3)
    assert str(failure.value) == (
        "1 job outlived the rollback, deferred outside of the transaction; "
        "pass connection= to configure(), as in send_receipt.configure(connection=connection).defer(...):\n"
        "\n"
        f"  job {stays}  shop.send_receipt(order=3)  ready"
    )


def test_many_jobs_are_counted(memory: RunJobs) -> None:
    with outlived("12 jobs") as failure, memory.rolls_back():
        for order in range(12):
            defer(memory, order)
    assert str(failure.value).endswith("job 10  shop.send_receipt(order=9)  ready\n  and 2 more jobs")


def test_an_exception_in_the_block_passes_through_and_the_block_is_taken_back(either: RunJobs) -> None:
    with breaking(), either.rolls_back() as connection:
        defer(either, 1, connection)
        defer(either, 2)
        raise ZeroDivisionError
    assert orders(either) == [2]


def test_a_transaction_of_the_test_keeps_what_it_did_before_the_block(memory: RunJobs) -> None:
    connector: Any = memory.connector
    with connector.transaction() as transaction:
        defer(memory, 1, transaction)
        with memory.rolls_back(transaction) as same:
            assert same is transaction
            defer(memory, 2, transaction)
        defer(memory, 3, transaction)
    assert orders(memory) == [1, 3]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_async_tests_enter_it_too(memory: RunJobs, backend: str) -> None:
    import anyio

    async def test() -> None:
        async with memory.rolls_back() as connection:
            await defer_async(memory, 1, connection)
        with outlived():
            async with memory.rolls_back():
                await defer_async(memory, 2)
        with breaking():
            async with memory.rolls_back() as connection:
                await defer_async(memory, 3, connection)
                raise ZeroDivisionError

    anyio.run(test, backend=backend)
    assert orders(memory) == [2]


def test_in_memory_a_connection_to_a_database_is_refused(memory: RunJobs) -> None:
    with pytest.raises(WrongBackend, match=r'@pytest.mark.pq\(backend="postgres"\)'):
        memory.rolls_back(object()).__enter__()


@pytest.mark.postgres
def test_in_postgres_a_transaction_in_memory_is_refused(postgres: RunJobs) -> None:
    with pytest.raises(WrongBackend, match=r"with run_jobs.rolls_back\(\) as connection"):
        postgres.rolls_back(pq.InMemoryConnector().sync.transaction()).__enter__()


@pytest.mark.postgres
def test_what_is_no_connection_is_refused(postgres: RunJobs) -> None:
    with pytest.raises(pq.WrongConnection, match=r"connection is a builtins\.int; give one of psycopg 3"):
        postgres.rolls_back(7).__enter__()


@pytest.mark.parametrize("awaited", [True, False])
def test_a_connection_of_another_connector_is_rolled_back(app: pq.App, awaited: bool) -> None:
    import asyncio

    rolled_back = []

    class Connection:
        def rollback(self) -> None:
            rolled_back.append(True)

    class AsyncConnection:
        async def rollback(self) -> None:
            rolled_back.append(True)

    with using(app, connector=pq.InMemoryConnector()) as run_jobs:
        run_jobs.harness.backend = "postgres"  # as of any connector that is not pq's in-memory one
        with pytest.raises(pq.WrongConnection, match="does not tell how to connect: give rolls_back"):
            run_jobs.rolls_back().__enter__()
        if awaited:

            async def test() -> None:
                with pytest.raises(pq.WrongConnection, match="write `async with`"):
                    run_jobs.rolls_back(AsyncConnection()).__enter__()
                async with run_jobs.rolls_back(AsyncConnection()):
                    pass

            asyncio.run(test())
        else:
            with run_jobs.rolls_back(Connection()):
                pass
    assert rolled_back == [True]


@pytest.mark.postgres
def test_without_a_transaction_all_of_it_is_rolled_back(postgres: RunJobs, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        with postgres.rolls_back(connection) as same:
            assert same is connection
            connection.execute("insert into orders values (1)")
            defer(postgres, 1, connection)
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    assert orders(postgres) == []


@pytest.mark.postgres
@pytest.mark.parametrize("by_block", [True, False])
def test_a_transaction_of_psycopg_keeps_what_it_did_before_the_block(
    postgres: RunJobs, dsn: str, by_block: bool
) -> None:
    from contextlib import nullcontext

    with psycopg.connect(dsn) as connection, connection.transaction() if by_block else nullcontext():
        connection.execute("insert into orders values (1)")
        with postgres.rolls_back(connection):
            connection.execute("insert into orders values (2)")
            defer(postgres, 1, connection)
        assert connection.execute("select id from orders").fetchall() == [(1,)]
    assert orders(postgres) == []


@pytest.mark.postgres
def test_a_failed_statement_in_the_block_is_taken_back_too(postgres: RunJobs, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into orders values (1)")
        with pytest.raises(psycopg.errors.UndefinedTable), postgres.rolls_back(connection):
            connection.execute("insert into nowhere values (2)")
        assert connection.execute("select id from orders").fetchall() == [(1,)]


@pytest.mark.postgres
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_code_that_rolls_back_by_itself_is_left_alone(postgres: RunJobs, dsn: str, before: bool, again: bool) -> None:
    with psycopg.connect(dsn) as connection:
        if before:
            connection.execute("insert into orders values (1)")
        with postgres.rolls_back(connection):
            defer(postgres, 1, connection)
            connection.rollback()
            if again:
                defer(postgres, 2, connection)
    assert orders(postgres) == []


@pytest.mark.postgres
def test_a_transaction_begun_and_ended_by_statements_is_left_alone(postgres: RunJobs, dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("begin")
        with postgres.rolls_back(connection):
            defer(postgres, 1, connection)
            connection.execute("rollback")
    assert orders(postgres) == []


@pytest.mark.postgres
@pytest.mark.parametrize("before", [True, False])
def test_code_that_commits_is_caught(postgres: RunJobs, dsn: str, before: bool) -> None:
    with psycopg.connect(dsn) as connection:
        if before:
            connection.execute("insert into orders values (1)")
        with outlived(), postgres.rolls_back(connection):
            defer(postgres, 1, connection)
            connection.commit()


@pytest.mark.postgres
def test_a_connection_that_commits_by_itself_is_named(postgres: RunJobs, dsn: str) -> None:
    with (
        psycopg.connect(dsn, autocommit=True) as connection,
        pytest.raises(AssertionError, match="commits each statement by itself"),
        postgres.rolls_back(connection),
    ):
        defer(postgres, 1, connection)


@pytest.mark.postgres
@pytest.mark.parametrize("keep", ["all", "none"])
def test_a_drain_inside_of_the_transaction_leaves_nothing(postgres: RunJobs, dsn: str, keep: Any) -> None:
    @postgres.app.task(name="run_inside", keep=keep)
    def run_inside() -> None: ...

    with psycopg.connect(dsn) as connection:
        connection.execute("select 1")
        with postgres.rolls_back(connection):
            run_inside.configure(connection=connection).defer()
            assert postgres(connection=connection).count() == 1


@pytest.mark.postgres
def test_an_async_connection_wants_async_with(postgres: RunJobs, dsn: str) -> None:
    import asyncio

    async def test() -> None:
        async with await psycopg.AsyncConnection.connect(dsn) as connection:
            with pytest.raises(pq.WrongConnection, match="write `async with`"):
                postgres.rolls_back(connection).__enter__()
            async with postgres.rolls_back(connection):
                await defer_async(postgres, 1, connection)
            await connection.execute("insert into orders values (1)")
            async with postgres.rolls_back(connection):
                await defer_async(postgres, 2, connection)
                await connection.rollback()
                await defer_async(postgres, 3, connection)
            async with postgres.rolls_back() as own:
                await defer_async(postgres, 4, own)
            with outlived():
                async with postgres.rolls_back(connection):
                    await defer_async(postgres, 5)
        assert own.closed
        with breaking():
            async with postgres.rolls_back() as own:
                await defer_async(postgres, 6, own)
                raise ZeroDivisionError
        assert own.closed
        await postgres.connector.close()

    asyncio.run(test())
    assert orders(postgres) == [5]


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["connection", "session", "scoped_session"])
@pytest.mark.parametrize("before", [True, False])
def test_a_transaction_of_sqlalchemy_is_taken_back(postgres: RunJobs, dsn: str, kind: str, before: bool) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    from sqlalchemy.orm import Session, scoped_session, sessionmaker

    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(dsn))
    made = {
        "connection": engine.connect,
        "session": lambda: Session(engine),
        "scoped_session": lambda: scoped_session(sessionmaker(engine)),
    }
    connection: Any = made[kind]()
    insert = sqlalchemy.text("insert into orders values (1)")
    if before:
        connection.execute(insert)
    with postgres.rolls_back(connection):
        connection.execute(insert)
        defer(postgres, 1, connection)
    assert len(connection.execute(sqlalchemy.text("select * from orders")).all()) == before
    with postgres.rolls_back(connection):
        defer(postgres, 2, connection)
        connection.rollback()
    with outlived(), postgres.rolls_back(connection):
        defer(postgres, 3, connection)
        connection.commit()
    connection.close()
    engine.dispose()
    assert orders(postgres) == [3]


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["connection", "session", "scoped_session"])
def test_an_async_transaction_of_sqlalchemy_is_taken_back(postgres: RunJobs, dsn: str, kind: str) -> None:
    import asyncio

    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("greenlet")
    from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine

    async def test() -> None:
        engine = create_async_engine(
            "postgresql+psycopg://", async_creator=lambda: psycopg.AsyncConnection.connect(dsn)
        )
        insert = sqlalchemy.text("insert into orders values (1)")
        made = {
            "connection": engine.connect,
            "session": lambda: AsyncSession(engine),
            "scoped_session": lambda: async_scoped_session(async_sessionmaker(engine), asyncio.current_task),
        }
        connection: Any = made[kind]()
        if kind == "connection":
            await connection
        with pytest.raises(pq.WrongConnection, match="write `async with`"):
            postgres.rolls_back(connection).__enter__()
        for before in (0, 1):
            if before:
                await connection.execute(insert)
            async with postgres.rolls_back(connection):
                await connection.execute(insert)
                await defer_async(postgres, 1, connection)
            assert len((await connection.execute(sqlalchemy.text("select * from orders"))).all()) == before
        with outlived():
            async with postgres.rolls_back(connection):
                await defer_async(postgres, 2, connection)
                await connection.commit()
        await connection.close()
        await engine.dispose()
        await postgres.connector.close()

    asyncio.run(test())
    assert orders(postgres) == [2]


DJANGO = """
import os
import django
from django.conf import settings
from psycopg.conninfo import conninfo_to_dict

given = conninfo_to_dict(os.environ["DSN"])
settings.configure(DATABASES={"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": given["dbname"], "USER": given.get("user", ""),
    "PASSWORD": given.get("password", ""), "HOST": given["host"], "PORT": given.get("port", ""),
}})
django.setup()
import pq_core as pq
from django.db import connection, transaction
from pq_core.postgres import PsycopgConnector
from pq_testing import Clock
from pq_testing.swap import using

app = pq.App(connector=pq.InMemoryConnector())

@app.task(name="send")
def send(order): ...

def place(order, durable=False):
    with transaction.atomic(durable=durable), connection.cursor() as cursor:
        cursor.execute("insert into orders values (%s)", [order])
        send.configure(connection=connection).defer(order=order)
        transaction.on_commit(lambda: send.defer(order=-order))

def placed():
    with connection.cursor() as cursor:
        cursor.execute("select id from orders order by id")
        return [order for (order,) in cursor.fetchall()]

def caught(run_jobs, do):
    try:
        with run_jobs.rolls_back(connection):
            do()
    except AssertionError as error:
        return "1 job outlived" in str(error)
    return False

clock = Clock()
connector = PsycopgConnector(os.environ["DSN"], clock=clock.now)
with using(app, clock=clock, connector=connector) as run_jobs:
    # As without the fixture `db`: no transaction is open.
    assert not caught(run_jobs, lambda: place(1))
    assert not caught(run_jobs, lambda: place(2, durable=True))
    assert placed() == [] and list(run_jobs.deferred) == []
    assert caught(run_jobs, lambda: send.defer(order=3))
    # As in the fixture `db`: each test in a block that is rolled back at its end.
    outer = transaction.atomic()
    outer.__enter__()
    place(4)
    assert not caught(run_jobs, lambda: place(5))
    assert not connection.needs_rollback and len(connection.run_on_commit) == 1
    assert caught(run_jobs, lambda: send.defer(order=6))
    try:
        with run_jobs.rolls_back(connection), connection.cursor() as cursor:
            cursor.execute("select nothing")
    except django.db.ProgrammingError:
        pass
    assert placed() == [4]
    transaction.set_rollback(True)
    outer.__exit__(None, None, None)
    assert placed() == []
    assert [job.args["order"] for job in run_jobs.deferred] == [3, 6]
connector.sync.close()
connection.close()
print("all held")
"""


@pytest.mark.postgres
def test_a_transaction_of_django_is_taken_back(postgres: RunJobs, dsn: str) -> None:
    import os
    import subprocess

    pytest.importorskip("django")
    # Django is configured once in a process.
    ran = subprocess.run(
        [sys.executable, "-c", DJANGO],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
        env={**os.environ, "DSN": dsn},
    )
    assert (ran.stdout, ran.stderr) == ("all held\n", "")
