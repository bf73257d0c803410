"""A filter of jobs as a condition on the view `all_jobs`. Nothing is run here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, LiteralString

from pq_core.given import MAX_ID, check_ids
from pq_core.payload import dump
from pq_core.selection import JobFilter

_SIMPLE: tuple[tuple[str, LiteralString], ...] = (
    ("queue", "queue = %s"),
    ("task", "task = %s"),
    ("lock", "lock = %s"),
    ("unique_key", "unique_key = %s"),
    ("created_after", "created_at >= %s::timestamptz"),
    ("created_before", "created_at < %s::timestamptz"),
    ("scheduled_after", "scheduled_at >= %s::timestamptz"),
    ("scheduled_before", "scheduled_at < %s::timestamptz"),
)


def condition(which: JobFilter, prefix: LiteralString) -> tuple[LiteralString, list[Any]]:
    """Return the text, each part after an ``and``, and the parameters.

    Only the conditions given are written, so that each plan uses the index that fits.

    Args:
        which: the jobs that are meant.
        prefix: the schema of pq, quoted.
    """
    conditions: list[tuple[LiteralString, Any]] = []
    if which.ids is not None:
        conditions.append(("id = any(%s::bigint[])", plain_ids(which.ids)))
    if which.states is not None:
        conditions.append(("state = any(%s::text[])", [str(state) for state in which.states]))
    for name, text in _SIMPLE:
        if getattr(which, name) is not None:
            conditions.append((text, getattr(which, name)))
    if which.args:
        conditions.append((f"{prefix}.has_args(args, %s::jsonb)", dump(dict(which.args), "args")))
    return "".join(f" and {text}" for text, _ in conditions), [value for _, value in conditions]


def plain_ids(ids: Iterable[int]) -> list[int]:
    """Return ids sorted, less those that no job can have and those that are there twice."""
    return sorted({id_ for id_ in check_ids(ids) if 0 < id_ <= MAX_ID})
