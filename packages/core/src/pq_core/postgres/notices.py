"""What notifications of jobs say."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

QUEUE = "queue:"
"""What a notification of jobs begins with; see the function announce."""
ENDED = "ended:"
"""What one begins with that tells of the end of a job; its id follows."""
PROOF = "hear:"
"""What one begins with by which a listener finds out that it hears."""
TAKEN = "taken:"
"""What one begins with that tells of a look which has found all that was told; a transaction and the queue follow."""


@attrs.frozen
class Notice:
    """That jobs of a queue may be fetched, told when it was committed.

    Attributes:
        transaction: its number, by which all that it told of a queue is known.
        ids: of the jobs, if they are few; a range of ids, in which also others may lie, if they are many; nothing if it
            is not known which.
        queue: its name.
    """

    transaction: int
    ids: Sequence[int]
    queue: str

    @classmethod
    def read(cls, payload: str) -> Notice | None:
        """Return what a notification says, or None if it tells of something else, or is not one of pq's."""
        if not payload.startswith(QUEUE):
            return None
        try:
            transaction, ids, queue = payload.removeprefix(QUEUE).split(":", 2)
            return cls(int(transaction), _ids(ids), queue)
        except ValueError:
            return None


@attrs.frozen
class Taken:
    """That somebody has looked at all that was told of a queue until the end of a transaction."""

    transaction: int
    queue: str

    @classmethod
    def read(cls, payload: str) -> Taken | None:
        """Return what a notification says, or None if it tells of something else."""
        transaction, _, queue = payload.removeprefix(TAKEN).partition(":")
        return cls(int(transaction), queue) if payload.startswith(TAKEN) and transaction.isdecimal() else None


def _ids(text: str) -> Sequence[int]:
    first, hyphen, last = text.partition("-")
    if hyphen:
        return range(int(first), int(last) + 1)
    return tuple(map(int, text.split(","))) if text else ()


def after(notices: list[Notice], queue: str, transaction: int) -> list[Notice]:
    """Return the notices without those of a queue up to the last of that transaction, if there is one."""
    told = [
        place for place, notice in enumerate(notices, 1) if (notice.queue, notice.transaction) == (queue, transaction)
    ]
    end = told[-1] if told else 0
    return [notice for notice in notices[:end] if notice.queue != queue] + notices[end:]
