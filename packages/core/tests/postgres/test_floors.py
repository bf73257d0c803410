"""A fetch begins where the last ones have ended, and misses nothing that comes to light below.

Floors are called for from the first fetch on here, and no fetch begins at the beginning to find what others missed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, LiteralString

import anyio
import psycopg
import pytest

import pq_core as pq
from pq_core.outcome import Outcome
from pq_core.postgres import PsycopgConnector, floors
from pq_core.postgres.floors import BOTTOM, Floors, Question, cells
from pq_core.selection import JobChanges
from pq_core.worker_info import WorkerInfo
from pq_testing.postgres import server

pytestmark = pytest.mark.anyio

WORKER = WorkerInfo(id=1, name="w")
OTHER = WorkerInfo(id=2, name="other")
LEASE = timedelta(hours=1)
DEAD = 50_000
QUEUES = ["a", "b"]
FLOORED = (
    "select * from pq.fetch(1, array['deep'], 10, null, floor_queues => array['deep'], floor_ends => array[3],"
    " floor_highs => array[32767, 0, -1]::smallint[], floor_lows => array[1, 0, -32768]::smallint[],"
    " floors => array_fill({floor}::bigint, array[3]), risen_since => {since}, due_since => {due})"
)
# Jobs that have run, as an index sees them: ready, or scheduled, then in the hands of a worker, then gone.
RUN = f"""
    set pq.inside = on;
    insert into pq.jobs (queue, task, state, scheduled_at)
        select 'deep', 't', case when g % 5 = 0 then 'scheduled' else 'ready' end, now() - interval '1 minute'
        from generate_series(1, {DEAD}) g;
    update pq.jobs set state = 'ready', risen = txid_current() where state = 'scheduled';
    update pq.jobs set state = 'running', worker = 1, claim = 1, attempt = 1;
    delete from pq.jobs;
"""


def buffers(session: psycopg.Connection[Any], call: str) -> int:
    """Return how many pages a call looks at."""
    row = session.execute(f"explain (analyze, buffers, format json) {call}").fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def test_behind_a_pinned_horizon_no_call_reads_what_has_ended() -> None:
    with server().fresh_database() as dsn:
        PsycopgConnector(dsn).sync.migrate()
        with psycopg.connect(dsn, autocommit=True) as session, psycopg.connect(dsn) as pin:
            session.execute("select pq.heartbeat(1, 'w', null, '{}', 3600)")
            # Plans that were made for an empty table have to do.
            for _ in range(7):
                session.execute(FLOORED.format(floor=0, since=0, due=0))
                session.execute("select pq.fetch(1, array['deep'], 10), pq.rescue()")
            pin.execute("set transaction isolation level repeatable read")
            pin.execute("select 1")
            session.execute(RUN)
            row = session.execute(
                "select last_value, txid_current(), (extract(epoch from now()) * 1000000)::bigint from pq.jobs_id_seq"
            ).fetchone()
            assert row is not None
            floored = FLOORED.format(floor=row[0], since=row[1], due=row[2])
            read = {"an empty fetch": buffers(session, floored)}
            session.execute("insert into pq.jobs (queue, task) select 'deep', 't' from generate_series(1, 20)")
            read["a fetch of 10"] = buffers(session, floored)
            read["a heartbeat"] = buffers(session, "select pq.heartbeat(1, 'w', null, '{}', 3600)")
            read["a rescue"] = buffers(session, "select pq.rescue()")
            read["a finish of 10"] = buffers(
                session,
                f"select pq.finish(array(select {row[0]} + g from generate_series(1, 10) g),"
                " array_fill(1::bigint, array[10]), array_fill('succeeded'::text, array[10]))",
            )
            unfloored = buffers(session, "select * from pq.fetch(1, array['deep'], 10)")
    assert unfloored > DEAD / 50
    assert {what: pages for what, pages in read.items() if pages > 600} == {}
    assert read["an empty fetch"] < 60


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the index entries that each fetch with floors has read."""
    seen: list[int] = []
    learn = Floors.learn

    def spy(self: Floors, question: Question, text: str, jobs: Any) -> float | None:
        seen.append(floors.load(text)["read"])
        return learn(self, question, text, jobs)

    monkeypatch.setattr(Floors, "learn", spy)
    return seen


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let floors be called for at once, move with each fetch, and never be doubted."""
    for name, value in (("MANY_READ", -(10**9)), ("FEW_READ", -(10**9)), ("SETTLING", 0.0), ("NET", 1e9)):
        monkeypatch.setattr(floors, name, value)
    return monkeypatch


@pytest.fixture
async def listening(connector: PsycopgConnector) -> AsyncIterator[PsycopgConnector]:
    """Give a connector with two workers that are known, which seems to listen, and hears of no jobs: it searches."""
    with connector._news.heard():
        for worker in (WORKER, OTHER):
            await connector.heartbeat(worker, LEASE)
        yield connector


async def fetch(connector: PsycopgConnector, queues: list[str] | None = QUEUES) -> list[pq.Job]:
    """Fetch as a worker does: again, while that is what the answer asks for."""
    while True:
        fetched = await connector.fetch(WORKER.id, queues, 10)
        if fetched.jobs or not fetched.again:
            return [*fetched.jobs]


async def work_off(connector: PsycopgConnector, queues: list[str] | None = QUEUES) -> None:
    """Run jobs and look for more, often enough for floors to have passed all of them."""
    for n in range(20):
        await connector.defer([pq.NewJob(task="t", queue=QUEUES[n % 2], priority=n % 3)])
        await connector.finish([Outcome.succeeded(job) for job in await fetch(connector, queues)])


async def test_floors_are_called_for_when_fetches_read_in_vain(
    listening: PsycopgConnector, dsn: str, reads: list[int], session: psycopg.Connection[Any]
) -> None:
    await work_off(listening)
    assert reads == []
    with psycopg.connect(dsn) as pin:
        pin.execute("set transaction isolation level repeatable read")
        pin.execute("select 1")
        session.execute("insert into pq.jobs (queue, task) select 'a', 't' from generate_series(1, 10000)")
        session.execute("set pq.inside = on")
        session.execute("delete from pq.jobs")
        with anyio.fail_after(20):
            while not reads or reads[-1] > 100:
                await work_off(listening)
                await anyio.sleep(floors.SETTLING)
    assert reads[0] > 10_000


async def test_without_listening_there_are_none(
    connector: PsycopgConnector, eager: pytest.MonkeyPatch, reads: list[int]
) -> None:
    await connector.heartbeat(WORKER, LEASE)
    await work_off(connector)
    assert reads == []


@pytest.mark.parametrize("queues", [QUEUES, None])
@pytest.mark.parametrize("patience", [0.0, 1e9])
async def test_a_job_that_is_committed_late_is_found_below_the_floor(
    listening: PsycopgConnector, dsn: str, eager: pytest.MonkeyPatch, patience: float, queues: list[str] | None
) -> None:
    eager.setattr(floors, "LONG", patience)
    with psycopg.connect(dsn) as late:
        (job_id,) = late.execute("select pq.defer('late', queue => 'a', priority => 1::smallint)").fetchone() or ()
        await work_off(listening, queues)
        late.commit()
        (job,) = await fetch(listening, queues)
    assert job.id == job_id
    await work_off(listening, queues)


@pytest.mark.parametrize("patience", [0.0, 1e9])
async def test_jobs_of_a_claim_that_is_rolled_back_are_found_below_the_floor(
    listening: PsycopgConnector, dsn: str, eager: pytest.MonkeyPatch, patience: float
) -> None:
    eager.setattr(floors, "LONG", patience)
    await listening.defer([pq.NewJob(task="t", queue="a") for _ in range(3)])
    with psycopg.connect(dsn) as other:
        assert len(other.execute("select id from pq.fetch(2, array['a'], 3)").fetchall()) == 4
        await work_off(listening)
        other.rollback()
        assert len(await fetch(listening)) == 3


async def _retry(connector: PsycopgConnector, job: pq.Job, _: psycopg.Connection[Any]) -> None:
    await connector.finish([Outcome.retried(job, ValueError("no"))])


async def _release(connector: PsycopgConnector, job: pq.Job, _: psycopg.Connection[Any]) -> None:
    await connector.finish([Outcome.released(job)])


async def _move(connector: PsycopgConnector, job: pq.Job, _: psycopg.Connection[Any]) -> None:
    await connector.finish([Outcome.retried(job, ValueError("no"), queue="b", priority=2)])


async def _wait(connector: PsycopgConnector, job: pq.Job, session: psycopg.Connection[Any]) -> None:
    await connector.finish([Outcome.snoozed(job, timedelta(hours=1))])
    await work_off(connector)
    session.execute("set pq.inside = on")  # It stays scheduled.
    session.execute("update pq.jobs set scheduled_at = clock_timestamp() + interval '10 ms'")
    session.execute("select pg_sleep(0.02)")


async def _leave(connector: PsycopgConnector, job: pq.Job, _: psycopg.Connection[Any]) -> None:
    await connector.leave(WORKER.id)
    await connector.heartbeat(WORKER, LEASE)


async def _lose(connector: PsycopgConnector, job: pq.Job, session: psycopg.Connection[Any]) -> None:
    session.execute("update pq.workers set lease_until = now() where id = 1")
    await connector.rescue()
    await connector.heartbeat(WORKER, LEASE)


async def _revive(connector: PsycopgConnector, job: pq.Job, _: psycopg.Connection[Any]) -> None:
    await connector.finish([Outcome.succeeded(job)])
    await connector.retry([job.id])


async def _edit(connector: PsycopgConnector, job: pq.Job, session: psycopg.Connection[Any]) -> None:
    await connector.finish([Outcome.snoozed(job, timedelta(hours=1))])
    session.execute("update pq.jobs set scheduled_at = now()")


async def _reschedule(connector: PsycopgConnector, job: pq.Job, _: psycopg.Connection[Any]) -> None:
    await connector.finish([Outcome.snoozed(job, timedelta(hours=1))])
    await connector.reschedule([job.id], JobChanges(delay=timedelta(0), priority=1))


async def _unblock(connector: PsycopgConnector, job: pq.Job, _: psycopg.Connection[Any]) -> None:
    await connector.finish([Outcome.retried(job, ValueError("no"), lock="held")])
    first = pq.NewJob(task="t", queue="a", lock="held", priority=9)
    await connector.defer([first])
    (running,) = await fetch(connector)
    await work_off(connector)
    await connector.finish([Outcome.succeeded(running)])


async def _resume(connector: PsycopgConnector, job: pq.Job, _: psycopg.Connection[Any]) -> None:
    await connector.pause(task="old")
    await connector.finish([Outcome.released(job)])
    await work_off(connector)
    await connector.resume(task="old")


Change = Callable[[PsycopgConnector, pq.Job, psycopg.Connection[Any]], Awaitable[None]]
CHANGES: list[Change] = [
    _retry, _release, _move, _wait, _leave, _lose, _revive, _edit, _reschedule, _unblock, _resume,
]  # fmt: skip


@pytest.mark.parametrize("queues", [QUEUES, None])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__.strip("_"))
async def test_a_job_that_becomes_ready_below_the_floor_is_found_by_the_next_fetch(
    listening: PsycopgConnector,
    session: psycopg.Connection[Any],
    eager: pytest.MonkeyPatch,
    change: Change,
    queues: list[str] | None,
) -> None:
    await listening.defer([pq.NewJob(task="old", queue="a")])
    (job,) = await fetch(listening, queues)
    await work_off(listening, queues)
    await change(listening, job, session)
    again = await fetch(listening, queues)
    assert [found.id for found in again] == [job.id]


async def test_a_job_that_moves_by_hand_while_it_is_ready_is_found_where_it_went(
    listening: PsycopgConnector, session: psycopg.Connection[Any], eager: pytest.MonkeyPatch
) -> None:
    (low,) = await listening.defer([pq.NewJob(task="low", queue="a", priority=-5)])
    for _ in range(20):
        await listening.defer([pq.NewJob(task="t", queue="a", priority=2)])
        fetched = await listening.fetch(WORKER.id, ["a"], 1)
        await listening.finish([Outcome.succeeded(job) for job in fetched.jobs])
    await listening.defer([pq.NewJob(task="t", queue="a", priority=1)])
    session.execute("update pq.jobs set priority = 2 where id = %s", (low.id,))
    (job,) = (await listening.fetch(WORKER.id, ["a"], 1)).jobs
    assert job.id == low.id


async def test_more_risen_jobs_than_a_fetch_looks_at_come_in_their_order(
    listening: PsycopgConnector, eager: pytest.MonkeyPatch
) -> None:
    stored = await listening.defer([pq.NewJob(task="t", queue="a", priority=n % 5) for n in range(1500)])
    await work_off_all(listening, stop_at=0)
    await listening.retry([each.id for each in stored])
    got = [(job.priority, job.id) for job in await work_off_all(listening, stop_at=1500)]
    assert got == sorted(got, key=lambda place: (-place[0], place[1]))


async def work_off_all(connector: PsycopgConnector, stop_at: int) -> list[pq.Job]:
    """Run all jobs, then look until floors are above them; return those that ran."""
    ran: list[pq.Job] = []
    while jobs := [*(await connector.fetch(WORKER.id, ["a"], 100)).jobs]:
        ran += jobs
        await connector.finish([Outcome.succeeded(job) for job in jobs])
    assert not stop_at or len(ran) == stop_at
    for _ in range(5):
        assert not (await connector.fetch(WORKER.id, ["a"], 100)).jobs
    return ran


async def test_ids_that_begin_anew_are_found(
    listening: PsycopgConnector, session: psycopg.Connection[Any], eager: pytest.MonkeyPatch
) -> None:
    await work_off(listening)
    session.execute("truncate pq.jobs restart identity")
    (stored,) = await listening.defer([pq.NewJob(task="t", queue="a")])
    assert [job.id for job in await fetch(listening)] or [job.id for job in await fetch(listening)] == [stored.id]


BLOCKERS = "select pg_blocking_pids(%s)"
LATE = {
    "a key": "select pq.defer('old', queue => 'a', unique_key => 'k', on_conflict => 'skip')",
    "a key, for later": "select pq.defer('old', queue => 'a', unique_key => 'k', on_conflict => 'skip',"
    " delay => '0.3 s')",
    "a key among many": "select pq.defer_many('{old}', array['{}'], '{a}', '{0}', '{null}', '{ordered}', '{null}',"
    " '{0}', '{3}', array['{}'], unique_keys => '{k}', on_conflicts => '{skip}')",
    "another time": "select pq.reschedule(array[1], delay => 0.3)",
    "the end of a run": "select pq.finish('{1}', '{1}', '{snoozed}', delays => '{0.3}')",
}


@pytest.mark.parametrize("what", LATE)
async def test_a_statement_that_waits_has_its_number_before_ids_and_times_are_given_out(
    listening: PsycopgConnector, dsn: str, session: psycopg.Connection[Any], eager: pytest.MonkeyPatch, what: str
) -> None:
    session.execute("alter function pq.finish set lock_timeout = '20s'")
    later = what == "another time"
    await listening.defer([pq.NewJob(task="old", queue="a", delay=timedelta(hours=later))])
    jobs = await fetch(listening)
    if not later and what != "the end of a run":
        await listening.finish([Outcome.succeeded(job) for job in jobs])
    with psycopg.connect(dsn) as first, psycopg.connect(dsn) as late:
        first.execute("select from pq.jobs where id = 1 for update")
        first.execute("select pq.defer('first', queue => 'a', unique_key => 'k')")
        waiting = threading.Thread(target=late.execute, args=(LATE[what],))
        waiting.start()
        with anyio.fail_after(20):
            while session.execute(BLOCKERS, (late.info.backend_pid,)).fetchone() == ([],):  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.01)
        session.execute("select pg_sleep(0.35)")  # What is due by then is passed, too.
        await work_off(listening)
        first.rollback()
        waiting.join(20)
        await work_off(listening)
        late.commit()
    session.execute("select pg_sleep(0.01)")
    assert [job.task for job in await fetch(listening)] == ["old"]


@pytest.mark.parametrize("delay", [0.0, 0.01])
async def test_a_job_that_is_in_hands_when_a_floor_is_confirmed_is_found_when_they_let_go(
    listening: PsycopgConnector, dsn: str, eager: pytest.MonkeyPatch, delay: float
) -> None:
    eager.setattr(floors, "LONG", 1e9)
    with psycopg.connect(dsn) as late:
        late.execute(
            "select pq.defer('late', queue => 'a', delay => %s * interval '1 s'), pg_sleep(%s)", (delay, delay)
        )
        await work_off(listening)
        late.commit()
    with psycopg.connect(dsn) as other:
        other.execute("select from pq.jobs where task = 'late' for update")
        for _ in range(3):
            assert not (await listening.fetch(WORKER.id, QUEUES, 10)).jobs
    assert [job.task for job in await fetch(listening)] == ["late"]


async def test_a_candidate_that_another_worker_has_left_is_found(
    listening: PsycopgConnector, dsn: str, eager: pytest.MonkeyPatch
) -> None:
    eager.setattr(floors, "LONG", 1e9)
    with psycopg.connect(dsn) as late:
        late.execute("select pq.defer('x', queue => 'a', priority => 1::smallint), pq.defer('y', queue => 'b')")
        await work_off(listening)
        late.commit()
    with psycopg.connect(dsn) as other:
        claimed = other.execute("select task from pq.fetch(2, array['a', 'b'], 1) where id is not null").fetchall()
        for _ in range(3):
            await listening.fetch(WORKER.id, QUEUES, 10)
    assert claimed == [("x",)]
    assert [job.task for job in await fetch(listening)] == ["y"]


@pytest.mark.parametrize("change", ["defer", "retry", "claim"])
async def test_a_long_transaction_that_ends_before_an_older_one_is_noticed(
    listening: PsycopgConnector, dsn: str, eager: pytest.MonkeyPatch, change: str
) -> None:
    eager.setattr(floors, "LONG", 0.0)
    stored = await listening.defer([pq.NewJob(task="old", queue="a") for _ in range(2)])
    if change != "claim":
        await listening.finish([Outcome.succeeded(job) for job in await fetch(listening)])
    with psycopg.connect(dsn) as older, psycopg.connect(dsn) as late:
        older.execute("select txid_current()")
        if change == "defer":
            late.execute("select pq.defer('old', queue => 'a')")
        elif change == "retry":
            late.execute("select pq.retry(%s)", ([each.id for each in stored],))
        else:
            late.execute("select pq.fetch(2, array['a'], 2)")
        await work_off(listening)
        late.rollback() if change == "claim" else late.commit()
        assert {job.task for job in await fetch(listening)} == {"old"}


IDLE: dict[str, LiteralString] = {
    "defers": "select pq.defer('old', queue => 'a', priority => 1::smallint)",
    "defers for a moment later": "select pq.defer('old', queue => 'a', delay => '10 ms'), pg_sleep(0.02)",
    "retries": "select pq.retry(array[1])",
    "edits": "update pq.jobs set scheduled_at = now() where id = 2",
    "lets go": "select from pq.jobs where id = 3 for update",
}


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("queues", [QUEUES, None])
@pytest.mark.parametrize("what", IDLE)
async def test_floors_rise_past_a_transaction_that_leaves_jobs_alone_and_miss_nothing_that_it_does_later(
    listening: PsycopgConnector,
    dsn: str,
    eager: pytest.MonkeyPatch,
    *,
    what: str,
    queues: list[str] | None,
    at_once: bool,
) -> None:
    eager.setattr(floors, "LONG", 1e9)
    await listening.defer([pq.NewJob(task="old", queue="a")])
    await listening.finish([Outcome.succeeded(job) for job in await fetch(listening)])
    await listening.defer([pq.NewJob(task="old", queue="a", delay=timedelta(hours=1))])
    with psycopg.connect(dsn) as idle:
        idle.execute("select txid_current()")
        if what == "lets go":
            await listening.defer([pq.NewJob(task="old", queue="a")])
            idle.execute(IDLE[what])
        await work_off(listening, queues)
        if what != "lets go":
            kept = listening._floors[None if queues is None else tuple(queues)]
            assert kept._sure is not None
            assert max(floor for line in kept._sure.lines.values() for floor in line.values()) > 10
            idle.execute(IDLE[what])
        if not at_once:
            await work_off(listening, queues)
        idle.commit()
        await anyio.sleep(0.01)
        assert [job.task for job in await fetch(listening, queues)] == ["old"]


async def test_what_has_risen_in_a_paused_queue_waits_until_it_is_resumed(
    listening: PsycopgConnector, eager: pytest.MonkeyPatch
) -> None:
    await listening.defer([pq.NewJob(task="old", queue="a")])
    (job,) = await fetch(listening)
    await work_off(listening)
    await listening.pause("a")
    await listening.finish([Outcome.released(job)])
    assert await fetch(listening) == []
    await listening.resume("a")
    assert [found.id for found in await fetch(listening)] == [job.id]


@pytest.mark.parametrize("jobs", [5, 1200])
async def test_a_fetch_from_the_beginning_forgets_nothing_of_a_paused_queue(
    listening: PsycopgConnector, eager: pytest.MonkeyPatch, jobs: int
) -> None:
    stored = await listening.defer([pq.NewJob(task="t", queue="a") for _ in range(jobs)])
    await work_off_all(listening, stop_at=jobs)
    await listening.defer([pq.NewJob(task="t", queue="b")])
    await listening.pause("a")
    await listening.retry([each.id for each in stored])
    if jobs < 1000:  # for more it begins there by itself
        listening._floors["a",]._next_net = 0.0
    for _ in range(3):
        await listening.fetch(WORKER.id, ["a"], 100)
    await listening.resume("a")
    await work_off_all(listening, stop_at=jobs)


async def test_a_job_that_is_given_more_lives_by_hand_is_found(
    listening: PsycopgConnector, session: psycopg.Connection[Any], eager: pytest.MonkeyPatch
) -> None:
    await listening.defer([pq.NewJob(task="old", queue="c", max_losses=1)])
    await work_off(listening)
    session.execute("set pq.inside = on")
    session.execute("update pq.jobs set queue = 'a'")
    session.execute("set pq.inside = off")
    session.execute("update pq.jobs set max_losses = 3")
    assert [job.task for job in await fetch(listening)] == ["old"]


class Teller:
    """Tells floors what a server might, and the seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.floors = Floors(lambda: self.now)
        self.floors.judge(10**6, 0)

    def fetch(self, takes: float = 0.0, **told: Any) -> tuple[Question, float | None]:
        question = self.floors.ask(["a"])
        assert question is not None
        self.now += takes
        usual = {
            "oldest": 10, "newest": 10, "open": [], "top": 1, "whole": question.start is None, "served": ["a"],
            "due": 1, "stops": None, "risen": None, "read": 10**6,
        }  # fmt: skip
        return question, self.floors.learn(question, json.dumps(usual | told), [])


def test_a_mark_waits_from_the_end_of_one_fetch_to_the_beginning_of_another() -> None:
    teller = Teller()
    teller.fetch(takes=1.0)
    for _ in range(3):
        question, _ = teller.fetch(takes=1.0)
    assert question.parameters[4] == [-1]
    teller.now += floors.SETTLING
    teller.fetch()
    teller.fetch(top=2)
    assert teller.floors.ask(["a"]).parameters[4] == [1]  # type: ignore[union-attr]


def test_numbers_of_another_server_are_not_compared() -> None:
    teller = Teller()
    teller.fetch()
    assert teller.fetch()[0].start is not None
    teller.fetch(newest=9)
    assert teller.fetch()[0].start is None


def test_a_look_that_has_to_wait_is_not_forgotten(eager: pytest.MonkeyPatch) -> None:
    eager.setattr(floors, "LONG", 0.0)
    teller = Teller()
    for _ in range(4):
        teller.fetch(oldest=8, open=[8, 9])
    assert teller.fetch(oldest=8, open=[8])[1] == 0.0
    question, _ = teller.fetch(takes=2.0, oldest=8, open=[8])
    assert question.sure
    teller.fetch(oldest=8, newest=12, open=[8, 11])
    teller.fetch(oldest=8, newest=12, open=[8, 11])
    teller.fetch(oldest=8, newest=12, open=[8, 11])
    assert teller.fetch(oldest=8, newest=12, open=[8])[1] == 2.0 * floors.LOOK_SHARE
    teller.now += 2.0 * floors.LOOK_SHARE
    assert teller.fetch(oldest=8, newest=12, open=[8])[0].sure


def test_a_queue_is_read_by_its_priorities_and_what_lies_between() -> None:
    assert cells([BOTTOM]) == [[1], [32767], [-32768], [-1]]
    assert cells([{None: 3, 5: 9, 4: 8}, {None: 1, 32767: 2, -32768: 4}]) == [
        [4, 7],
        [32767, 5, 4, 3, 32767, 32766, -32768],
        [6, 5, 4, -32768, 32767, -32767, -32768],
        [3, 9, 8, 3, 2, 1, 4],
    ]
