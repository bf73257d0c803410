"""What a connector that listens remembers of what it was told, and whom it tells."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeAlias

import attrs

from pq_core.hearing import Hearer
from pq_core.postgres.herd import Herd
from pq_core.postgres.line import Line
from pq_core.postgres.notices import ENDED, PROOF, Notice, after

Queues: TypeAlias = tuple[str, ...] | None
MOST_CLAIMED = 10
"""Jobs that are claimed at most because they were named; more are fetched."""
WHO_COME = 4
"""Of so many idle workers, each may come for a job at once."""
BETWEEN_COMERS = 0.002
"""Seconds between two of these, on average, if there are more."""
LEAST_PATIENCE = 0.01
LONGEST_WORD = 0.05
"""Seconds in which one who has come sooner has surely looked at all, and told of it."""


@attrs.define(eq=False)
class News:
    """What a connector hears while it listens, from whichever of its listening connections.

    Attributes:
        followers: are called with each notice about jobs, of any queue, in the order in which they were committed.
        restarted: are called when a connection has begun to listen: what was told before, nobody has heard.
        lines: the connections.
        herds: who is to be woken, one for each connection.
        others: workers that there are besides, as far as is known.
    """

    followers: list[Callable[[Notice], None]] = attrs.field(factory=list[Callable[[Notice], None]])
    restarted: list[Callable[[], None]] = attrs.field(factory=list[Callable[[], None]])
    lines: list[Line] = attrs.field(factory=list[Line])
    herds: list[Herd] = attrs.field(factory=list[Herd])
    others: int = 0
    _patience: float = 1.0
    _listening: int = 0
    _last: dict[str, int] = attrs.field(factory=dict[str, int])
    _looked_at: dict[str, int] = attrs.field(factory=dict[str, int])
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
            self._last.clear()
            for restart in self.restarted:
                restart()
            yield
        finally:
            self._listening -= 1

    @property
    def spread(self) -> float:
        """Seconds within which to come for a job, so that few of many idle workers do."""
        return max(0.0, self.others / WHO_COME - 1) * BETWEEN_COMERS * self._patience

    def won(self) -> None:
        """Take note that nobody else was as soon: the others may be busy."""
        self._patience = self._patience / 2 if self._patience > LEAST_PATIENCE else 0.0

    def came_late(self) -> None:
        """Take note that somebody else was sooner."""
        self._patience = 1.0

    def taken(self, queue: str, first: int) -> None:
        """Hear that somebody has looked at all that was told of a queue until the notice whose first job that is."""
        if self._last.get(queue) == first:
            del self._last[queue]
        for queues, told in self._told.items():
            self._told[queues] = after(told, queue, first)

    def settled(self, queues: Queues) -> list[tuple[str, int]]:
        """Return the notices, by queue and first job, that are to be told of as taken, after a look has found no more.

        That look has begun when they had been heard, see `begin`.
        """
        if self.others < WHO_COME:
            return []
        heard, self._looked_at = self._looked_at, {}
        return [
            (queue, first)
            for queue, first in heard.items()
            if self._last.get(queue) == first and (queues is None or queue in queues)
        ]

    def hear(self, notice: Notice) -> None:
        """Tell of a notice."""
        if notice.ids:
            self._last[notice.queue] = notice.first
        else:
            self._last.pop(notice.queue, None)
        for queues, told in self._told.items():
            if (queues is None or notice.queue in queues) and len(told) <= MOST_CLAIMED:
                told.append(notice)
        for follow in self.followers:
            follow(notice)

    def begin(self, queues: Queues) -> None:
        """Take note that a fetch from these queues begins: what is told from now on, it may miss."""
        self._told[queues] = []
        self._looked_at = dict(self._last)

    def end(self, queues: Queues, *, empty: bool) -> None:
        """Take note that it has ended; `empty`: it has left nothing that was told before."""
        if not empty:
            self._told.pop(queues, None)

    def named(self, queues: Queues, limit: int) -> list[Notice]:
        """Return the news, if that is all there may be, and names few jobs; else nothing. Forget it."""
        told = self._told.pop(queues, [])
        if not all(notice.ids and isinstance(notice.ids, tuple) for notice in told):
            return []
        return told if sum(len(notice.ids) for notice in told) <= min(limit, MOST_CLAIMED) else []

    def lost(self, queues: Queues, told: list[Notice]) -> bool:
        """Take note that others have all that was named; return whether it is enough to wait for their word."""
        self.came_late()
        herds = [herd for herd in self.herds if herd.queues == (None if queues is None else frozenset(queues))]
        if not self.spread or not herds:
            return False
        for herd in herds:
            herd.watch(told, LONGEST_WORD + self.spread)
        return True


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
    elif not payload.startswith((ENDED, PROOF)):  # who waits for an end, or a proof, listens for it himself
        hearer()
