"""Jobs, as the database answers them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pq_core.answers import Fetched, JobState
from pq_core.job import Job
from pq_core.payload import load
from pq_core.states import State

Row = tuple[Any, ...]

JOB_COLUMNS = (
    "id, task, args::text, queue, priority, lock, lock_mode, state, attempt, claim, losses, max_losses, scheduled_at,"
    " created_at, started_at, finished_at, worker, cancel_requested_at, errors::text, result::text, reason,"
    " metadata::text, progress::text, delivery, version, unique_key, unique_scope, expires_at"
)
# JSON as text: most of it is empty, and is then read without a parser.
FETCHED_COLUMNS = (
    "id, task, args::text, queue, priority, lock, lock_mode, attempt, claim, losses, max_losses, scheduled_at,"
    " created_at, started_at, cancel_requested_at, reason, errors::text, metadata::text, terms::text, again,"
    " solo, next_in"
)


def read_fetched(rows: list[Row], worker: int) -> Fetched:
    """Read rows of `FETCHED_COLUMNS`, the last of which holds no job, but what else fetch() answers."""
    again, solo, next_in = rows.pop()[-3:]
    jobs: list[Job] = []
    for row in rows:
        terms: dict[str, Any] = {} if row[18] is None else _terms(row[18])
        said = terms.pop("progress", None)
        args, errors, metadata, _, progress, unreadable = _carried(row[2], row[16], row[17], None, said)
        job = Job(
            id=row[0],
            task=row[1],
            args=args,
            queue=row[3],
            priority=row[4],
            lock=row[5],
            lock_mode=row[6],
            state=State.RUNNING,
            attempt=row[7],
            claim=row[8],
            losses=row[9],
            max_losses=row[10],
            scheduled_at=row[11].astimezone(UTC),
            created_at=row[12].astimezone(UTC),
            started_at=row[13].astimezone(UTC),
            worker=worker,
            cancel_requested_at=row[14] and row[14].astimezone(UTC),
            reason=row[15],
            errors=errors,
            metadata=metadata,
            progress=progress,
            unreadable=unreadable,
            **terms,
        )
        jobs.append(job)
    jobs.sort(key=lambda job: (-job.priority, job.id))
    return Fetched(jobs=jobs, again=again, solo=solo, next_in=next_in)


def _terms(text: str) -> dict[str, Any]:
    """Read what is not as usual with a job; its progress stays JSON text."""
    terms = {name: value for name, value in load(text).items() if value is not None}
    if "expires_at" in terms:
        terms["expires_at"] = datetime.fromisoformat(terms["expires_at"]).astimezone(UTC)
    return terms


def read_job(row: Row) -> Job:
    """Read a row of `JOB_COLUMNS`."""
    names = (name.strip().removesuffix("::text") for name in JOB_COLUMNS.split(","))
    values: dict[str, Any] = {
        name: value.astimezone(UTC) if isinstance(value, datetime) else value
        for name, value in zip(names, row, strict=True)
    }
    carried = _carried(*(values[name] for name in _CARRIED))
    values |= zip((*_CARRIED, "unreadable"), carried, strict=True)
    values["state"] = State(values["state"])
    return Job(**values)


_CARRIED = ("args", "errors", "metadata", "result", "progress")


def _carried(
    args: str, errors: str, metadata: str, result: str | None = None, progress: str | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any], Any, Any, str | None]:
    """Read a job's JSON, and say why it could not be read, if so.

    Written by hand, it may nest deeper or have longer numbers than Python takes. One such job must not keep others from
    being fetched.
    """
    try:
        return (
            {} if args == "{}" else _object(args),
            [] if errors == "[]" else load(errors),
            {} if metadata == "{}" else _object(metadata),
            None if result is None else load(result),
            None if progress is None else load(progress),
            None,
        )
    except (ValueError, RecursionError) as reason:
        return {}, [], {}, None, None, f"what is stored of the job cannot be read: {reason}"


def _object(text: str) -> dict[str, Any]:
    value: dict[str, Any] = load(text)
    if type(value) is not dict:
        msg = f"{text[:80]} is not a JSON object"
        raise ValueError(msg)
    return value


def read_ids(rows: list[Row]) -> list[int]:
    """Read rows that are only an id."""
    return [row[0] for row in rows]


def read_states(rows: list[Row]) -> list[JobState]:
    """Read rows of an id and a state."""
    return [JobState(id_, State(state)) for id_, state in rows]
