"""What to ask of PostgreSQL, as values: text, parameters, and how to read the answer. Nothing is run here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from operator import lt
from typing import Any, Generic, LiteralString, TypeVar, cast

import attrs

from pq_core.answers import MOST_AHEAD, Deferred, Fetched, JobState, Pause, QueueInfo, Standing, ToStop
from pq_core.clock import Clock
from pq_core.errors import InvalidJob
from pq_core.given import (
    MAX_ID,
    check_age,
    check_id,
    check_lease,
    check_limit,
    check_now,
    check_pause,
    check_queues,
    check_reason,
    check_states,
    check_steps,
    check_worker,
)
from pq_core.health import Health
from pq_core.job import LONGEST_DELAY, Job, NewJob, model_of
from pq_core.outcome import UNCHANGED, Outcome, Progress, newest
from pq_core.payload import dump, dump_mapping
from pq_core.postgres.conditions import condition, plain_ids
from pq_core.postgres.deferred import (
    DEFER,
    DEFER_MANY,
    DEFER_MANY_WITH_TERMS,
    DEFER_PLAINLY,
    DEFER_WITH_TERMS,
    job_columns,
    job_values,
    plain_values,
    read_deferred,
    term_columns,
    term_values,
)
from pq_core.postgres.jobs import (
    FETCHED_COLUMNS,
    JOB_COLUMNS,
    read_fetched,
    read_ids,
    read_job,
    read_states,
)
from pq_core.postgres.reports import read_health, read_queue, read_standing, read_to_stop, read_worker
from pq_core.postgres.schedules import SCHEDULE_COLUMNS, move_columns, put_columns, read_schedules, read_ticked
from pq_core.schedule import Move, NewSchedule, Schedule, Ticked, check_schedule_ids
from pq_core.selection import JobChanges, JobFilter
from pq_core.states import State
from pq_core.worker_info import WorkerInfo, WorkerStatus

T = TypeVar("T")
Row = tuple[Any, ...]


@attrs.frozen
class Statement(Generic[T]):
    """One question to the database: the text is fixed, so that it can be prepared.

    Attributes:
        kept: whether the cursor is kept for the next such one, with the connection, which is lent to nobody else
            meanwhile. A cursor keeps its last parameters and rows, too: these are few.
    """

    text: LiteralString
    parameters: Sequence[Any]
    read: Callable[[list[Row]], T]
    kept: bool = False


class Statements:
    """The verbs of a connector as statements, for one schema.

    Args:
        schema: where pq is installed.
        clock: tells the time wherever a verb is given none; None leaves that to the database.
    """

    def __init__(self, schema: str, clock: Clock | None = None) -> None:
        self.schema = schema
        # Whatever the name is, quoted it is as harmless as what stands here.
        self.prefix: LiteralString = cast("Any", quote(schema).replace("%", "%%"))
        self._clock = clock
        defer: LiteralString = f"select {self.prefix}.defer"
        self._defer_plainly = (f"{defer}({DEFER_PLAINLY})", f"{defer}({DEFER_PLAINLY}{ALONE})")
        self._defer = (f"{defer}({DEFER})", f"{defer}({DEFER}{ALONE})")
        self._defer_with_terms = (f"{defer}({DEFER_WITH_TERMS})", f"{defer}({DEFER_WITH_TERMS}{ALONE})")

    def defer(self, jobs: Sequence[NewJob], now: datetime | None, *, alone: bool = False) -> Statement[list[Deferred]]:
        """Return how to store jobs; `alone`: in a transaction of its own."""
        if len(jobs) == 1:
            # A scalar call costs the database about two thirds of what arrays of one do.
            return self._defer_one(jobs, now, alone=alone)
        model = model_of(jobs)
        like = jobs if model is None else [model]
        columns = [*job_columns(jobs, like), self._time(now)]
        if all(job.has_usual_terms for job in like):
            placeholders = DEFER_MANY + ALONE if alone else DEFER_MANY
            return self._call("defer_many", placeholders, columns, lambda rows: read_deferred(jobs, *rows[0]))
        columns += term_columns(jobs, like)
        return self._call("defer_many", DEFER_MANY_WITH_TERMS, columns, lambda rows: read_deferred(jobs, *rows[0]))

    def _defer_one(self, jobs: Sequence[NewJob], now: datetime | None, *, alone: bool) -> Statement[list[Deferred]]:
        (job,) = jobs
        time = self._time(now)
        # What defaults say costs on its way; and a function that is called beside no table is called sooner.
        plain = plain_values(job) if time is None else None
        if plain is not None:
            return Statement(self._defer_plainly[alone], plain, _read_one, kept=alone)
        values = [*job_values(job), time]
        if job.has_usual_terms:
            return Statement(self._defer[alone], values, _read_one, kept=alone)
        values += term_values(job)
        if job.unique_key is None:
            return Statement(self._defer_with_terms[alone], values, _read_one, kept=alone)
        return self._call(
            "defer_unique", DEFER_WITH_TERMS, values, lambda rows: read_deferred(jobs, *zip(*rows, strict=True))
        )

    def fetch(
        self,
        worker: int,
        queues: Sequence[str] | None,
        limit: int,
        now: datetime | None,
        start: Sequence[Any] | None = None,
        *,
        heard: Sequence[str] | None = None,
    ) -> Statement[Fetched]:
        names = check_queues(queues)
        parameters = [
            check_worker(worker),
            None if names is None else list(names),
            check_limit(limit, 1),
            self._time(now),
        ]
        if start is not None:
            parameters += start
        placeholders = _FETCH if start is None else _FETCH_FROM
        if heard is not None:
            parameters.append(list(heard))
            placeholders += ", heard => %s::text[]"
        text = f"select {FETCHED_COLUMNS} from {self.prefix}.fetch({placeholders})"  # noqa: S608 - the prefix is quoted
        return Statement(text, parameters, lambda rows: read_fetched(rows, worker))

    def notify(self, text: str) -> Statement[None]:
        return Statement("select pg_notify(%s, %s)", [self.schema, text], lambda _: None)

    def finish(self, outcomes: Sequence[Outcome], now: datetime | None) -> Statement[list[int]]:
        ordered = _by_job(outcomes)
        kinds = [outcome.kind for outcome in ordered]
        parameters: list[Any] = [
            _array([outcome.job_id for outcome in ordered]),
            _array([_within(outcome.claim) for outcome in ordered]),
            kinds,
            _unless_all([outcome.keep for outcome in ordered], usual=True),
            *([None] * 8),
            self._time(now),
            None,
            _unless_all([outcome.progress for outcome in ordered]),
        ]
        if kinds.count("succeeded") == len(kinds):  # as most do
            parameters[2] = "{" + ",".join(kinds) + "}"
            parameters[10] = _unless_all([outcome.result for outcome in ordered])
        else:
            parameters[4:12] = _columns_of_ends(ordered)
            parameters[13] = _unless_all([outcome.delivery for outcome in ordered])
        return self._call("finish", _FINISH, parameters, read_ids)

    def heartbeat(
        self, worker: WorkerInfo, lease: timedelta, progress: Sequence[Progress], now: datetime | None
    ) -> Statement[ToStop]:
        said = [word for word in newest(progress) if 0 < word.job_id <= MAX_ID]
        parameters = [
            worker.id,
            worker.name,
            None if worker.queues is None else list(worker.queues),
            dump_mapping(worker.details, "details", error=InvalidJob),
            check_lease(lease).total_seconds(),
            self._time(now),
            [word.job_id for word in said] or None,
            [_within(word.claim) for word in said] or None,
            [word.text for word in said] or None,
        ]
        return self._call("heartbeat", _HEARTBEAT, parameters, read_to_stop)

    def rescue(self, now: datetime | None) -> Statement[list[JobState]]:
        return self._call("rescue", "%s::timestamptz", [self._time(now)], read_states)

    def leave(self, worker: int, now: datetime | None) -> Statement[list[JobState]]:
        return self._call("leave", "%s::bigint, %s::timestamptz", [check_worker(worker), self._time(now)], read_states)

    def await_end(self, job_id: int) -> Statement[None]:
        return self._call("await_end", "%s::bigint", [_within(check_id(job_id))], lambda _: None)

    def find(self, which: JobFilter, limit: int, after: int, now: datetime | None) -> Statement[list[Job]]:
        _check(now)  # though nothing that a search says depends on the time
        first, most = check_id(after, "after"), check_limit(limit)
        fits, parameters = condition(which, self.prefix)
        source = f"{self.prefix}.all_jobs where id > %s{fits}"
        text = f"select {JOB_COLUMNS} from {source} order by id limit %s"  # noqa: S608 - the prefix is quoted
        return Statement(text, [_within(first), *parameters, most], lambda rows: [read_job(row) for row in rows])

    def count(self, which: JobFilter, now: datetime | None) -> Statement[dict[State, int]]:
        _check(now)
        fits, parameters = condition(which, self.prefix)
        text = f"select state, count(*) from {self.prefix}.all_jobs where true{fits} group by state"  # noqa: S608 - as above
        return Statement(text, parameters, lambda rows: dict.fromkeys(State, 0) | {State(s): n for s, n in rows})

    def cancel(self, ids: Sequence[int], reason: str, now: datetime | None) -> Statement[list[JobState]]:
        parameters = [plain_ids(ids), check_reason(reason), self._time(now)]
        return self._call("cancel", "%s::bigint[], %s::text, %s::timestamptz", parameters, read_states)

    def retry(self, ids: Sequence[int], now: datetime | None) -> Statement[list[JobState]]:
        return self._call("retry", "%s::bigint[], %s::timestamptz", [plain_ids(ids), self._time(now)], read_states)

    def reschedule(self, ids: Sequence[int], changes: JobChanges, now: datetime | None) -> Statement[list[JobState]]:
        parameters = [
            plain_ids(ids),
            changes.scheduled_at,
            None if changes.delay is None else changes.delay.total_seconds(),
            changes.queue,
            changes.priority,
            changes.lock is not UNCHANGED,
            None if changes.lock is UNCHANGED else changes.lock,
            self._time(now),
            changes.expires_at is not UNCHANGED,
            None if changes.expires_at is UNCHANGED else changes.expires_at,
        ]
        return self._call("reschedule", _RESCHEDULE, parameters, read_states)

    def prune(
        self, older_than: timedelta | None, states: Sequence[State] | None, limit: int | None, now: datetime | None
    ) -> Statement[int]:
        age = check_age(older_than)
        # As no job can be older, no time needs to be.
        bound = None if age is None else min(age, LONGEST_DELAY)
        wanted = None if states is None else sorted(str(state) for state in check_states(states))
        parameters = [bound, self._time(now), wanted, check_steps(limit)]
        return self._call("prune", _PRUNE, parameters, lambda rows: int(rows[0][0]))

    def workers(self, now: datetime | None) -> Statement[list[WorkerStatus]]:
        time = [self._time(now)]
        return self._call("known_workers", "%s::timestamptz", time, lambda rows: [read_worker(row) for row in rows])

    def standing(self, job_id: int, now: datetime | None) -> Statement[Standing]:
        parameters = [_within(check_id(job_id)), MOST_AHEAD, self._time(now)]
        return self._call("standing", "%s::bigint, %s::int, %s::timestamptz", parameters, read_standing)

    def health(self, now: datetime | None) -> Statement[Health]:
        text = f"select {self.prefix}.health(%s::timestamptz)::text"
        return Statement(text, [self._time(now)], lambda rows: read_health(rows[0][0]))

    def queues(self, now: datetime | None) -> Statement[list[QueueInfo]]:
        _check(now)
        return self._call("queue_counts", "", [], lambda rows: [read_queue(row) for row in rows])

    def purge(self, ids: Sequence[int], now: datetime | None) -> Statement[list[int]]:
        _check(now)
        return self._call("purge", "%s::bigint[]", [plain_ids(ids)], read_ids)

    def pause(self, queue: str | None, task: str | None, now: datetime | None, *, everything: bool) -> Statement[None]:
        kind, name = check_pause(queue, task, everything)
        parameters = [name if kind == "queue" else None, self._time(now), name if kind == "task" else None]
        return self._call("pause", "%s::text, %s::timestamptz, %s::text", parameters, lambda _: None)

    def resume(self, queue: str | None, task: str | None, now: datetime | None, *, everything: bool) -> Statement[None]:
        _check(now)
        kind, name = check_pause(queue, task, everything)
        parameters = [name if kind == "queue" else None, name if kind == "task" else None]
        return self._call("resume", "%s::text, %s::text", parameters, lambda _: None)

    def pauses(self, now: datetime | None) -> Statement[list[Pause]]:
        _check(now)
        return self._call(
            "paused", "", [], lambda rows: [Pause(kind, name, at.astimezone(UTC)) for kind, name, at in rows]
        )

    def schedules(self, ids: Sequence[str] | None, now: datetime | None) -> Statement[list[Schedule]]:
        names = None if ids is None else list(check_schedule_ids(ids))
        time = "coalesce(%s::timestamptz, statement_timestamp())"
        source = f"{self.prefix}.schedules where (%s::text[] is null or id = any(%s::text[]))"
        text = f'select {SCHEDULE_COLUMNS}, {time} from {source} order by id collate "C"'  # noqa: S608 - as above
        return Statement(text, [self._time(now), names, names], read_schedules)

    def put_schedules(
        self, schedules: Sequence[NewSchedule], *, declared: bool, replace: bool, now: datetime | None
    ) -> Statement[list[str]]:
        parameters = [*put_columns(schedules), declared, replace, self._time(now)]
        return self._call("put_schedules", _PUT_SCHEDULES, parameters, lambda rows: rows[0][0])

    def pause_schedules(self, ids: Sequence[str], *, paused: bool, now: datetime | None) -> Statement[list[str]]:
        parameters = [list(check_schedule_ids(ids)), paused, self._time(now)]
        return self._call(
            "pause_schedules", "%s::text[], %s::bool, %s::timestamptz", parameters, lambda rows: rows[0][0]
        )

    def remove_schedules(self, ids: Sequence[str], now: datetime | None) -> Statement[list[str]]:
        _check(now)
        names = list(check_schedule_ids(ids))
        return self._call("remove_schedules", "%s::text[]", [names], lambda rows: rows[0][0])

    def tick(self, moves: Sequence[Move], now: datetime | None) -> Statement[Ticked]:
        text = f"select {SCHEDULE_COLUMNS}, moved, asked_at, next_in from {self.prefix}.tick({_TICK})"  # noqa: S608 - as above
        return Statement(text, [*move_columns(moves), self._time(now)], read_ticked)

    def _time(self, now: datetime | None) -> datetime | None:
        if now is None and self._clock is not None:
            now = self._clock()
        return None if now is None else check_now(now)

    def _call(
        self,
        function: LiteralString,
        placeholders: LiteralString,
        parameters: Sequence[Any],
        read: Callable[[list[Row]], T],
    ) -> Statement[T]:
        text = f"select * from {self.prefix}.{function}({placeholders})"  # noqa: S608 - as above
        return Statement(text, parameters, read)


def _read_one(rows: list[Row]) -> list[Deferred]:
    return [Deferred(rows[0][0])]


ALONE: LiteralString = ", alone => true"
_FETCH = "%s::bigint, %s::text[], %s::int, %s::timestamptz"
_FETCH_FROM = (
    f"{_FETCH}, floor_queues => %s::text[], floor_ends => %s::int[], floor_highs => %s::smallint[],"
    " floor_lows => %s::smallint[], floors => %s::bigint[], risen_since => %s::bigint, due_since => %s::bigint,"
    " moving => %s::bool"
)
_FINISH = (
    "%s::bigint[], %s::bigint[], %s::text[], %s::bool[], %s::float8[], %s::text[], %s::smallint[], %s::bool[],"
    " %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz, %s::text[], %s::text[]"
)
_HEARTBEAT = (
    "%s::bigint, %s::text, %s::text[], %s::json, %s::float8, %s::timestamptz, %s::bigint[], %s::bigint[], %s::text[]"
)
_PRUNE = "%s::interval, %s::timestamptz, %s::text[], %s::int"
_RESCHEDULE = (
    "%s::bigint[], %s::timestamptz, %s::float8, %s::text, %s::smallint, %s::bool, %s::text, %s::timestamptz, %s::bool,"
    " %s::timestamptz"
)
_PUT_SCHEDULES = (
    "%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::float8[], %s::bool, %s::bool, %s::timestamptz"
)
_TICK = "%s::text[], %s::bigint[], %s::timestamptz[], %s::int[], %s::timestamptz[], %s::timestamptz"


def _check(now: datetime | None) -> None:
    if now is not None:
        check_now(now)


def quote(identifier: str) -> str:
    """Return the identifier as SQL writes it."""
    return '"' + identifier.replace('"', '""') + '"'


def _by_job(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return one outcome a job, in order of ids: of the newest claim, as only that one can be current."""
    ids = [outcome.job_id for outcome in outcomes]
    if ids and ids[0] > 0 and ids[-1] <= MAX_ID and all(map(lt, ids, ids[1:])):  # as they are if jobs are quick
        return [*outcomes]
    newest: dict[int, Outcome] = {}
    for outcome in outcomes:
        other = newest.get(outcome.job_id)
        if other is None or other.claim < outcome.claim:
            newest[outcome.job_id] = outcome
    return [newest[id_] for id_ in sorted(newest) if 0 < id_ <= MAX_ID]


def _columns_of_ends(outcomes: Sequence[Outcome]) -> list[Any]:
    """Return the parameters of `finish` that say more than that a job has succeeded."""
    return [
        _unless_all([outcome.delay.total_seconds() for outcome in outcomes], usual=0.0),
        _unless_all([outcome.queue for outcome in outcomes]),
        _unless_all([outcome.priority for outcome in outcomes]),
        _unless_all([outcome.lock is not UNCHANGED for outcome in outcomes], usual=False),
        _unless_all([None if outcome.lock is UNCHANGED else outcome.lock for outcome in outcomes]),
        _unless_all([None if outcome.error is None else dump(outcome.error) for outcome in outcomes]),
        _unless_all([outcome.result for outcome in outcomes]),
        _unless_all([outcome.reason for outcome in outcomes]),
    ]


def _array(numbers: Sequence[int]) -> str:
    """Return numbers as PostgreSQL writes an array of them: psycopg takes ten times as long, one by one."""
    return "{" + ",".join(map(str, numbers)) + "}"


def _unless_all(values: list[T], usual: object = None) -> list[T] | None:
    """Return None, which the function reads as the usual value everywhere, if every value is that."""
    return None if values.count(cast("T", usual)) == len(values) else values


def _within(id_: int) -> int:
    return id_ if -MAX_ID <= id_ <= MAX_ID else max(-MAX_ID, min(id_, MAX_ID))
