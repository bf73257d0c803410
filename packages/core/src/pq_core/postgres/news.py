"""What notifications say, and what a connector that listens remembers of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import attrs

from pq_core.hearing import Hearer
from pq_core.postgres.line import Line

Queues: TypeAlias = tuple[str, ...] | None
MOST_CLAIMED = 10
"""Jobs that are claimed at most because they were named; more are fetched."""
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
        lines: the connections.
    """

    followers: list[Callable[[Notice], None]] = attrs.field(factory=list[Callable[[Notice], None]])
    restarted: list[Callable[[], None]] = attrs.field(factory=list[Callable[[], None]])
    lines: list[Line] = attrs.field(factory=list[Line])
    _listening: int = 0
    _told: dict[Queues, list[Notice]] = attrs.field(factory=dict[Queues, list[Notice]])

    @property
    def listening(self) -> bool:
        """Whether all that is told is heard."""
        return self._listening > 0

    @contextmanager
    def heard(self) -> Generator[None]:
        """Be heard for a block, in which a connection listens."""
        self._listening += 1
        try:
            self._told.clear()
            for restart in self.restarted:
                restart()
            yield
        finally:
            self._listening -= 1

    def hear(self, notice: Notice) -> None:
        """Tell of a notice."""
        for queues, told in self._told.items():
            if (queues is None or notice.queue in queues) and len(told) <= MOST_CLAIMED:
                told.append(notice)
        for follow in self.followers:
            follow(notice)

    def begin(self, queues: Queues) -> None:
        """Take note that a fetch from these queues begins: what is told from now on, it may miss."""
        self._told[queues] = []

    def end(self, queues: Queues, *, empty: bool) -> None:
        """Take note that it has ended; `empty`: it has left nothing that was told before."""
        if not empty:
            self._told.pop(queues, None)

    def named(self, queues: Queues, limit: int) -> list[int]:
        """Return the jobs of which this is news, if that is all there may be, and few; else none. Forget them."""
        told = self._told.pop(queues, [])
        if not all(notice.ids and isinstance(notice.ids, tuple) for notice in told):
            return []
        ids = sorted({id_ for notice in told for id_ in notice.ids})
        return ids if len(ids) <= min(limit, MOST_CLAIMED) else []


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
