"""Jobs that are to be stored, as the database is given them and as it answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString, TypeVar, cast

from pq_core.answers import Deferred, Status
from pq_core.errors import InvalidArguments, InvalidJob
from pq_core.job import MAX_LOSSES, NewJob
from pq_core.payload import dump_lines, dump_mapping
from pq_core.unique import already_deferred

T = TypeVar("T")
_DICT: Any = dict
"""Any, so that what is tested for it stays what it is to pyright."""

DEFER = "%s, %s::json, %s, %s::smallint, %s, %s, %s::timestamptz, %s::interval, %s::smallint, %s::json, %s::timestamptz"
DEFER_PLAINLY = "%s, %s::json, %s, %s::smallint"
DEFER_WITH_TERMS: LiteralString = f"{DEFER}, %s, %s::int, %s, %s, %s::interval, %s, %s::timestamptz, %s::interval"
# Arrays are sent as texts: a driver that is given lists looks at each element, which takes longer than all the rest.
_LINES = "string_to_array(%s::text, E'\\n')"
DEFER_MANY: LiteralString = (
    f"%s::text::text[], {_LINES}, %s::text::text[], %s::text::smallint[], %s::text::text[], %s::text::text[],"
    f" %s::text::timestamptz[], %s::text::float8[], %s::text::smallint[], {_LINES}, %s::timestamptz"
)
DEFER_MANY_WITH_TERMS: LiteralString = (
    f"{DEFER_MANY}, %s::text::text[], %s::text::int[], %s::text::text[], %s::text::text[], %s::text::float8[],"
    " %s::text::text[], %s::text::timestamptz[], %s::text::float8[]"
)


def job_values(job: NewJob) -> list[Any]:
    """Return what `DEFER` takes of one job, all but the time.

    Raises:
        InvalidArguments, InvalidJob: arguments or metadata cannot be stored.
    """
    args, metadata = _payload(job)
    return [
        *(job.task, args, job.queue, job.priority, job.lock, job.lock_mode, job.scheduled_at, job.delay),
        *(job.max_losses, metadata),
    ]


def plain_values(job: NewJob) -> list[Any] | None:
    """Return what `DEFER_PLAINLY` takes of a job; None if that does not say all.

    Whether it does is noted in the job of which this one was filled in, so that it is found out once.
    """
    model: NewJob = vars(job).get("_model", job)
    plain = vars(model).get("_plain")
    if plain is None:
        plain = vars(model)["_plain"] = _is_plain(model)
    if not plain or type(job.metadata) is not _DICT or job.metadata:
        return None
    return [job.task, dump_mapping(job.args, "args", error=InvalidArguments), job.queue, job.priority]


def _is_plain(job: NewJob) -> bool:
    timed = job.scheduled_at is not None or job.delay is not None
    locked = job.lock is not None or job.lock_mode != "ordered"
    return job.has_usual_terms and job.max_losses == MAX_LOSSES and not timed and not locked


def term_values(job: NewJob) -> list[Any]:
    """Return what `DEFER_WITH_TERMS` takes after that."""
    return [
        *(job.delivery, job.version, job.unique_key, job.unique_scope, job.unique_period),
        *(job.on_conflict, job.expires_at, job.expires_in),
    ]


def job_columns(jobs: Sequence[NewJob], like: Sequence[NewJob]) -> list[str]:
    """Return one text for each parameter of `DEFER_MANY`, all but the time.

    Args:
        jobs: what to store.
        like: the same, or one that is like them in all but arguments and unique key.

    Raises:
        InvalidArguments, InvalidJob: of the first job whose arguments or metadata cannot be stored, with its place.
    """
    args = dump_lines([job.args for job in jobs])
    metadata = dump_lines([job.metadata for job in like])
    if args is None or metadata is None:
        args, metadata = _looked_at(jobs)
    elif len(like) > 1:
        metadata = "\n".join(_once_if_alike(metadata.split("\n")))
    return [
        _texts([job.task for job in like]),
        args,
        _texts([job.queue for job in like]),
        _numbers([job.priority for job in like]),
        _texts([job.lock for job in like]),
        _texts([job.lock_mode for job in like]),
        _moments([job.scheduled_at for job in like]),
        _seconds([job.delay for job in like]),
        _numbers([job.max_losses for job in like]),
        metadata,
    ]


def _looked_at(jobs: Sequence[NewJob]) -> tuple[str, str]:
    """Return arguments and metadata, one a line: JSON as it is made here has no line breaks."""
    payloads: list[tuple[str, str]] = []
    for place, job in enumerate(jobs):
        try:
            payloads.append(_payload(job))
        except InvalidJob as refused:
            raise refused.at(place) from None
    args, metadata = zip(*payloads, strict=True)
    return "\n".join(args), "\n".join(_once_if_alike(metadata))


def term_columns(jobs: Sequence[NewJob], like: Sequence[NewJob]) -> list[str]:
    """Return one text for each parameter that `DEFER_MANY_WITH_TERMS` takes after that."""
    return [
        _texts([job.delivery for job in like]),
        _numbers([job.version for job in like]),
        _texts([job.unique_key for job in jobs]),
        _texts([job.unique_scope for job in like]),
        _seconds([job.unique_period for job in like]),
        _texts([job.on_conflict for job in like]),
        _moments([job.expires_at for job in like]),
        _seconds([job.expires_in for job in like]),
    ]


def read_deferred(
    jobs: Sequence[NewJob], ids: Sequence[int | None], statuses: Sequence[str | None] | None
) -> list[Deferred]:
    """Return what became of each job.

    Args:
        jobs: as they were to be stored.
        ids: in their order.
        statuses: likewise; None: all are new.

    Raises:
        AlreadyDeferred: one has the status ``taken``; nothing was stored.
    """
    if statuses is None:
        return [Deferred(cast("int", id_)) for id_ in ids]
    if "taken" in statuses:
        place = statuses.index("taken")
        raise already_deferred(jobs[place], ids[place], place if len(jobs) > 1 else None)
    return [Deferred(cast("int", id_), cast("Status", status)) for id_, status in zip(ids, statuses, strict=True)]


def _payload(job: NewJob) -> tuple[str, str]:
    args = dump_mapping(job.args, "args", error=InvalidArguments)
    return args, dump_mapping(job.metadata, "metadata", error=InvalidJob)


def _once_if_alike(values: Sequence[T]) -> Sequence[T]:
    """Return one value for all, which the function takes too, if all are equal: most batches are of one task."""
    return values[:1] if values.count(values[0]) == len(values) else values


def _texts(values: Sequence[str | None]) -> str:
    values = _once_if_alike(values)
    if None in values:
        return _array(["NULL" if value is None else f'"{_escaped(value)}"' for value in values])
    # No text that is stored holds NUL.
    joined = _escaped("\0".join(cast("Sequence[str]", values))).replace("\0", '","')
    return f'{{"{joined}"}}'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _numbers(values: Sequence[float | None]) -> str:
    return _array(["NULL" if value is None else repr(value) for value in _once_if_alike(values)])


def _seconds(lengths: Sequence[timedelta | None]) -> str:
    return _numbers([None if length is None else length.total_seconds() for length in _once_if_alike(lengths)])


def _moments(moments: Sequence[datetime | None]) -> str:
    return _array(["NULL" if moment is None else f'"{moment.astimezone(UTC)}"' for moment in _once_if_alike(moments)])


def _array(elements: Sequence[str]) -> str:
    return "{" + ",".join(elements) + "}"
