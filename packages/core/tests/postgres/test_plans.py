"""What each function reads of a large table: a small multiple of what it changes, whatever stands beside it.

One table holds every kind of crowd at once. Each call is measured by the rows that it reads, in a transaction that is
rolled back. It is measured three times: with plans made while the table was empty, after it was analyzed, and in a new
session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import psycopg
import pytest

from pq_core.postgres import PsycopgConnector
from pq_testing.postgres import server

READY, LATER, STUCK, RUNNING, LAST_LIFE, QUEUES = 150_000, 50_000, 50_000, 10_000, 20_000, 1_000
WORKER, OTHERS = 1, 7

FILL = f"""
    insert into pq.jobs (queue, task) select 'deep', 't' from generate_series(1, {READY});
    insert into pq.jobs (queue, task, state, scheduled_at)
        select 'later', 't', 'scheduled', now() + g * interval '1 hour' from generate_series(1, {LATER}) g;
    insert into pq.jobs (queue, task, state, worker, claim, attempt, lock)
        select 'busy', 't', 'running', {OTHERS}, 1, 1, 'own ' || g from generate_series(1, {RUNNING}) g;
    insert into pq.jobs (queue, task, lock, state, worker, claim, attempt)
        select 'stuck', 't', 'one', case g when 1 then 'running' else 'blocked' end,
            case g when 1 then {WORKER} end, 1, 1
        from generate_series(1, {STUCK}) g;
    insert into pq.jobs (queue, task, max_losses) select 'last', 't', 1 from generate_series(1, {LAST_LIFE});
    insert into pq.jobs (queue, task) select 'last', 't' from generate_series(1, 1000);
    insert into pq.jobs (queue, task) select 'queue ' || g % {QUEUES}, 't' from generate_series(1, 20 * {QUEUES}) g;
    insert into pq.jobs (queue, task, lock) select 'own locks', 't', 'my ' || g from generate_series(1, 1000) g;
    insert into pq.jobs (queue, task, lock, state)
        select 'long line', 't', 'long', case g when 1 then 'ready' else 'blocked' end
        from generate_series(1, {STUCK}) g;
    insert into pq.jobs (queue, task, lock) select 'no line', 't', 'short ' || g % 10 from generate_series(1, 1000) g;
    insert into pq.finished_jobs select g, 'deep', 't', '{{}}', 0, null, 'ordered', 'failed', 1, 1, 0, 3, now(), now(),
        now(), 1, null, null, '[]', null, null, '{{}}', now() from generate_series(9000001, 9050000) g;
"""


@attrs.frozen
class Reading:
    """The rows that a call gave, and the live ones that it read for that."""

    rows: int
    read: int
    scans: int


@attrs.define
class Meter:
    session: psycopg.Connection[Any]

    def measure(self, call: str, parameters: tuple[object, ...] = (), *before: str) -> Reading:
        with self.session.transaction(force_rollback=True):
            for statement in before:
                self.session.execute(statement)
            scans, read = self._counters()
            rows = len(self.session.execute(f"select * from pq.{call}", parameters).fetchall())
            now_scans, now_read = self._counters()
        return Reading(rows, now_read - read, now_scans - scans)

    def _counters(self) -> tuple[int, int]:
        row = self.session.execute(
            "select sum(seq_scan)::bigint, sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint"
            " from pg_stat_xact_user_tables where relname ~ '^(jobs|finished_jobs)'"
        ).fetchone()
        assert row is not None
        return int(row[0]), int(row[1])


def fetch(queues: list[str] | None, limit: int) -> Callable[[Meter], Reading]:
    return lambda meter: meter.measure("fetch(%s::bigint, %s::text[], %s)", (WORKER, queues, limit))


def finish(first: int, how_many: int, kind: str, *before: str) -> Callable[[Meter], Reading]:
    def call(meter: Meter) -> Reading:
        ids = list(range(first, first + how_many))
        outcomes = (ids, [1] * how_many, [kind] * how_many)
        return meter.measure("finish(%s::bigint[], %s::int[], %s::text[])", outcomes, *before)

    return call


def plain(call: str, *before: str) -> Callable[[Meter], Reading]:
    return lambda meter: meter.measure(call, (), *before)


BUSY, STUCK_FIRST, LAST_FIRST = READY + LATER + 1, READY + LATER + RUNNING + 1, READY + LATER + RUNNING + STUCK + 1

TAKE_KEYS = f"""
    update pq.jobs set unique_key = 'key ' || id, unique_scope = 'waiting' where id between {BUSY} and {BUSY + 99}
"""
SAID = (
    f"array(select g from generate_series({BUSY}, {BUSY + 99}) g),"
    " array_fill(1::bigint, array[100]), array_fill('{}'::text, array[100])"
)

FETCH_DEEP = f"fetch({WORKER}, array['deep'], 100)"
EXPIRE = ("set local pq.inside = on", "update pq.jobs set expires_at = now() where id <= 1000")

# Name, call, rows that it must give, rows that it may read for each of them, and besides.
CALLS: dict[str, tuple[Callable[[Meter], Reading], int, int, int]] = {
    "fetch of 100 from a deep queue": (fetch(["deep"], 100), 101, 3, 20),
    "fetch of 500 from a deep queue": (fetch(["deep"], 500), 501, 3, 20),
    "fetch beside jobs blocked by one lock": (fetch(["stuck"], 500), 1, 0, 20),
    "fetch of 100 with locks of their own": (fetch(["own locks"], 100), 101, 8, 20),
    "fetch of the head of a long line": (fetch(["long line"], 100), 2, 10, 20),
    "fetch from lines that nobody has marked": (fetch(["no line"], 100), 11, 500, 0),
    "fetch beside scheduled jobs": (fetch(["later"], 500), 1, 0, 20),
    "fetch from a thousand queues": (fetch([f"queue {n}" for n in range(QUEUES)], 100), 101, 5, 2 * QUEUES),
    "fetch from every queue": (fetch(None, 100), 101, 5, 4 * QUEUES),
    "fetch by a busy worker, behind last lives": (fetch(["last"], 100), 101, 3, 20),
    "finish of 10 beside 10,000 running": (finish(BUSY, 10, "succeeded"), 10, 2, 0),
    "finish of 1,000 beside 10,000 running": (finish(BUSY, 1000, "succeeded"), 1000, 2, 0),
    "retry of 10 beside 10,000 running": (finish(BUSY, 10, "retried"), 10, 6, 0),
    "retry of 1,000 beside 10,000 running": (finish(BUSY, 1000, "retried"), 1000, 6, 0),
    "retry of 100 with unique keys beside 10,000 running": (finish(BUSY, 100, "retried", TAKE_KEYS), 100, 10, 0),
    "progress of 100 beside 10,000 running": (
        plain(f"heartbeat({WORKER}, 'w', null, '{{}}', 60, null, {SAID})"), 1, 0, 500
    ),
    "end of a job with 50,000 behind its lock": (finish(STUCK_FIRST, 1, "succeeded"), 1, 10, 0),
    "heartbeat of a worker that runs one job": (plain(f"heartbeat({WORKER}, 'w', null, '{{}}', 60)"), 1, 0, 5),
    "heartbeat of a worker that runs 10,000": (plain(f"heartbeat({OTHERS}, 'w', null, '{{}}', 60)"), 1, 0, RUNNING + 5),
    "rescue of nothing": (plain("rescue()"), 0, 0, 50),
    "leave of a worker that runs one job": (plain(f"leave({WORKER})"), 1, 30, 20),
    "cancel of 100 waiting jobs": (plain("cancel(array(select g from generate_series(1, 100) g))"), 100, 5, 0),
    "cancel of 10 blocked jobs": (
        plain(f"cancel(array(select g from generate_series({STUCK_FIRST + 10}, {STUCK_FIRST + 19}) g))"), 10, 6, 0
    ),
    "reschedule of 100 waiting jobs": (
        plain("reschedule(array(select g from generate_series(1, 100) g), delay => 60)"), 100, 5, 0
    ),
    "standing of the first of a deep queue": (plain("standing(1, 10000)"), 1, 1, 10),
    "standing of the last of a deep queue": (plain(f"standing({READY}, 1000)"), 1, 1000, 10),
    "standing of the last in a long line": (plain(f"standing({STUCK_FIRST + STUCK - 1}, 1000)"), 1, 10, 0),
    "health beside a thousand queues": (plain("health()"), 1, 0, 4 * QUEUES),
    "all workers, one of which runs 10,000": (plain("known_workers()"), 2, 0, RUNNING + 10),
    "purge of 100 waiting jobs": (plain("purge(array(select g from generate_series(1, 100) g))"), 100, 4, 0),
    "purge of 100 ended jobs": (
        plain("purge(array(select g from generate_series(9000001, 9000100) g))"), 100, 5, 0
    ),
    # A fetch goes on for three rounds, each of which looks at the next thousand jobs.
    "fetch from a deep queue whose task is paused": (plain(FETCH_DEEP, "select pq.pause(task => 't')"), 1, 0, 12_000),
    "fetch from a deep queue while all is paused": (plain(FETCH_DEEP, "select pq.pause()"), 1, 0, 20),
    "fetch that ends 1,000 expired jobs": (plain(FETCH_DEEP, *EXPIRE), 101, 3, 12_000),
    "resume of a task of which 300 of 100,000 blocked jobs are": (
        plain("resume(task => 'u')", "set local pq.inside = on",
              f"update pq.jobs set task = 'u' where id between {STUCK_FIRST + 10} and {STUCK_FIRST + 309}",
              "select pq.pause(task => 'u')"), 1, 0, 2 * STUCK + 2000
    ),
    "retry of 100 ended jobs": (plain("retry(array(select g from generate_series(9000001, 9000100) g))"), 100, 5, 0),
}  # fmt: skip


def be_known(session: psycopg.Connection[Any]) -> None:
    for worker in (WORKER, OTHERS):
        session.execute(f"select pq.heartbeat({worker}, 'w', null, '{{}}', 3600)")


@pytest.fixture(scope="module")
def readings() -> Iterator[dict[str, dict[str, Reading]]]:
    with server().fresh_database() as dsn:
        PsycopgConnector(dsn).sync.migrate()
        with psycopg.connect(dsn, autocommit=True) as old, psycopg.connect(dsn, autocommit=True) as other:
            old.execute("alter table pq.jobs set (autovacuum_enabled = off)")
            be_known(other)
            meter = Meter(old)
            for _ in range(7):
                # More often than a plan is made anew for each call.
                for call, *_ in CALLS.values():
                    call(meter)
            other.execute("select pq.prune(null)")
            other.execute(FILL)
            taken = {"plans made for no rows": {name: call(meter) for name, (call, *_) in CALLS.items()}}
            other.execute("vacuum analyze")
            taken["analyzed"] = {name: call(meter) for name, (call, *_) in CALLS.items()}
        with psycopg.connect(dsn, autocommit=True) as new:
            taken["a new session"] = {name: call(Meter(new)) for name, (call, *_) in CALLS.items()}
        yield taken


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("moment", ["plans made for no rows", "analyzed", "a new session"])
def test_a_call_reads_little_more_than_it_changes(
    readings: dict[str, dict[str, Reading]], moment: str, name: str
) -> None:
    reading = readings[moment][name]
    _, rows, each, besides = CALLS[name]
    assert reading.rows == rows
    assert reading.scans == 0
    assert reading.read <= each * rows + besides


def test_a_lock_is_looked_up_by_its_own_index_though_nothing_ran_when_the_tables_were_analyzed(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("alter table pq.jobs set (autovacuum_enabled = off)")
        session.execute("insert into pq.jobs (queue, task, lock) select 'q', 't', g from generate_series(1, 20000) g")
        session.execute("vacuum analyze pq.jobs")
        be_known(session)
        for _ in range(5):
            session.execute(f"select from pq.fetch({OTHERS}, array['q'], 400)")
        meter = Meter(session)
        fetched = fetch(["q"], 100)(meter)
        claimed = session.execute(f"select id from pq.fetch({WORKER}, array['q'], 100) where id is not null").fetchall()
        outcomes = (sorted(row[0] for row in claimed), [1] * 100, ["succeeded"] * 100)
        ended = meter.measure("finish(%s::bigint[], %s::int[], %s::text[])", outcomes)
    assert (fetched.rows, ended.rows) == (101, 100)
    assert fetched.read <= 8 * 101 + 20
    assert ended.read <= 8 * 100


def test_an_edit_of_more_locks_than_postgresql_can_hold_is_done_in_one_statement(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("insert into pq.jobs (queue, task, lock) select 'q', 't', g from generate_series(1, 30000) g")
        # One edit of a row first: the plan made for that must serve the others too.
        session.execute("update pq.jobs set priority = 1 where id = 1")
        session.execute("update pq.jobs set priority = 1")
        session.execute("select count(*) from pq.cancel(array(select g from generate_series(1, 15000) g))")
        session.execute("delete from pq.jobs")
        row = session.execute("select count(*) from pq.all_jobs").fetchone()
    assert row == (15000,)
