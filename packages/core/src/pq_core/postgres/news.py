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


@attrs.frozen
class Look:
    """A fetch, and what had been heard when it began.

    Attributes:
        number: how many notices.
        unsure: queues of which the fetch has to make sure that it sees all that was told.
        last: the transaction that told last, by queue.
    """

    number: int
    unsure: list[str]
    last: dict[str, int]


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
    _count: int = 0
    _heard: dict[str, int] = attrs.field(factory=dict[str, int])
    _sure: dict[Queues, int] = attrs.field(factory=dict[Queues, int])
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
            self._heard.clear()
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

    def taken(self, queue: str, transaction: int) -> None:
        """Hear that somebody has looked at all that was told of a queue until that transaction."""
        if self._last.get(queue) == transaction:
            del self._last[queue]
        for queues, told in self._told.items():
            self._told[queues] = after(told, queue, transaction)

    def settled(self, queues: Queues, look: Look) -> list[tuple[str, int]]:
        """Return what is to be told of as taken, queues and transactions, after a look has found no more."""
        if self.others < WHO_COME:
            return []
        return [
            (queue, transaction)
            for queue, transaction in look.last.items()
            if self._last.get(queue) == transaction and (queues is None or queue in queues)
        ]

    def unsure(self, queues: Queues) -> list[str]:
        """Return of which queues something was told since a look was sure to miss nothing of that."""
        sure, names = self._sure.get(queues, 0), list[str]()
        for queue, number in reversed(self._heard.items()):
            if number <= sure:
                break
            if queues is None or queue in queues:
                names.append(queue)
        return names

    def hear(self, notice: Notice) -> None:
        """Tell of a notice."""
        self._last[notice.queue] = notice.transaction
        self._count += 1
        self._heard.pop(notice.queue, None)  # to stand last
        self._heard[notice.queue] = self._count
        for queues, told in self._told.items():
            if (queues is None or notice.queue in queues) and len(told) <= MOST_CLAIMED:
                told.append(notice)
        for follow in self.followers:
            follow(notice)

    def begin(self, queues: Queues) -> Look:
        """Take note that a fetch from these queues begins: what is told from now on, it may miss."""
        self._told[queues] = []
        return Look(self._count, self.unsure(queues), dict(self._last))

    def end(self, queues: Queues, look: Look, *, empty: bool) -> None:
        """Take note that it has ended; `empty`: it has left nothing that was told before."""
        if empty:
            self._sure[queues] = max(look.number, self._sure.get(queues, 0))
        else:
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
