"""The version before this one, on this schema: what it asks is answered as it expects; its workers run beside ours.

What it asks stands here word for word, and is never brought up to date. When a version is released, these texts are
replaced by those of the version that was the newest until then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import anyio.to_thread
import attrs
import psycopg
import pytest

import pq_core as pq

Row = tuple[Any, ...]

DEFER = (
    "select * from pq.defer(%s, %s::json, %s, %s::smallint, %s, %s, %s::timestamptz, %s::interval, %s::smallint,"
    " %s::json, %s::timestamptz)"
)
DEFER_MANY = (
    "select * from pq.defer_many(%s::text[], %s::text[], %s::text[], %s::smallint[], %s::text[], %s::text[],"
    " %s::timestamptz[], %s::float8[], %s::smallint[], %s::text[], %s::timestamptz)"
)
FETCH = (
    "select id, task, args::text, queue, priority, lock, lock_mode, attempt, claim, losses, max_losses, scheduled_at,"
    " created_at, started_at, cancel_requested_at, reason, errors::text, metadata::text, again, solo, next_in"
    " from pq.fetch(%s::bigint, %s::text[], %s::int, %s::timestamptz)"
)
FINISH = (
    "select * from pq.finish(%s::bigint[], %s::bigint[], %s::text[], %s::bool[], %s::float8[], %s::text[],"
    " %s::smallint[], %s::bool[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz)"
)
HEARTBEAT = "select * from pq.heartbeat(%s::bigint, %s::text, %s::text[], %s::json, %s::float8, %s::timestamptz)"
RESCUE = "select * from pq.rescue(%s::timestamptz)"
LEAVE = "select * from pq.leave(%s::bigint, %s::timestamptz)"
FIND = (
    "select id, task, args::text, queue, priority, lock, lock_mode, state, attempt, claim, losses, max_losses,"
    " scheduled_at, created_at, started_at, finished_at, worker, cancel_requested_at, errors::text, result::text,"
    " reason, metadata::text from pq.all_jobs where id > %s and id = any(%s::bigint[]) order by id limit %s"
)
COUNT = "select state, count(*) from pq.all_jobs where true and queue = %s group by state"
CANCEL = "select * from pq.cancel(%s::bigint[], %s::text, %s::timestamptz)"
RETRY = "select * from pq.retry(%s::bigint[], %s::timestamptz)"
RESCHEDULE = (
    "select * from pq.reschedule(%s::bigint[], %s::timestamptz, %s::float8, %s::text, %s::smallint, %s::bool, %s::text,"
    " %s::timestamptz)"
)
PRUNE = "select * from pq.prune(%s::interval, %s::timestamptz)"
QUEUES = "select * from pq.queue_counts()"
PAUSE = "select * from pq.pause(%s::text, %s::timestamptz)"
RESUME = "select * from pq.resume(%s::text)"


ONE = ["task", '{"n": 1}', "default", 0, None, "ordered", None, None, 3, '{"by": "me"}', None]
MANY: list[Any] = [
    ["task"],
    ['{"n": 2}', '{"n": 3}'],
    ["default"],
    [0],
    [None],
    ["ordered"],
    [None],
    [None],
    [3],
    ["{}"],
]


@attrs.frozen
class PreviousWorker:
    """A worker of that version, as far as its statements go."""

    session: psycopg.Connection
    id: int

    def ask(self, text: str, *parameters: Any) -> list[Row]:
        """Return the rows of one of the statements above."""
        return self.session.execute(text, parameters).fetchall()  # type: ignore[call-overload,no-any-return] # a plain str

    def sign_on(self) -> None:
        """Take up a lease."""
        self.ask(HEARTBEAT, self.id, "previous", None, "{}", 30.0, None)

    def run(self, limit: int, task: Callable[[Row], str]) -> list[int]:
        """Claim jobs, and end each as `task` says of its row; return the ids that were current."""
        *jobs, _ = self.ask(FETCH, self.id, None, limit, None)
        return self.finish([(row[0], row[8], task(row)) for row in jobs])

    def finish(self, ends: Sequence[tuple[int, int, str]]) -> list[int]:
        """Write the ends of runs: id, claim and kind of each."""
        if not ends:
            return []
        ids, claims, kinds = (list(column) for column in zip(*sorted(ends), strict=True))
        return [row[0] for row in self.ask(FINISH, ids, claims, kinds, *[None] * 10)]


@pytest.fixture
def previous(dsn: str) -> Iterator[PreviousWorker]:
    """Give a worker of the previous version, with a lease."""
    with psycopg.connect(dsn, autocommit=True) as session:
        worker = PreviousWorker(session, 7)
        worker.sign_on()
        yield worker


def test_what_it_defers_is_stored_as_it_was(previous: PreviousWorker, sync: Any) -> None:
    number: int = previous.ask(DEFER, *ONE)[0][0]
    numbers: list[int] = previous.ask(DEFER_MANY, *MANY, None)[0][0]
    jobs = sync.find(pq.connector.JobFilter(ids=[number, *numbers]))
    assert [job.args for job in jobs] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert jobs[0].metadata == {"by": "me"}
    assert {(job.delivery, job.version, job.unique_key, job.expires_at) for job in jobs} == {
        ("at_least_once", 1, None, None)
    }


def test_it_claims_what_was_deferred_by_this_version_and_ends_it(previous: PreviousWorker, sync: Any) -> None:
    sync.defer([pq.NewJob(task="task", args={"n": n}, priority=-n) for n in range(6)])
    *rows, last = previous.ask(FETCH, previous.id, ["default"], 6, None)
    assert [(row[1], row[2], row[7], row[8]) for row in sorted(rows)] == [
        ("task", f'{{"n":{n}}}', 1, 1) for n in range(6)
    ]
    assert (last[0], type(last[-3]), type(last[-2])) == (None, bool, bool)
    kinds = ["succeeded", "failed", "retried", "snoozed", "cancelled", "released"]
    ids = [row[0] for row in sorted(rows)]
    assert previous.finish([(number, 1, kind) for number, kind in zip(ids, kinds, strict=True)]) == ids
    assert previous.finish([(ids[0], 1, "succeeded")]) == []
    states = [row[7] for row in previous.ask(FIND, 0, ids, 10)]
    assert states == ["succeeded", "failed", "ready", "ready", "cancelled", "ready"]


def test_its_other_questions_are_answered(previous: PreviousWorker, sync: Any) -> None:
    numbers = [deferred.id for deferred in sync.defer([pq.NewJob(task="task") for _ in range(3)])]
    first, second, third = numbers
    assert previous.ask(COUNT, "default") == [("ready", 3)]
    assert [row[:2] for row in previous.ask(CANCEL, [first], "why not", None)] == [(first, "cancelled")]
    assert [row[:2] for row in previous.ask(RETRY, [first], None)] == [(first, "ready")]
    later = datetime.now(UTC) + timedelta(hours=1)
    moved = previous.ask(RESCHEDULE, [second], later, None, "other", 5, True, "lock", None)
    assert [row[:2] for row in moved] == [(second, "scheduled")]
    assert sorted(row[0] for row in previous.ask(QUEUES)) == ["default", "other"]
    previous.ask(PAUSE, "default", None)
    assert {row[0]: row[1] for row in previous.ask(QUEUES)}["default"] is True
    previous.ask(RESUME, "default")
    assert previous.run(1, lambda _: "released") == [first]
    assert previous.ask(PRUNE, timedelta(0), None)[0][0] == 0
    *_, claimed = previous.ask(FETCH, previous.id, None, 2, None)[:2]
    assert claimed[0] == third
    assert sorted(row[:2] for row in previous.ask(LEAVE, previous.id, None)) == [(first, "ready"), (third, "ready")]


@pytest.mark.anyio
async def test_its_dead_are_rescued_by_this_version_and_ours_by_it(
    previous: PreviousWorker, connector: pq.PsycopgConnector
) -> None:
    ours = pq.connector.WorkerInfo(id=8, name="ours")
    await connector.defer([pq.NewJob(task="task"), pq.NewJob(task="task", delivery="at_most_once")])
    number: int = previous.ask(FETCH, previous.id, None, 1, None)[0][0]
    previous.ask(HEARTBEAT, previous.id, "previous", None, "{}", 0.0, None)
    assert [(job.id, job.state) for job in await connector.rescue()] == [(number, "ready")]
    await connector.heartbeat(ours, timedelta(seconds=30))
    claimed = [job.id for job in (await connector.fetch(8, None, 2)).jobs]
    await connector.heartbeat(ours, timedelta(0))
    assert sorted(row[:2] for row in previous.ask(RESCUE, None)) == [(claimed[0], "ready"), (claimed[1], "failed")]


@pytest.mark.anyio
async def test_its_workers_and_ours_share_the_jobs_of_both_and_each_runs_once(dsn: str) -> None:
    count = 200
    app = pq.App(connector=pq.PsycopgConnector(dsn))
    runs: list[tuple[int, str]] = []
    latest: dict[str | None, int] = {}

    def begin(number: int, lock: str | None, who: str) -> None:
        runs.append((number, who))
        assert lock is None or latest.get(lock, 0) < number, "jobs of one lock run in order"
        latest[lock] = number

    @app.task(name="task", pass_context=True)
    async def task(context: pq.JobContext, n: int) -> None:
        begin(context.job.id, context.job.lock, "ours")

    def run_previous() -> None:
        with psycopg.connect(dsn, autocommit=True) as session:
            worker = PreviousWorker(session, 7)
            worker.sign_on()
            while len(runs) < 2 * count:
                worker.run(3, lambda row: begin(row[0], row[5], "previous") or "succeeded")

    async with app.open_async() as app, anyio.create_task_group() as group:
        await app.defer_many_async([task.configure(lock=[None, "a", "b"][n % 3]).job(n=n) for n in range(count)])
        with psycopg.connect(dsn, autocommit=True) as session:
            many = [["task"] * count, ['{"n":1}'] * count, *MANY[2:], None]
            PreviousWorker(session, 0).ask(DEFER_MANY, *many)
        worker = pq.Worker(app, install_signal_handlers=False, batch=5, concurrency=2)
        group.start_soon(worker.run_async)
        with anyio.fail_after(30):
            await anyio.to_thread.run_sync(run_previous)
        worker.stop()
    assert sorted(number for number, _ in runs) == sorted(job.id for job in app.jobs.find(limit=1_000))
    assert {who for _, who in runs} == {"ours", "previous"}
