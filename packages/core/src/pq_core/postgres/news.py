"""What notifications say, and what a connector that listens remembers of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import attrs

from pq_core.hearing import Hearer

QUEUE = "queue:"
"""What a notification of jobs begins with; see the function announce."""


@attrs.frozen
class Notice:
    """That jobs of a queue may be fetched, told when it was committed.

    Attributes:
        ids: of the jobs, if they are few; a range of ids, in which also others may lie, if they are many; nothing if it
            is not known which.
        waiting: how many workers waited when it was sent; None if that is not known.
        queue: its name.
    """

    ids: Sequence[int]
    waiting: int | None
    queue: str

    @classmethod
    def read(cls, payload: str) -> Notice | None:
        """Return what a notification says, or None if it tells of something else, or is not one of pq's."""
        if not payload.startswith(QUEUE):
            return None
        try:
            ids, waiting, queue = payload.removeprefix(QUEUE).split(":", 2)
            return cls(_ids(ids), int(waiting) if waiting else None, queue)
        except ValueError:
            return None


def _ids(text: str) -> Sequence[int]:
    first, hyphen, last = text.partition("-")
    if hyphen:
        return range(int(first), int(last) + 1)
    return tuple(map(int, text.split(","))) if text else ()


@attrs.define(eq=False)
class News:
    """What a connector hears while it listens, from whichever of its listening connections.

    Attributes:
        followers: are called with each notice about jobs, of any queue, in the order in which they were committed.
        restarted: are called when a connection has begun to listen: what was told before, nobody has heard.
    """

    followers: list[Callable[[Notice], None]] = attrs.field(factory=list[Callable[[Notice], None]])
    restarted: list[Callable[[], None]] = attrs.field(factory=list[Callable[[], None]])
    _listening: int = 0

    @property
    def listening(self) -> bool:
        """Whether all that is told is heard."""
        return self._listening > 0

    @contextmanager
    def heard(self) -> Generator[None]:
        """Be heard for a block, in which a connection listens."""
        self._listening += 1
        try:
            for restart in self.restarted:
                restart()
            yield
        finally:
            self._listening -= 1

    def hear(self, notice: Notice) -> None:
        """Tell of a notice."""
        for follow in self.followers:
            follow(notice)


@attrs.frozen
class PlainHearer:
    """Wakes somebody who does not tell news of jobs and of stops apart, and has no use for others."""

    wake: Callable[[], None]

    def __call__(self) -> None:
        self.wake()

    def started(self) -> None:
        self.wake()

    def jobs(self) -> None:
        self.wake()

    def stop(self, worker: int) -> None:  # noqa: ARG002 - by this name in Hearer
        self.wake()

    def schedules(self) -> None:
        pass


def tell(payload: str, hearer: Hearer) -> None:
    """Tell of a notification that is not about jobs."""
    kind, _, rest = payload.partition(":")
    if kind == "stop" and rest.isdecimal():
        hearer.stop(int(rest))
    elif kind == "schedules":
        hearer.schedules()
    elif kind != "ended":  # those who wait for an end listen by themselves
        hearer()
