"""Everybody works on few locks at once: nothing is lost, doubled, overtaken or stuck, and nothing fails.

Producers hold transactions open. Workers finish in every way, die and leave. Villains cancel, reschedule, revive,
pause, expire, purge and prune, and edit rows by hand. ``PQ_STRESS_SECONDS`` lengthens the run, ``PQ_STRESS_SEED``
repeats one.

Once more they do so with workers that remember how far they have read (see pq_core/postgres/floors.py), who never
begin at the beginning again to find what they missed, and with transactions that stay open for longer than they wait.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import attrs
import psycopg
import pytest

from pq_core.postgres import PsycopgConnector, floors
from pq_core.postgres.floors import Floors
from pq_testing.postgres import Server

SECONDS = float(os.environ.get("PQ_STRESS_SECONDS", "12"))
FLOORED_SECONDS = float(os.environ.get("PQ_STRESS_SECONDS", "8"))
LOCKS, QUEUES, LEASE = 12, ["a", "b", "c"], 0.5

FETCH = (
    "select id, claim, attempt, losses >= max_losses - 1, again, queue, priority, terms::text from pq.fetch(%s, %s, %s"
)
FLOORS = (
    ", null, floor_queues => %s::text[], floor_ends => %s::int[], floor_highs => %s::smallint[],"
    " floor_lows => %s::smallint[], floors => %s::bigint[], risen_since => %s::bigint, due_since => %s::bigint,"
    " moving => %s::bool"
)

# Notes each start of an ordered job behind an earlier live one that had been committed before the fetch began.
WATCH_ORDER = """
create table pq.overtaken (runs bigint, earlier bigint, started timestamptz, committed timestamptz);
create function pq.watch_order() returns trigger language plpgsql as $$
begin
    insert into pq.overtaken
    select new.id, j.id, statement_timestamp(), pg_xact_commit_timestamp(j.xmin) from pq.jobs j
    where j.lock_key = new.lock_key and j.id <> new.id
        and (j.priority > new.priority or j.priority = new.priority and j.id < new.id)
        and pg_xact_commit_timestamp(j.xmin) < statement_timestamp();
    return null;
end $$;
create trigger watch_order after update on pq.jobs for each row
    when (old.state = 'ready' and new.state = 'running' and new.lock is not null and new.lock_mode = 'ordered')
    execute function pq.watch_order();
"""


# Locks with a blocked head though nothing runs. Who changes its mind leaves some; rescue is there to find them.
FORGOTTEN = """
select count(*) from (select distinct on (lock_key) * from pq.jobs order by lock_key, priority desc, id) head
where state = 'blocked' and not exists (select from pq.jobs r where r.lock_key = head.lock_key and r.state = 'running')
"""


@attrs.define
class Field:
    """What all actors share, and what they saw."""

    dsn: str
    seed: int
    stop: threading.Event = attrs.field(factory=threading.Event)
    drained: threading.Event = attrs.field(factory=threading.Event)
    guard: threading.Lock = attrs.field(factory=threading.Lock)
    deferred: list[int] = attrs.field(factory=list)
    removed: set[int] = attrs.field(factory=set)
    revived: set[int] = attrs.field(factory=set)
    edited: set[int] = attrs.field(factory=set)
    pruned: int = 0
    floored: bool = False
    runs: dict[tuple[int, int], int] = attrs.field(factory=dict)
    ends: dict[tuple[int, int], str] = attrs.field(factory=dict)
    counts: Counter[str] = attrs.field(factory=Counter)
    faults: list[str] = attrs.field(factory=list)

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn, autocommit=True)

    def fault(self, text: str) -> None:
        with self.guard:
            self.faults.append(text)
        if len(self.faults) > 20:
            self.stop.set()

    def attempt(self, what: str, act: Callable[[], None]) -> None:
        """Do one thing; the only error that may come is a row or a lock held too long by a stranger."""
        self.counts[what] += 1
        try:
            act()
        except psycopg.errors.LockNotAvailable:
            self.counts[f"{what}: lock timeout"] += 1
        except psycopg.Error as error:
            self.fault(f"{what}: {type(error).__name__}: {error}")


@attrs.define
class Producer:
    field: Field
    rnd: random.Random

    def run(self) -> None:
        with self.field.connect() as conn:
            while not self.field.stop.is_set():
                self.field.attempt("defer", lambda: self.defer(conn))
                # Long queues would only hide what happens at the head of a lock.
                while len(self.field.deferred) - len(self.field.ends) > 2500 and not self.field.stop.wait(0.02):
                    pass

    def defer(self, conn: psycopg.Connection[Any]) -> None:
        ids: list[int] = []
        rnd = self.rnd
        locked = rnd.choice([0.1, 0.8]) if self.field.floored else 0.8
        with conn.transaction():
            for _ in range(rnd.randint(1, 5)):
                jobs = [
                    (
                        rnd.choice(QUEUES),
                        rnd.choice([0, 0, 0, 5, -2]),
                        f"L{rnd.randrange(LOCKS)}" if rnd.random() < locked else None,
                        rnd.choice(["ordered", "ordered", "mutex"]),
                        rnd.random() * 0.3 if rnd.random() < 0.06 else None,
                        rnd.choice([1, 2, 3, 3, 3, 3, 3, 3, 3, 3]),
                    )
                    for _ in range(rnd.choice([1, 3, 20, 400 if self.field.floored and rnd.random() < 0.2 else 2]))
                ]
                queues, priorities, locks, modes, delays, losses = map(list, zip(*jobs, strict=True))
                n = len(jobs)
                row = conn.execute(
                    "select ids from pq.defer_many("
                    "%s, %s, %s, %s::smallint[], %s, %s, %s::timestamptz[], %s::float[], %s::smallint[], %s)",
                    (
                        rnd.choices("tttu", k=n),
                        ["{}"] * n,
                        queues,
                        priorities,
                        locks,
                        modes,
                        [None] * n,
                        delays,
                        losses,
                        ["{}"] * n,
                    ),
                ).fetchone()
                assert row is not None
                ids += row[0]
                if rnd.random() < 0.1:
                    time.sleep(rnd.random() * 0.03)
            if self.field.floored and rnd.random() < 0.02:
                time.sleep(rnd.random() * 0.6)
        with self.field.guard:
            self.field.deferred += ids


@attrs.frozen
class Claimed:
    queue: str
    priority: int


@attrs.define
class Worker:
    field: Field
    rnd: random.Random
    queues: list[str] | None
    id: int = 0
    holds: dict[int, tuple[int, int]] = attrs.field(factory=dict)
    beat: float = 0.0
    floors: Floors | None = None

    def run(self) -> None:
        self.be_born()
        with self.field.connect() as conn:
            while not self.field.drained.is_set():
                if time.monotonic() - self.beat > LEASE / 4:
                    self.field.attempt("heartbeat", lambda: self.heartbeat(conn))
                self.field.attempt("fetch", lambda: self.fetch(conn))
                if self.holds and self.rnd.random() < 0.85:
                    self.field.attempt("finish", lambda: self.finish(conn))
                if not self.field.stop.is_set() and self.rnd.random() < 0.006:
                    self.field.counts["death"] += 1
                    self.be_born()
                elif self.rnd.random() < 0.006:
                    self.field.attempt("leave", lambda: self.leave(conn))

    def be_born(self) -> None:
        self.id, self.holds, self.beat = self.rnd.getrandbits(62), {}, 0.0

    def heartbeat(self, conn: psycopg.Connection[Any]) -> None:
        conn.execute("select pq.heartbeat(%s, 'w', %s, '{}', %s)", (self.id, self.queues, LEASE)).fetchall()
        self.beat = time.monotonic()

    def fetch(self, conn: psycopg.Connection[Any]) -> None:
        limit = self.rnd.choice([1, 5, 50, 200])
        question = None if self.floors is None else self.floors.ask(self.queues)
        start = () if question is None else question.parameters
        try:
            rows = conn.execute(f"{FETCH}{FLOORS if start else ''})", (self.id, self.queues, limit, *start)).fetchall()
        except psycopg.Error as error:
            if error.sqlstate != "PQ001":
                raise
            self.beat = 0.0
            if self.floors is not None:
                self.floors.drop(question)
            return
        jobs = rows[:-1]
        if self.floors is not None and question is not None:
            self.floors.learn(question, rows[-1][7], [Claimed(row[5], row[6]) for row in jobs])
            self.field.counts["fetch from a floor"] += question.start is not None
        if len(jobs) > limit or (len(jobs) > 1 and any(row[3] for row in jobs)):
            self.field.fault(f"a worker that asked for {limit} got {jobs}")
        with self.field.guard:
            for id_, claim, attempt, *_ in jobs:
                if self.field.runs.setdefault((id_, claim), attempt) is not attempt or attempt > claim:
                    self.field.faults.append(f"job {id_} was fetched twice under claim {claim}, or attempt {attempt}")
        self.holds.update({row[0]: (row[1], row[2]) for row in jobs})
        self.field.counts["fetched"] += len(jobs)
        if not jobs and not rows[-1][4]:
            time.sleep(0.003)

    def finish(self, conn: psycopg.Connection[Any]) -> None:
        rnd = self.rnd
        ids = sorted(rnd.sample(sorted(self.holds), rnd.randint(1, len(self.holds))))
        calm = 1.0 if self.field.stop.is_set() else 0.75
        kinds = [
            "succeeded"
            if rnd.random() < calm
            else rnd.choice(["failed", "retried", "retried", "snoozed", "cancelled", "released"])
            for _ in ids
        ]
        claims = [self.holds[i][0] - (rnd.random() < 0.02) for i in ids]
        keeps = [kind not in {"succeeded", "failed", "cancelled"} or rnd.random() < 0.9 for kind in kinds]
        moved = [kind == "retried" and rnd.random() < 0.5 for kind in kinds]
        accepted = conn.execute(
            "select pq.finish(%s, %s::int[], %s, %s, %s::float[], %s, %s::smallint[], %s, %s, %s)",
            (
                ids, claims, kinds, keeps, [rnd.choice([0.0, 0.0, 0.02, 0.2]) for _ in ids],
                [rnd.choice(QUEUES) if m else None for m in moved],
                [rnd.choice([-1, 0, 7]) if m else None for m in moved],
                moved, [rnd.choice([None, f"L{rnd.randrange(LOCKS)}"]) for _ in ids],
                ['{"type": "E"}' if kind in {"failed", "retried"} else None for kind in kinds],
            ),
        ).fetchall()  # fmt: skip
        done = {row[0] for row in accepted}
        with self.field.guard:
            for id_, claim, kind, keep in zip(ids, claims, kinds, keeps, strict=True):
                if id_ in done:
                    if claim != self.holds[id_][0] or (id_, claim) in self.field.ends:
                        self.field.faults.append(f"job {id_} was finished under {claim}, held {self.holds[id_]}")
                    self.field.ends[id_, claim] = kind
                    if not keep:
                        self.field.ends[id_, claim] += " unkept"
                if claim == self.holds[id_][0]:
                    del self.holds[id_]
        self.field.counts["finished"] += len(done)
        self.field.counts["lost"] += len(ids) - len(done)

    def leave(self, conn: psycopg.Connection[Any]) -> None:
        rows = conn.execute("select id, state from pq.leave(%s)", (self.id,)).fetchall()
        with self.field.guard:
            for id_, state in rows:
                if id_ in self.holds:
                    self.field.ends[id_, self.holds[id_][0]] = "left" if state == "ready" else state
        self.be_born()


@attrs.define
class Villain:
    field: Field
    rnd: random.Random
    conn: psycopg.Connection[Any] = attrs.field(init=False)

    def run(self) -> None:
        acts = [
            self.cancel, self.reschedule, self.reschedule, self.revive, self.edit, self.edit, self.end_by_hand,
            self.delete, self.change_their_mind, self.look_closely, self.pause, self.prune, self.let_expire, self.purge,
        ]  # fmt: skip
        with self.field.connect() as self.conn:
            while not self.field.stop.wait(self.rnd.random() * 0.01):
                act = self.rnd.choice(acts)
                self.field.attempt(act.__name__, act)
            self.conn.execute("select pq.resume(q) from unnest(%s::text[]) q", (QUEUES,)).fetchall()
            self.conn.execute("select pq.resume(), pq.resume(task => 't'), pq.resume(task => 'u')").fetchall()

    def victims(self, table: str = "jobs", how_many: tuple[int, ...] = (1, 1, 3, 20)) -> list[int]:
        order = self.rnd.choice(["id", "id", "id desc"])
        rows = self.conn.execute(f"select id from pq.{table} order by {order} limit 200").fetchall()
        return sorted(row[0] for row in self.rnd.sample(rows, min(len(rows), self.rnd.choice(how_many))))

    def cancel(self) -> None:
        if self.rnd.random() < 0.4:
            self.conn.execute("select pq.cancel(%s)", (self.victims(),)).fetchall()

    def reschedule(self) -> None:
        self.conn.execute(
            "select pq.reschedule("
            "%s, delay => %s::float, queue => %s, priority => %s::smallint, relock => %s, lock => %s)",
            (
                self.victims(), self.rnd.choice([None, None, 0.0, 0.05]), self.rnd.choice([None, *QUEUES]),
                self.rnd.choice([None, -3, 0, 9]), self.rnd.random() < 0.3,
                self.rnd.choice([None, f"L{self.rnd.randrange(LOCKS)}"]),
            ),
        ).fetchall()  # fmt: skip

    def revive(self) -> None:
        ids = self.victims("finished_jobs")
        with self.field.guard:
            self.field.revived.update(ids)
        self.conn.execute("select pq.retry(%s)", (ids,)).fetchall()

    def edit(self) -> None:
        change = self.rnd.choice([
            "priority = 4 - priority", "lock = 'L1'", "lock = null", "lock_mode = 'mutex'", "lock_mode = 'ordered'",
            "queue = 'b'", "scheduled_at = now() + interval '50 ms'", "scheduled_at = now()", "state = 'ready'",
        ])  # fmt: skip
        unsafe = "" if change.startswith("priority") else "and state <> 'running'"
        self.by_hand(f"update pq.jobs set {change} where id = any(%s) {unsafe}")

    def end_by_hand(self) -> None:
        self.by_hand("update pq.jobs set state = 'cancelled' where id = any(%s)", (1, 2))

    def delete(self) -> None:
        removed = self.by_hand("delete from pq.jobs where id = any(%s) returning id", (1, 2))
        with self.field.guard:
            self.field.removed.update(removed)

    def by_hand(self, statement: str, how_many: tuple[int, ...] = (1, 3)) -> list[int]:
        """As a careful person would: many rows are locked in the order of their ids first."""
        ids = self.victims(how_many=how_many)
        with self.field.guard:
            self.field.edited.update(ids)
        with self.conn.transaction():
            self.conn.execute("select from pq.jobs where id = any(%s) order by id for update", (ids,))
            cursor = self.conn.execute(statement, (ids,))
            return [row[0] for row in cursor] if cursor.description else []

    def change_their_mind(self) -> None:
        with self.conn.transaction(force_rollback=True):
            self.conn.execute("select pq.cancel(%s)", (self.victims(),)).fetchall()
            time.sleep(self.rnd.random() * 0.02)

    def look_closely(self) -> None:
        with self.conn.transaction():
            self.conn.execute("select from pq.jobs where id = any(%s) order by id for update", (self.victims(),))
            time.sleep(self.rnd.random() * 0.02)

    def pause(self) -> None:
        # A queue, a task, or everything.
        what = self.rnd.choice(
            [(queue, None) for queue in QUEUES] + [(None, "u"), (None, "u"), (None, "t"), (None, None)]
        )
        self.conn.execute("select pq.pause(%s, task => %s)", what)
        time.sleep(self.rnd.random() * 0.03)
        self.conn.execute("select pq.resume(%s, %s)", what)

    def let_expire(self) -> None:
        self.conn.execute(
            "select pq.reschedule(%s, reexpire => true, expires_at => now() + %s * interval '1 second')",
            (self.victims(), self.rnd.random() * 0.05),
        ).fetchall()

    def purge(self) -> None:
        ids = self.victims(self.rnd.choice(["jobs", "finished_jobs"]), how_many=(1, 2))
        removed = [row[0] for row in self.conn.execute("select pq.purge(%s)", (ids,))]
        with self.field.guard:
            self.field.removed.update(removed)

    def prune(self) -> None:
        if self.rnd.random() < 0.1:
            states = self.rnd.choice([None, ["failed"], ["succeeded", "cancelled"]])
            limit = self.rnd.choice([None, 1, 50])
            row = self.conn.execute("select pq.prune('3 seconds', null, %s::text[], %s)", (states, limit)).fetchone()
            assert row is not None
            with self.field.guard:
                self.field.pruned += row[0]


@attrs.define
class Rescuer:
    field: Field

    def run(self) -> None:
        with self.field.connect() as conn:
            while not self.field.drained.wait(0.1):
                self.field.attempt("rescue", lambda: self.rescue(conn))

    def rescue(self, conn: psycopg.Connection[Any]) -> None:
        idle = conn.execute(FORGOTTEN).fetchone()
        self.field.counts["forgotten locks"] += idle[0] if idle else 0
        for id_, state in conn.execute("select id, state from pq.rescue()").fetchall():
            self.field.counts[f"rescued {state}"] += 1
            self.field.edited.add(id_)


def attack(dsn: str, seed: int, seconds: float, *, floored: bool = False) -> Field:
    """Let everybody loose for so long, then let the workers work off what is left."""
    field = Field(dsn, seed, floored=floored)
    served: list[list[str] | None] = [["a"], ["b", "c"], ["a", "b", "c"], ["c", "a"], None, None]
    calm = [Worker(field, random.Random(seed * 100 + n), queues) for n, queues in enumerate(served)]
    for worker in calm if floored else ():
        worker.floors = Floors()
        worker.floors.judge(floors.MANY_READ + 1, 0)
    wild: list[Producer | Villain] = [Producer(field, random.Random(seed * 1000 + n)) for n in range(2)]
    wild += [Villain(field, random.Random(seed * 10000 + n)) for n in range(3)]
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(WATCH_ORDER)
        conn.execute("select pq.prune(null)")  # as a worker does when it starts: readies the days to come
        actors: list[Worker | Rescuer | Producer | Villain] = [*calm, Rescuer(field), Rescuer(field), *wild]
        threads = [threading.Thread(target=actor.run, daemon=True) for actor in actors]
        for thread in threads:
            thread.start()
        field.stop.wait(seconds)
        field.stop.set()
        for thread in threads[-len(wild) :]:
            thread.join(20)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not field.drained.wait(0.05):
            left = conn.execute("select count(*) from pq.jobs").fetchone()
            if left == (0,) or len(field.faults) > 20:
                field.drained.set()
        field.drained.set()
        for thread in threads:
            thread.join(20)
            if thread.is_alive():
                field.fault("an actor never came back")
        judge(field, conn)
    return field


def judge(field: Field, conn: psycopg.Connection[Any]) -> None:
    left = conn.execute("select id, state, lock, queue from pq.jobs order by lock, id").fetchall()
    if left:
        field.fault(f"stuck at the end: {left[:20]}")
    overtaken = conn.execute("select * from pq.overtaken limit 10").fetchall()
    if overtaken:
        field.fault(f"ordered jobs overtook earlier ones: {overtaken}")
    ended = [row[0] for row in conn.execute("select id from pq.finished_jobs").fetchall()]
    if len(ended) != len(set(ended)):
        field.fault(f"ended twice: {[id_ for id_, n in Counter(ended).items() if n > 1][:10]}")
    unkept = {id_ for (id_, _), kind in field.ends.items() if "unkept" in kind}
    missing = set(field.deferred) - set(ended) - {row[0] for row in left} - unkept - field.removed
    if len(missing) != field.pruned:
        field.fault(f"{len(missing)} jobs are missing where {field.pruned} were pruned: {sorted(missing)[:10]}")
    if revenants := set(ended) & (unkept | field.removed):
        field.fault(f"deleted jobs came back: {sorted(revenants)[:10]}")
    judge_attempts(field)


def judge_attempts(field: Field) -> None:
    """Claims grow by one at each fetch; an attempt that was given back is counted again."""
    runs: dict[int, dict[int, int]] = defaultdict(dict)
    for (id_, claim), attempt in field.runs.items():
        runs[id_][claim] = attempt
    for id_, by_claim in runs.items():
        if sorted(by_claim) != list(range(1, len(by_claim) + 1)):
            field.fault(f"job {id_} was fetched under the claims {sorted(by_claim)}")
        if id_ in field.revived or id_ in field.edited:
            continue
        attempt = 0
        for claim in sorted(by_claim):
            attempt += 1
            if by_claim[claim] != attempt:
                field.fault(f"job {id_} has attempt {by_claim[claim]}, not {attempt}, under claim {claim}")
            attempt -= field.ends.get((id_, claim)) in {"snoozed", "released", "left"}


@pytest.mark.timeout(SECONDS + 150)
def test_nothing_is_lost_doubled_overtaken_or_stuck_when_everybody_works_on_the_same_locks() -> None:
    seed = int(os.environ.get("PQ_STRESS_SEED", random.randrange(10**6)))
    print(f"PQ_STRESS_SEED={seed}")  # noqa: T201 - so that a failure can be repeated
    with Server.start(settings={"track_commit_timestamp": "on"}) as own:
        dsn = own.dsn("postgres")
        PsycopgConnector(dsn).sync.migrate()
        field = attack(dsn, seed, SECONDS)
    print(dict(sorted(field.counts.items())))  # noqa: T201 - so that a failure can be understood
    assert field.faults == [], f"PQ_STRESS_SEED={seed}"
    assert field.counts["finished"] > 100 * SECONDS


@pytest.mark.timeout(FLOORED_SECONDS + 150)
def test_nothing_is_stuck_below_a_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    seed = int(os.environ.get("PQ_STRESS_SEED", random.randrange(10**6)))
    print(f"PQ_STRESS_SEED={seed}")  # noqa: T201 - so that a failure can be repeated
    for name, value in (("NET", 1e9), ("LONG", 0.05), ("SETTLING", 0.01), ("FEW_READ", -1e9)):
        monkeypatch.setattr(floors, name, value)
    with Server.start(settings={"track_commit_timestamp": "on"}) as own:
        dsn = own.dsn("postgres")
        PsycopgConnector(dsn).sync.migrate()
        field = attack(dsn, seed, FLOORED_SECONDS, floored=True)
    print(dict(sorted(field.counts.items())))  # noqa: T201 - so that a failure can be understood
    assert field.faults == [], f"PQ_STRESS_SEED={seed}"
    assert field.counts["finished"] > 100 * FLOORED_SECONDS
    assert field.counts["fetch from a floor"] > field.counts["fetch"] / 2
