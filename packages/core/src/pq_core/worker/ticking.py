"""Ticking: from schedules that are due to the jobs of their ticks. Whoever ticks, no two do so twice.

The store says what is due, by its own clock, and makes each move once; which ticks a cron text means is worked out
here. So workers need no leader, and no agreement on the time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs

from pq_core.connector import Connector
from pq_core.errors import InvalidOption
from pq_core.log import fields
from pq_core.schedule import Move, NewSchedule, Schedule, Ticked

logger = logging.getLogger("pq_core.worker")

GRACE = timedelta(seconds=10)
"""A tick older than that was missed: no worker was there, or none could reach the store."""
MOST_TICKS = 100
"""Jobs that one move stores at most; with more to do, the schedule is due again at once."""
MOST_IN_ONE_CALL = 1_000
PAUSE = 1.0
"""Seconds after which schedules are looked at again that could not be moved."""
_INSTANT = timedelta(microseconds=1)


@attrs.frozen
class Tick:
    """A tick for which a job was stored, unless its unique key was taken.

    .. versionadded:: 0.1
    """

    schedule: str
    at: datetime


def plan(schedule: Schedule, now: datetime) -> Move:
    """Return how a schedule that is due goes on.

    A tick is *in time* if it is at most ten seconds old; else it was missed. Those in time are made. Of missed ones,
    ``none`` drops all, ``last`` drops all but the last, and that too if a later one is in time; ``all`` drops none. A
    tick older than `max_delay` is dropped.

    Raises:
        InvalidOption: the schedule was edited by hand, and its cron text or time zone means nothing.
    """
    cron = schedule.ticks
    first = schedule.comes_next
    if first > now:
        return Move(id=schedule.id, revision=schedule.revision, next_tick=first)
    start = _start(schedule, first, now)
    ticks: list[datetime] = []
    following = start
    while following <= now and len(ticks) < MOST_TICKS:
        ticks.append(following)
        following = cron.after(following)
    return Move(
        id=schedule.id,
        revision=schedule.revision,
        next_tick=following,
        ticks=ticks,
        dropped=first if start > first else None,
    )


def _start(schedule: Schedule, first: datetime, now: datetime) -> datetime:
    """Return the first tick from which on all are made; it may be later than now."""
    oldest = first
    if schedule.max_delay is not None:
        oldest = _from(schedule, now - schedule.max_delay, first)
    if schedule.catch_up == "all" or oldest > now:
        return oldest
    in_time = _from(schedule, now - GRACE, oldest)
    if in_time <= now or schedule.catch_up == "none":
        return in_time
    return schedule.ticks.last(oldest, now)


def _from(schedule: Schedule, moment: datetime, first: datetime) -> datetime:
    """Return the first tick that is neither before `moment` nor before `first`, a tick."""
    return first if moment <= first else schedule.ticks.after(moment - _INSTANT)


@attrs.define(kw_only=True, eq=False)
class Ticker:
    """Stores the jobs of schedules, its own and all others of the store.

    Attributes:
        connector: the store.
        declared: schedules that code declares.
        made: ticks that this ticker has made, if it is to keep them.
    """

    connector: Connector
    declared: Sequence[NewSchedule] = ()
    made: list[Tick] | None = None

    async def declare(self, now: datetime | None = None) -> None:
        """Say which schedules code declares."""
        if self.declared:
            await self.connector.put_schedules(self.declared, declared=True, now=now)

    async def tick(self, now: datetime | None = None) -> float | None:
        """Store the jobs of all ticks that are due; return the seconds until the next one, or None if there is none.

        Args:
            now: see :mod:`pq_core.connector`.
        """
        ticked = await self.connector.tick([], now=now)
        while ticked.due:
            moves = list(_at_most(MOST_IN_ONE_CALL, _moves(ticked)))
            if not moves:
                return PAUSE
            ticked = await self.connector.tick(moves, now=now)
            moved = frozenset(ticked.moved)
            for move in moves:
                if move.id in moved:
                    self._tell(move)
            if not moved:
                # Others have them in hand.
                return PAUSE if ticked.next_in is None else min(PAUSE, ticked.next_in)
        return ticked.next_in

    def _tell(self, move: Move) -> None:
        if self.made is not None:
            self.made += [Tick(move.id, tick) for tick in move.ticks]
        if move.dropped is not None:
            made = f"{len(move.ticks)} are made up for" if move.ticks else "none is made up for"
            message = "Schedule %s missed ticks from %s on: %s"
            extra = fields("ticks_missed", schedule=move.id, since=move.dropped.isoformat(), made=len(move.ticks))
            logger.warning(message, move.id, move.dropped, made, extra=extra)


def _moves(ticked: Ticked) -> Iterator[Move]:
    for schedule in ticked.due:
        try:
            yield plan(schedule, ticked.now)
        except InvalidOption as reason:
            extra: dict[str, Any] = fields("schedule_broken", schedule=schedule.id)
            logger.error("Schedule %s does not tick: %s", schedule.id, reason, extra=extra)  # noqa: TRY400 - it says it


def _at_most(ticks: int, moves: Iterable[Move]) -> Iterator[Move]:
    """Yield moves until they have that many ticks together."""
    count = 0
    for move in moves:
        yield move
        count += len(move.ticks)
        if count >= ticks:
            return
