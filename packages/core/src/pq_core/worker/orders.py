"""What a worker and its children say to each other."""

from __future__ import annotations

from typing import Any

import attrs

from pq_core.job import Job
from pq_core.worker.packed_error import PackedError


@attrs.frozen(kw_only=True)
class SetUp:
    """The first thing that a child is told.

    Attributes:
        app: the name by which to import it, ``package.module:app``.
        connector: the worker's, pickled; None if the child cannot have it.
    """

    app: str
    connector: bytes | None


READY = "ready"
"""The first thing that a child says: it has imported the app, or tried to."""


@attrs.frozen(kw_only=True)
class Order:
    """A job to run.

    Attributes:
        job: as it was claimed.
        args: of the task, by position, without the context.
        kwargs: of the task, by name.
        worker_name: for the context.
    """

    job: Job
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    worker_name: str


@attrs.frozen(kw_only=True)
class Answer:
    """What came of it.

    Attributes:
        result: JSON text, or None if there is no result.
        error: what the task raised, if it did.
    """

    result: str | None = None
    error: PackedError | None = None
