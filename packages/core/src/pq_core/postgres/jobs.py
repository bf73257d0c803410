"""Jobs, as the database answers them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

from pq_core.answers import Fetched, JobState
from pq_core.fact import fact_of
from pq_core.job import Job
from pq_core.payload import load, load_all
from pq_core.states import State

Row = tuple[Any, ...]

JOB_COLUMNS = (
    "id, task, args::text, queue, priority, lock, lock_mode, state, attempt, claim, losses, max_losses, scheduled_at,"
    " created_at, started_at, finished_at, worker, cancel_requested_at, errors::text, result::text, reason,"
    " metadata::text, progress::text, delivery, version, unique_key, unique_scope, expires_at"
)
# JSON as text: most of it is empty, and is then read without a parser. Times as text: few tasks ask for them.
FETCHED_COLUMNS = (
    "id, task, args::text, queue, priority, lock, lock_mode, attempt, claim, losses, max_losses, scheduled_at::text,"
    " created_at::text, started_at::text, cancel_requested_at, reason, errors::text, metadata::text, terms::text,"
    " again, solo, next_in, set_aside"
)
_ID = itemgetter(0)


def read_fetched(rows: list[Row], worker: int) -> Fetched:
    """Read rows of `FETCHED_COLUMNS`, the last of which holds no job, but what else fetch() answers."""
    again, solo, next_in, set_aside = rows.pop()[-4:]
    return Fetched(jobs=read_claimed(rows, worker), again=again, solo=solo, next_in=next_in, set_aside=set_aside)


def read_named(rows: list[Row], worker: int) -> tuple[list[Job], bool]:
    """Read rows of claim(); return the jobs, and whether it is left to fetch() to find some."""
    if rows and rows[0][0] is None:
        return [], True
    return read_claimed(rows, worker), False


def read_claimed(rows: list[Row], worker: int) -> list[Job]:
    """Read rows of `FETCHED_COLUMNS` that are all jobs; the first to run first."""
    rows.sort(key=_ID)
    jobs = [_fetched(row, args, worker) for row, args in zip(rows, _arguments(rows), strict=True)]
    if len({job.priority for job in jobs}) > 1:
        jobs.sort(key=lambda job: -job.priority)  # those of one priority stay in the order of their ids
    return jobs


def with_terms(read: Callable[[list[Row]], Fetched]) -> Callable[[list[Row]], tuple[Fetched, str]]:
    """Return a reader of rows of `FETCHED_COLUMNS` that also gives the terms of the last row."""

    def both(rows: list[Row]) -> tuple[Fetched, str]:
        terms: str = rows[-1][18]
        return read(rows), terms

    return both


def _arguments(rows: list[Row]) -> list[Any]:
    """Read the arguments of all jobs at once; give back the texts if one of them is not to be read."""
    texts = [row[2] for row in rows]
    try:
        return load_all(texts)
    except (ValueError, RecursionError):
        return texts


def _fetched(row: Row, args: Any, worker: int) -> Job:
    id_, task, text, queue, priority, lock, lock_mode, attempt, claim, losses, max_losses = row[:11]
    scheduled_at, created_at, started_at, cancel_requested_at, reason, errors, metadata, terms = row[11:19]
    fields: dict[str, Any] = {
        "id": id_,
        "task": task,
        "args": args,
        "queue": queue,
        "priority": priority,
        "lock": lock,
        "lock_mode": lock_mode,
        "state": State.RUNNING,
        "attempt": attempt,
        "claim": claim,
        "losses": losses,
        "max_losses": max_losses,
        "scheduled_at_text": scheduled_at,
        "created_at_text": created_at,
        "started_at_text": started_at,
        "worker": worker,
        "reason": reason,
    }
    if cancel_requested_at is not None:
        fields["cancel_requested_at"] = cancel_requested_at.astimezone(UTC)
    if terms is not None or errors != "[]" or metadata != "{}" or type(args) is not dict:
        unusual = {} if terms is None else _terms(terms)
        carried = _carried(text, errors, metadata, None, unusual.pop("progress", None))
        fields |= unusual | dict(zip((*_CARRIED, "unreadable"), carried, strict=True))
    return fact_of(Job, fields)


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
