"""Jobs that run, are not known to have run, and run again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import psycopg
import pytest

import pq_core as pq
from pq_testing import Clock, RunJobs
from pq_testing.chaos.redeliver import NotIdempotent
from pq_testing.disturbances import Chaos
from pq_testing.postgres import fresh_database, server
from pq_testing.swap import using

REDELIVER = Chaos(redeliver=True, replay="pytest test_shop.py --pq-chaos=redeliver --pq-seed=7")

HOW = "redelivered (its worker died after the job ended, before that was written)"


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.InMemoryConnector())


@pytest.fixture
def run_jobs(app: pq.App) -> Iterator[RunJobs]:
    with using(app, chaos=REDELIVER) as run_jobs:
        yield run_jobs


@pytest.fixture
def orders() -> dict[int, dict[str, int]]:
    return {7: {"charged": 0}, 8: {"charged": 0}}


@pytest.fixture(params=["sync", "asyncio", "trio"])
def drain(run_jobs: RunJobs, request: pytest.FixtureRequest) -> Callable[..., Any]:
    if request.param == "sync":
        return run_jobs
    return lambda: anyio.run(run_jobs.run_async, backend=request.param)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_charge_that_is_not_idempotent_is_found(
    app: pq.App, run_jobs: RunJobs, drain: Any, orders: Any, is_async: bool
) -> None:
    def charge(order: int) -> None:
        orders[order]["charged"] += 1

    async def charge_async(order: int) -> None:
        await anyio.lowlevel.checkpoint()
        charge(order)

    task = app.task(name="charge")(charge_async if is_async else charge)
    run_jobs.effects.watch(orders)
    task.defer(order=7)

    with pytest.raises(NotIdempotent) as caught:
        drain()

    assert str(caught.value).splitlines() == [
        f"charge(order=7) is not idempotent: {HOW}, it changed",
        "  orders[7]['charged'] 1 → 2",
        "Its first run had changed orders[7]['charged'] 0 → 1.",
        "Replay: pytest test_shop.py --pq-chaos=redeliver --pq-seed=7",
    ]
    assert isinstance(caught.value, AssertionError)
    assert orders[7]["charged"] == 2


def test_an_idempotent_job_passes(app: pq.App, run_jobs: RunJobs, drain: Any, orders: Any) -> None:
    @app.task(name="charge")
    def charge(order: int) -> None:
        orders[order]["charged"] = 1

    run_jobs.effects.watch(orders)
    charge.defer(order=7)

    report = drain()

    assert report.names == ["charge"]
    job = run_jobs.deferred.one(charge)
    assert (job.state, job.losses, job.attempt) == (pq.State.SUCCEEDED, 1, 2)


def test_every_finding_of_a_drain_is_told_after_everything_ran(app: pq.App, run_jobs: RunJobs, orders: Any) -> None:
    @app.task(name="charge")
    def charge(order: int) -> None:
        orders[order]["charged"] += 1

    @app.task(name="close")
    def close() -> None:
        orders["closed"] = True

    run_jobs.effects.watch(orders)
    charge.defer(order=7)
    charge.defer(order=8)
    close.defer()

    with pytest.raises(NotIdempotent) as caught:
        run_jobs()

    assert [finding.job.args for finding in caught.value.findings] == [{"order": 7}, {"order": 8}]
    assert str(caught.value).count("Replay") == 1
    assert orders["closed"]


def test_of_many_findings_the_first_are_told_and_the_rest_counted(app: pq.App, run_jobs: RunJobs) -> None:
    sent: list[int] = []

    @app.task(name="send")
    def send(n: int) -> None:
        sent.extend(range(n))

    run_jobs.effects.watch(sent)
    for n in range(25):
        send.defer(n=n)
    with pytest.raises(NotIdempotent) as caught:
        run_jobs()
    assert len(caught.value.findings) == 24
    lines = str(caught.value).splitlines()
    assert lines[-2] == "… and 14 more jobs that are not idempotent."
    assert sum("is not idempotent" in line for line in lines) == 10


def test_without_watches_the_test_sees_the_double_effect(app: pq.App, run_jobs: RunJobs, orders: Any) -> None:
    @app.task(name="charge")
    def charge(order: int) -> None:
        orders[order]["charged"] += 1

    charge.defer(order=7)
    assert len(run_jobs()) == 1
    assert orders[7]["charged"] == 2


def test_errors_that_are_only_recorded_do_not_hide_findings(app: pq.App, run_jobs: RunJobs, orders: Any) -> None:
    @app.task(name="charge")
    def charge(order: int) -> None:
        orders[order]["charged"] += 1

    run_jobs.effects.watch(orders)
    charge.defer(order=7)
    with pytest.raises(NotIdempotent):
        run_jobs(on_error="record")


def test_a_job_that_fails_is_raised_once_and_counted_once(app: pq.App, run_jobs: RunJobs, drain: Any) -> None:
    runs = []

    @app.task(name="charge")
    def charge() -> None:
        runs.append(1)
        raise LookupError("no such order")

    charge.defer()
    with pytest.raises(LookupError) as caught:
        drain()
    assert not getattr(caught.value, "__notes__", [])
    assert len(runs) == 2
    assert [run.kind for run in run_jobs.harness.ledger.runs] == ["failed"]


def test_what_is_done_only_when_the_first_run_failed_is_no_finding(app: pq.App, run_jobs: RunJobs, orders: Any) -> None:
    runs = []

    @app.task(name="charge")
    def charge(order: int) -> None:
        runs.append(order)
        if len(runs) == 1:
            raise ConnectionError("the bank is away")
        orders[order]["charged"] += 1

    run_jobs.effects.watch(orders)
    charge.defer(order=7)
    assert run_jobs().names == ["charge"]


def test_what_a_failing_run_had_done_and_the_second_does_again_is_a_finding(
    app: pq.App, run_jobs: RunJobs, orders: Any
) -> None:
    runs = []

    @app.task(name="charge")
    def charge(order: int) -> None:
        orders[order]["charged"] += 1
        runs.append(order)
        if len(runs) == 1:
            raise ConnectionError("the mail server is away")
        orders[order]["mailed"] = 1

    run_jobs.effects.watch(orders)
    charge.defer(order=7)
    with pytest.raises(NotIdempotent) as caught:
        run_jobs()
    ((finding,),) = [each.changes for each in caught.value.findings]
    assert str(finding) == "orders[7]['charged'] 1 → 2"


def test_an_error_that_comes_of_the_redelivery_says_so(app: pq.App, run_jobs: RunJobs, orders: Any) -> None:
    @app.task(name="charge")
    def charge(order: int) -> None:
        if orders[order]["charged"]:
            raise ValueError("already charged")
        orders[order]["charged"] = 1

    charge.defer(order=7)
    with pytest.raises(ValueError, match="already charged") as caught:
        run_jobs()
    (note,) = caught.value.__notes__
    assert note == (
        "charge(order=7) raised this when it was redelivered: its first run had succeeded, then its worker died before "
        "that was written. Replay: pytest test_shop.py --pq-chaos=redeliver --pq-seed=7"
    )


def test_an_error_that_ends_the_drain_carries_its_findings(app: pq.App, run_jobs: RunJobs, orders: Any) -> None:
    @app.task(name="charge")
    def charge(order: int) -> None:
        orders[order]["charged"] += 1

    @app.task(name="fail")
    def fail() -> None:
        raise LookupError("no such order")

    run_jobs.effects.watch(orders)
    charge.defer(order=7)
    fail.defer()
    with pytest.raises(LookupError) as caught:
        run_jobs()
    assert "orders[7]['charged'] 1 → 2" in caught.value.__notes__[0]


@pytest.mark.parametrize("max_losses, runs", [(1, 1), (2, 2), (3, 2)])
def test_a_job_is_redelivered_once_unless_the_loss_would_end_it(
    app: pq.App, run_jobs: RunJobs, max_losses: int, runs: int
) -> None:
    seen = []

    @app.task(name="work", max_losses=max_losses)
    def work() -> None:
        seen.append(1)

    work.defer()
    assert len(run_jobs().succeeded) == 1
    assert len(seen) == runs


def test_a_job_that_runs_at_most_once_is_not_redelivered(app: pq.App, run_jobs: RunJobs) -> None:
    seen = []

    @app.task(name="work", delivery="at_most_once")
    def work() -> None:
        seen.append(1)

    work.defer()
    assert len(run_jobs().succeeded) == 1
    assert len(seen) == 1


@pytest.mark.parametrize("say,kind", [("snooze", "snoozed"), ("cancel", "cancelled"), ("retry", "retried")])
def test_what_a_redelivered_job_says_counts_once(app: pq.App, run_jobs: RunJobs, say: str, kind: str) -> None:
    seen = []

    @app.task(name="work", pass_context=True)
    def work(context: pq.JobContext) -> None:
        seen.append(context.job.losses)
        if say == "cancel":
            context.cancel("enough")
        elif say == "snooze":
            context.snooze(3600)
        context.retry(schedule_in=3600)

    work.defer()
    assert [run.kind for run in run_jobs()] == [kind]
    assert seen == [0, 1]


def test_retries_are_not_redelivered(app: pq.App, run_jobs: RunJobs) -> None:
    seen = []

    @app.task(name="work", retry=pq.RetryStrategy(max_attempts=5))
    def work() -> None:
        seen.append(1)
        if len(seen) < 4:
            raise ConnectionError("away")

    work.defer()
    report = run_jobs(until="1d")
    assert [run.kind for run in report] == ["retried", "retried", "succeeded"]
    assert len(seen) == 4


def test_a_job_that_was_cancelled_as_it_ran_stays_so(app: pq.App, run_jobs: RunJobs) -> None:
    seen = []

    @app.task(name="work", pass_context=True)
    def work(context: pq.JobContext) -> None:
        seen.append(1)
        run_jobs.connector.sync.cancel([context.job.id])

    work.defer()
    assert [run.kind for run in run_jobs()] == ["succeeded"]
    assert len(seen) == 1
    assert run_jobs.deferred.one(work).state is pq.State.SUCCEEDED


def test_a_redelivered_job_keeps_its_place_in_its_lock(app: pq.App, run_jobs: RunJobs) -> None:
    seen = []

    @app.task(name="work", lock="account")
    def work(n: int) -> None:
        seen.append(n)

    work.defer(n=1)
    work.defer(n=2)
    run_jobs()
    assert seen == [1, 1, 2, 2]


def test_each_of_several_hands_has_its_jobs_redelivered(app: pq.App, run_jobs: RunJobs, orders: Any) -> None:
    @app.task(name="charge")
    def charge(order: int) -> None:
        orders[order]["charged"] += 1

    run_jobs.effects.watch(orders)
    charge.defer(order=7)
    charge.defer(order=8)
    with pytest.raises(NotIdempotent) as caught:
        run_jobs(workers=2)
    assert sorted(str(change) for each in caught.value.findings for change in each.changes) == [
        "orders[7]['charged'] 1 → 2",
        "orders[8]['charged'] 1 → 2",
    ]


def test_what_changes_while_other_jobs_run_is_nobodys_finding(app: pq.App, run_jobs: RunJobs) -> None:
    done: set[int] = set()

    @app.task(name="work")
    async def work(n: int) -> None:
        for _ in range(7 * n):
            await anyio.lowlevel.checkpoint()
        done.add(n)

    run_jobs.effects.watch(done)
    for n in range(4):
        work.defer(n=n)
    run_jobs(workers=4)
    assert done == {0, 1, 2, 3}


def test_a_second_run_may_come_in_a_later_drain(app: pq.App, run_jobs: RunJobs, orders: Any) -> None:
    @app.task(name="charge")
    def charge(order: int) -> None:
        orders[order]["charged"] += 1
        if orders[order]["charged"] == 1:
            urgent.configure(priority=9).defer()

    @app.task(name="urgent", max_losses=1)
    def urgent() -> None: ...

    run_jobs.effects.watch(orders)
    charge.defer(order=7)
    assert run_jobs(limit=1).names == ["urgent"]
    with pytest.raises(NotIdempotent):
        run_jobs()


@pytest.mark.parametrize("point", range(1, 25))
def test_a_worker_that_dies_in_either_run_keeps_no_job_from_being_judged(app: pq.App, orders: Any, point: int) -> None:
    @app.task(name="charge")
    async def charge(order: int) -> None:
        await anyio.lowlevel.checkpoint()
        orders[order]["charged"] += 1

    with using(app, chaos=Chaos(redeliver=True, crash="everywhere", crash_at=point)) as run_jobs:
        run_jobs.effects.watch(orders)
        charge.defer(order=7)
        with pytest.raises(NotIdempotent):
            run_jobs()
        assert run_jobs.deferred.one(charge).state is pq.State.SUCCEEDED


@pytest.mark.parametrize("seed", range(10))
def test_jobs_in_another_order_are_judged_too(app: pq.App, orders: Any, seed: int) -> None:
    @app.task(name="charge")
    async def charge(order: int) -> None:
        await anyio.lowlevel.checkpoint()
        orders[order]["charged"] += 1

    with using(app, chaos=Chaos(redeliver=True, reorder=True, seed=seed)) as run_jobs:
        run_jobs.effects.watch(orders)
        charge.defer(order=7)
        charge.defer(order=8)
        with pytest.raises(NotIdempotent) as caught:
            run_jobs()
        assert len(caught.value.findings) == 2


class TestDeferredAgain:
    @pytest.fixture
    def charge(self, app: pq.App, orders: Any) -> Any:
        @app.task(name="charge")
        def charge(order: int) -> None:
            orders[order]["charged"] += 1
            send_receipt.defer(order=order)

        @app.task(name="send_receipt", max_losses=1)
        def send_receipt(order: int) -> None: ...

        return charge

    def test_jobs_deferred_again_are_told_beside_a_finding(self, charge: Any, run_jobs: RunJobs, orders: Any) -> None:
        run_jobs.effects.watch(orders)
        charge.defer(order=7)
        with pytest.raises(NotIdempotent) as caught:
            run_jobs()
        assert "  orders[7]['charged'] 1 → 2\nand deferred send_receipt(order=7) again.\n" in str(caught.value)

    def test_they_are_no_finding_by_themselves(self, charge: Any, run_jobs: RunJobs) -> None:
        run_jobs.effects.watch({})
        charge.defer(order=7)
        assert run_jobs().count("send_receipt") == 2

    def test_they_are_one_where_the_test_watches_jobs(self, charge: Any, run_jobs: RunJobs) -> None:
        run_jobs.effects.watch_jobs()
        charge.defer(order=7)
        with pytest.raises(NotIdempotent, match=r"it changed\n  deferred send_receipt\(order=7\) again\n"):
            run_jobs()

    def test_a_job_deferred_once_is_none(self, app: pq.App, run_jobs: RunJobs) -> None:
        @app.task(name="first")
        def first() -> None:
            if not list(run_jobs.deferred.where(queue="other")):
                second.defer()

        @app.task(name="second", queue="other")
        def second() -> None: ...

        run_jobs.effects.watch_jobs()
        first.defer()
        assert run_jobs().names == ["first", "second"]


def install(dsn: str) -> None:
    pq.PsycopgConnector(dsn).sync.migrate()
    with psycopg.connect(dsn) as connection:
        connection.execute("create table orders (id bigint primary key, charged int, updated_at timestamptz)")
        connection.execute("create table outbox (id bigint generated always as identity primary key, msg text)")


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    with fresh_database(template=server().template("toolkit redelivery 1", install)) as dsn:
        yield dsn


@pytest.mark.postgres
class TestOnPostgres:
    @pytest.fixture
    def connection(self, dsn: str) -> Iterator[psycopg.Connection]:
        with psycopg.connect(dsn) as connection:
            connection.execute("insert into orders values (7, 0, now())")
            yield connection
            connection.rollback()
            connection.execute("truncate orders, outbox restart identity")

    @pytest.fixture
    def run_jobs(self, app: pq.App, dsn: str) -> Iterator[RunJobs]:
        clock = Clock()
        connector = pq.PsycopgConnector(dsn, clock=clock.now, min_size=0)
        with using(app, connector=connector, clock=clock, chaos=REDELIVER) as run_jobs:
            yield run_jobs
        connector.sync.close()

    @pytest.fixture
    def charge(self, app: pq.App, connection: psycopg.Connection) -> Any:
        @app.task(name="charge")
        def charge(order: int, *, commit: bool) -> None:
            connection.execute("update orders set charged = charged + 1, updated_at = clock_timestamp() where id = 7")
            connection.execute("insert into outbox (msg) values ('receipt')")
            if commit:
                connection.commit()

        return charge

    EXPECTED = "  orders[7].charged 1 → 2\n  outbox +1 row {'id': 2, 'msg': 'receipt'}\nIts"

    def test_what_was_committed_twice_is_found(
        self, charge: Any, run_jobs: RunJobs, connection: psycopg.Connection, dsn: str
    ) -> None:
        connection.commit()
        with psycopg.connect(dsn) as watching:
            run_jobs.effects.watch_tables("orders", "outbox", connection=watching, ignore=["orders.updated_at"])
            charge.defer(order=7, commit=True)
            with pytest.raises(NotIdempotent) as caught:
                run_jobs()
            assert self.EXPECTED in str(caught.value)
            assert watching.info.transaction_status == psycopg.pq.TransactionStatus.IDLE

    def test_what_was_done_twice_in_the_callers_transaction_is_found(
        self, charge: Any, run_jobs: RunJobs, connection: psycopg.Connection, dsn: str
    ) -> None:
        run_jobs.effects.watch_tables("orders", "outbox", connection=connection, ignore=["orders.updated_at"])
        charge.configure(connection=connection).defer(order=7, commit=False)
        with pytest.raises(NotIdempotent) as caught:
            run_jobs(connection=connection)
        assert self.EXPECTED in str(caught.value)
        assert connection.execute("select charged from orders").fetchall() == [(2,)]
        with psycopg.connect(dsn) as other:
            assert other.execute("select * from orders").fetchall() == []

    def test_what_is_done_twice_is_found_through_an_async_connection(
        self, app: pq.App, run_jobs: RunJobs, dsn: str
    ) -> None:
        async def act() -> None:
            async with await psycopg.AsyncConnection.connect(dsn) as connection:

                @app.task(name="charge_async")
                async def charge_async(order: int) -> None:
                    await connection.execute("update orders set charged = charged + 1 where id = %s", [order])

                await connection.execute("insert into orders values (9, 0)")
                await charge_async.configure(connection=connection).defer_async(order=9)
                run_jobs.effects.watch_tables("orders", connection=connection)
                try:
                    await run_jobs.run_async(connection=connection)
                finally:
                    await connection.rollback()
                    await run_jobs.connector.close()

        with pytest.raises(NotIdempotent, match=r"orders\[9\].charged 1 → 2"):
            asyncio.run(act())
