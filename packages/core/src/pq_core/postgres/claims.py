"""Claiming what one was just told of, by a prepared statement of the connection that has told."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from pq_core.given import check_worker
from pq_core.postgres.jobs import FETCHED_COLUMNS
from pq_core.postgres.line import Answer, Line
from pq_core.postgres.notices import Notice
from pq_core.postgres.statements import quote

NAME = "pq_claim"
"""The prepared statement."""
REHEARSE = f"execute {NAME} (0, null, '{{}}')"
"""Claims nothing: what is run for the first time takes the server ten times as long."""


def prepare(schema: str) -> str:
    """Return how to prepare it."""
    # The schema is quoted, and nothing else is from outside.
    call = f"{quote(schema)}.claim($1, $2, $3)"
    return f"prepare {NAME} (bigint, text[], bigint[]) as select {FETCHED_COLUMNS} from {call}"  # noqa: S608


@attrs.frozen
class Claim:
    """What is under way for a worker.

    Attributes:
        told: what it was told.
        answer: rows of `FETCHED_COLUMNS`.
    """

    told: list[Notice]
    answer: Answer

    @classmethod
    def send(cls, line: Line, worker: int, queues: Sequence[str] | None, told: list[Notice]) -> Claim:
        """Ask for all jobs that are named."""
        ids = sorted({id_ for notice in told for id_ in notice.ids})
        names = None if queues is None else _array([_quoted(queue) for queue in queues])
        return cls(told, line.ask(str(check_worker(worker)).encode(), names, _array(list(map(str, ids)))))


def _array(elements: Sequence[str]) -> bytes:
    return ("{" + ",".join(elements) + "}").encode()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
