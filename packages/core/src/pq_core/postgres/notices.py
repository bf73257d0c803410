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
"""What one begins with that tells of a look which has found all that was told; the first job and the queue follow."""


@attrs.frozen
class Notice:
    """That jobs of a queue may be fetched, told when it was committed.

    Attributes:
        ids: of the jobs, if they are few; a range of ids, in which also others may lie, if they are many; nothing if it
            is not known which.
        queue: its name.
    """

    ids: Sequence[int]
    queue: str

    @property
    def first(self) -> int:
        """The first of the ids, by which it is known; 0 if there is none."""
        return self.ids[0] if self.ids else 0

    @classmethod
    def read(cls, payload: str) -> Notice | None:
        """Return what a notification says, or None if it tells of something else, or is not one of pq's."""
        if not payload.startswith(QUEUE):
            return None
        try:
            ids, queue = payload.removeprefix(QUEUE).split(":", 1)
            return cls(_ids(ids), queue)
        except ValueError:
            return None


def _ids(text: str) -> Sequence[int]:
    first, hyphen, last = text.partition("-")
    if hyphen:
        return range(int(first), int(last) + 1)
    return tuple(map(int, text.split(","))) if text else ()


def after(notices: list[Notice], queue: str, first: int) -> list[Notice]:
    """Return the notices without those of a queue up to the one whose first job that is, if it is there."""
    for place, notice in enumerate(notices):
        if notice.queue == queue and notice.first == first:
            return [other for other in notices[:place] if other.queue != queue] + notices[place + 1 :]
    return notices
