"""The rules for schedules, of connectors that store them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pq_core.errors import Unsupported
from pq_core.job import NewJob
from pq_core.schedule import Move, NewSchedule, Schedule, Ticked
from pq_testing.conformance.scene import EVERYTHING
from pq_testing.model import values
from pq_testing.model.pair import Difference, Pair, Side
from pq_testing.model.rules import Rules

IDS = ("a", "b", "ä '")
MINUTE = timedelta(minutes=1)


def _timeless(job: NewJob) -> NewJob:
    """Return the job as a schedule may store it; keys that an open transaction may hold are the suite's."""
    return attrs.evolve(job, scheduled_at=None, delay=None, expires_at=None, unique_key=None, unique_period=None)


schedule_ids = st.sampled_from(IDS)
schedules = st.builds(
    NewSchedule,
    id=schedule_ids,
    job=values.new_jobs.map(_timeless),
    cron=st.sampled_from(("* * * * *", "0 0 * * *")),
    timezone=st.sampled_from(("UTC", "Europe/Paris")),
    catch_up=st.sampled_from(("none", "last", "all")),
    max_delay=st.none() | st.sampled_from((MINUTE, 60 * MINUTE)),
)
acts = st.sampled_from(("put", "declare", "put where none is", "pause", "resume", "remove"))


class ScheduleRules(Rules):
    """What may be done with schedules."""

    stores_schedules = True

    async def set_up(self) -> Pair:
        """Find out whether there can be schedules."""
        pair = await super().set_up()
        try:
            await pair.subject.connector.schedules([])
        except Unsupported:
            self.stores_schedules = False
        return pair

    @precondition(lambda self: self.stores_schedules)
    @rule(act=acts, schedule=schedules, twin=st.booleans())
    def change_schedules(self, act: str, schedule: NewSchedule, *, twin: bool) -> None:
        """Store, pause, resume or remove one."""
        options: dict[str, Any] = {"now": self.now, "twin": twin}

        async def ask(side: Side) -> list[str]:
            if act == "remove":
                answer: list[str] = await side.call("remove_schedules", [schedule.id], **options)
            elif act in ("pause", "resume"):
                answer = await side.call("pause_schedules", [schedule.id], paused=act == "pause", **options)
            else:
                how = {"declared": act == "declare", "replace": act != "put where none is"}
                answer = await side.call("put_schedules", [schedule], **how, **options)
            return answer

        self.step_of_schedules(act, ask)

    @precondition(lambda self: self.stores_schedules)
    @rule(
        which=st.lists(schedule_ids, min_size=1, max_size=3),
        stale=st.sampled_from((0, 0, 0, 1)),
        ages=st.lists(st.sampled_from((0, 1, 60, 3600)), max_size=3),
        ahead=st.sampled_from((0, 1, 60, 100_000)),
    )
    def tick(self, which: Sequence[str], stale: int, ages: Sequence[int], ahead: int) -> None:
        """Move some on, with ticks or without; some by a revision that they do not have."""
        whole = self.now.replace(microsecond=0)

        async def ask(side: Side) -> Ticked:
            stored: list[Schedule] = await side.call("schedules", which, now=self.now)
            moves = [
                Move(
                    id=found.id,
                    revision=found.revision + stale * 1_000_000,
                    next_tick=whole + timedelta(seconds=ahead),
                    ticks=[whole - timedelta(seconds=age) for age in sorted(ages, reverse=True)],
                )
                for found in stored
            ]
            answer: Ticked = await side.call("tick", moves, now=self.now)
            jobs = await side.connector.find(EVERYTHING, limit=100_000, now=self.now)
            side.learn([job.id for job in jobs if job.id not in side.numbers])
            return answer

        self.step_of_schedules("tick", ask)

    def step_of_schedules(self, what: str, ask: Any) -> None:
        """Ask both, then compare their schedules, and their jobs."""
        expected, actual = self.step(what, ask)
        if isinstance(expected, Ticked):
            self.same(what, _plain_ticked(expected), _plain_ticked(actual))

        async def listed(side: Side) -> list[str]:
            return [repr(_plain(found)) for found in await side.call("schedules", now=self.now)]

        self.run(lambda: self.pair.ask(f"schedules after {what}", listed))

    def same(self, what: str, expected: object, actual: object) -> None:
        """Compare two answers."""
        if expected != actual:
            raise Difference(f"{what}\n    in memory: {expected}\n    here:      {actual}")


def _plain(schedule: Schedule) -> Schedule:
    """Return a schedule without its revision, of which some may be left out."""
    return attrs.evolve(schedule, revision=0)


def _plain_ticked(ticked: Ticked) -> object:
    next_in = None if ticked.next_in is None else round(ticked.next_in, 3)
    return (ticked.now, list(ticked.moved), [repr(_plain(found)) for found in ticked.due], next_in)
