"""Schedules: stored, paused, removed, and moved on from tick to tick."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from pq_core.connector import Connector
from pq_core.errors import InvalidArguments, InvalidOption, Unsupported
from pq_core.job import NewJob
from pq_core.schedule import Move, NewSchedule, Schedule, Ticked
from pq_core.states import State
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import Scene, new

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
FIVE_MINUTES = 5 * MINUTE
ODD_JOB = NewJob(
    task="odd 🐘",
    args={"b": 1e22, "a": [-0.0, 2**70, {"x": None}]},
    queue="q",
    priority=-7,
    lock="l",
    lock_mode="mutex",
    max_losses=5,
    metadata={"z": 1, "é": "2"},
    delivery="at_most_once",
    version=3,
    unique_key="k",
    unique_scope="live",
    unique_period=1.5 * HOUR,
    expires_in=2 * HOUR,
)


def schedule(id_: str = "s", **fields: Any) -> NewSchedule:
    """Make a schedule of which only what matters is named: by default it ticks each minute."""
    given: dict[str, Any] = {"id": id_, "job": new(), "cron": "* * * * *"}
    return NewSchedule(**(given | fields))


@attrs.define
class Schedules:
    """The verbs for schedules, as of the time of a scene."""

    scene: Scene

    @property
    def _connector(self) -> Connector:
        return self.scene.connector

    async def all(self, ids: Sequence[str] | None = None) -> list[Schedule]:
        """Read schedules."""
        return await self._connector.schedules(ids, now=self.scene.now)

    async def get(self, id_: str = "s") -> Schedule:
        """Read one schedule."""
        (found,) = await self.all([id_])
        return found

    async def put(self, *schedules: NewSchedule, **options: Any) -> list[str]:
        """Store schedules."""
        return await self._connector.put_schedules(schedules, now=self.scene.now, **options)

    async def pause(self, *ids: str, paused: bool = True) -> list[str]:
        """Pause or resume schedules."""
        return await self._connector.pause_schedules(ids, paused=paused, now=self.scene.now)

    async def remove(self, *ids: str) -> list[str]:
        """Remove schedules."""
        return await self._connector.remove_schedules(ids, now=self.scene.now)

    async def tick(self, *moves: Move) -> Ticked:
        """Move schedules on."""
        return await self._connector.tick(moves, now=self.scene.now)

    async def due(self) -> list[str]:
        """Ask which are due."""
        return [found.id for found in (await self.tick()).due]

    async def move(self, id_: str = "s", *, to: datetime, ticks: Sequence[datetime] = ()) -> Ticked:
        """Move one schedule on, by its revision of now."""
        found = await self.get(id_)
        return await self.tick(Move(id=id_, revision=found.revision, next_tick=to, ticks=ticks))


class Scheduled(Case):
    """What both have in common."""

    @pytest.fixture
    def schedules(self, scene: Scene) -> Schedules:
        """Ask for schedules at the time of the scene."""
        if not self.supports_schedules:
            pytest.skip("supports_schedules is False: this connector stores none")
        return Schedules(scene)


class PuttingSchedules(Scheduled):
    """The verbs `put_schedules`, `schedules`, `pause_schedules` and `remove_schedules`."""

    async def test_a_connector_without_schedules_says_so(self, connector: Connector) -> None:
        if self.supports_schedules:
            return  # which the other cases see to
        for ask in (
            connector.schedules,
            lambda: connector.put_schedules([]),
            lambda: connector.pause_schedules([]),
            lambda: connector.remove_schedules([]),
            lambda: connector.tick([]),
        ):
            with pytest.raises(Unsupported):
                await ask()

    async def test_a_schedule_comes_back_as_it_was_stored(self, scene: Scene, schedules: Schedules) -> None:
        odd = schedule("ö '", job=ODD_JOB, cron="0 2 * * * *", timezone="Europe/Paris", catch_up="all", max_delay=HOUR)
        plain = schedule("a")
        assert await schedules.put(odd, plain) == ["a", "ö '"]
        first, second = await schedules.all()
        for stored, given in ((first, plain), (second, odd)):
            for field in attrs.fields(NewSchedule):
                assert getattr(stored, field.name) == getattr(given, field.name)
            assert (stored.created_at, stored.next_tick, stored.planned) == (scene.now, scene.now, False)
            assert (stored.last_tick, stored.paused_at, stored.declared_at, stored.undeclared) == (None,) * 3 + (False,)
        assert repr(second.job.args) == repr(ODD_JOB.args)
        assert list(second.job.args) == ["b", "a"]

    async def test_schedules_are_listed_by_id_or_all(self, schedules: Schedules) -> None:
        await schedules.put(*(schedule(name) for name in ("b", "B", "ä", "a")))
        assert [found.id for found in await schedules.all()] == ["B", "a", "b", "ä"]
        assert [found.id for found in await schedules.all(["ä", "b", "none", "b", "nul \x00"])] == ["b", "ä"]
        assert await schedules.all([]) == []

    async def test_two_of_one_id_are_refused_and_nothing_is_stored(self, schedules: Schedules) -> None:
        with pytest.raises(InvalidOption):
            await schedules.put(schedule("a"), schedule("b"), schedule("a"))
        assert await schedules.all() == []

    async def test_arguments_that_cannot_be_stored_are_refused_whole(self, schedules: Schedules) -> None:
        with pytest.raises(InvalidArguments):
            await schedules.put(schedule("a"), schedule("b", job=new(args={"x": {1}})))
        assert await schedules.all() == []

    async def test_what_is_stored_again_as_it_is_keeps_its_revision(self, scene: Scene, schedules: Schedules) -> None:
        for declared in (False, True):
            await schedules.put(schedule(), declared=declared)
            before = await schedules.get()
            scene.wait(seconds=10)
            assert await schedules.put(schedule(), declared=declared) == ["s"]
            assert (await schedules.get()).revision == before.revision

    @pytest.mark.parametrize(
        "change",
        [
            {"job": new(args={"x": 1})},
            {"job": new("other")},
            {"catch_up": "none"},
            {"max_delay": HOUR},
        ],
        ids=["args", "task", "catch_up", "max_delay"],
    )
    async def test_a_change_keeps_the_next_tick(self, scene: Scene, schedules: Schedules, change: Any) -> None:
        await schedules.put(schedule())
        await schedules.move(to=scene.at(minutes=7))
        before = await schedules.get()
        scene.wait(seconds=10)
        assert await schedules.put(schedule(**change)) == ["s"]
        after = await schedules.get()
        assert (after.next_tick, after.planned) == (before.next_tick, True)
        assert after.revision != before.revision
        assert {name: getattr(after, name) for name in change} == change

    @pytest.mark.parametrize("change", [{"cron": "*/2 * * * *"}, {"timezone": "Europe/Paris"}], ids=["cron", "zone"])
    async def test_another_cron_text_or_zone_looks_for_the_next_tick_anew(
        self, scene: Scene, schedules: Schedules, change: Any
    ) -> None:
        await schedules.put(schedule())
        await schedules.move(to=scene.at(days=7))
        scene.wait(seconds=10)
        await schedules.put(schedule(**change))
        after = await schedules.get()
        assert (after.next_tick, after.planned) == (scene.now, False)

    async def test_without_replace_what_is_there_stays(self, schedules: Schedules) -> None:
        await schedules.put(schedule("a"))
        assert await schedules.put(schedule("a", cron="@daily"), schedule("b"), replace=False) == ["b"]
        assert (await schedules.get("a")).cron == "* * * * *"

    async def test_what_code_declares_is_left_alone_until_the_declaration_has_run_out(
        self, scene: Scene, schedules: Schedules
    ) -> None:
        await schedules.put(schedule(), declared=True)
        assert (await schedules.get()).declared_at == scene.now
        scene.now += FIVE_MINUTES - SECOND
        assert await schedules.put(schedule(cron="@daily")) == []
        assert not (await schedules.get()).undeclared
        scene.now += SECOND
        assert (await schedules.get()).undeclared
        assert await schedules.put(schedule(cron="@daily")) == ["s"]
        after = await schedules.get()
        assert (after.cron, after.declared_at, after.undeclared) == ("@daily", None, False)

    async def test_code_takes_over_what_was_made_at_run_time(self, scene: Scene, schedules: Schedules) -> None:
        await schedules.put(schedule())
        assert await schedules.put(schedule(catch_up="all"), declared=True, replace=False) == ["s"]
        after = await schedules.get()
        assert (after.catch_up, after.declared_at) == ("all", scene.now)

    async def test_a_declaration_is_prolonged(self, scene: Scene, schedules: Schedules) -> None:
        await schedules.put(schedule(), declared=True)
        for _ in range(10):
            scene.wait(minutes=1)
            await schedules.put(schedule(), declared=True)
            assert (await schedules.get()).declared_at == scene.now

    async def test_a_pause_survives_a_change_and_the_first_one_counts(self, scene: Scene, schedules: Schedules) -> None:
        await schedules.put(schedule())
        paused_at = scene.now
        assert await schedules.pause("s", "none", "s") == ["s"]
        scene.wait(seconds=10)
        assert await schedules.pause("s") == ["s"]
        await schedules.put(schedule(cron="@daily"), declared=True)
        assert (await schedules.get()).paused_at == paused_at
        assert await schedules.pause("s", paused=False) == ["s"]
        assert (await schedules.get()).paused_at is None
        assert await schedules.pause() == []

    async def test_after_a_pause_the_next_tick_is_looked_for_anew(self, scene: Scene, schedules: Schedules) -> None:
        await schedules.put(schedule())
        await schedules.move(to=scene.at(minutes=1))
        await schedules.pause("s")
        scene.wait(hours=1)
        await schedules.pause("s", paused=False)
        after = await schedules.get()
        assert (after.next_tick, after.planned) == (scene.now, False)

    async def test_resuming_what_is_not_paused_changes_nothing(self, scene: Scene, schedules: Schedules) -> None:
        await schedules.put(schedule())
        await schedules.move(to=scene.at(minutes=1))
        before = await schedules.get()
        assert await schedules.pause("s", paused=False) == ["s"]
        assert await schedules.get() == before

    async def test_what_is_removed_is_gone_and_its_jobs_stay(self, scene: Scene, schedules: Schedules) -> None:
        await schedules.put(schedule("a"), schedule("b"))
        await schedules.move("a", to=scene.at(minutes=1), ticks=[scene.now])
        assert await schedules.remove("none", "a", "a") == ["a"]
        assert [found.id for found in await schedules.all()] == ["b"]
        assert await scene.counts() == {State.READY: 1}


class Ticking(Scheduled):
    """The verb `tick`."""

    async def test_without_schedules_nothing_is_due(self, scene: Scene, schedules: Schedules) -> None:
        assert _plain(await schedules.tick()) == (scene.now, [], [], None)

    async def test_a_tick_stores_a_job_that_says_what_it_is_of(self, scene: Scene, schedules: Schedules) -> None:
        await schedules.put(schedule("ö '", job=ODD_JOB))
        paris = datetime.fromisoformat("2031-05-06T13:59:00+02:00")
        ticked = await schedules.move("ö '", to=scene.at(minutes=1), ticks=[paris])
        assert _plain(ticked) == (scene.now, ["ö '"], [], 60.0)
        (job,) = await scene.jobs()
        assert (job.task, job.args, job.queue, job.priority) == ("odd 🐘", ODD_JOB.args, "q", -7)
        assert (job.lock, job.lock_mode, job.max_losses, job.delivery) == ("l", "mutex", 5, "at_most_once")
        assert (job.version, job.unique_key, job.unique_scope) == (3, "k", "live")
        assert job.metadata == {"z": 1, "é": "2", "pq.schedule": "ö '", "pq.tick": "2031-05-06T11:59:00+00:00"}
        assert list(job.metadata) == ["z", "é", "pq.schedule", "pq.tick"]
        assert (job.state, job.scheduled_at, job.created_at) == (State.READY, paris.astimezone(UTC), scene.now)
        assert job.expires_at == scene.now + 2 * HOUR
        moved = await schedules.get("ö '")
        assert (moved.next_tick, moved.planned, moved.last_tick) == (scene.at(minutes=1), True, paris)

    async def test_a_job_expires_as_late_as_its_tick_may_be(self, scene: Scene, schedules: Schedules) -> None:
        await schedules.put(schedule(job=new(expires_in=SECOND), max_delay=HOUR))
        await schedules.move(to=scene.at(minutes=1), ticks=[scene.now - MINUTE])
        (job,) = await scene.jobs()
        assert job.expires_at == scene.now - MINUTE + HOUR

    async def test_several_ticks_are_one_step_and_their_jobs_have_ids_in_order(
        self, scene: Scene, schedules: Schedules
    ) -> None:
        await schedules.put(schedule())
        ticks = [scene.at(minutes=-minutes) for minutes in (3, 2, 1)]
        await schedules.move(to=scene.at(minutes=1), ticks=ticks)
        assert [job.scheduled_at for job in await scene.jobs()] == ticks
        assert (await schedules.get()).last_tick == ticks[-1]

    async def test_a_move_without_ticks_keeps_the_last_one(self, scene: Scene, schedules: Schedules) -> None:
        await schedules.put(schedule("a"), schedule("b"))
        await schedules.move("a", to=scene.at(minutes=1), ticks=[scene.now])
        a, b = await schedules.all()
        again = Move(id="a", revision=a.revision, next_tick=scene.at(minutes=2))
        other = Move(id="b", revision=b.revision, next_tick=scene.at(minutes=3), ticks=[scene.at(minutes=-1)])
        assert list((await schedules.tick(other, again)).moved) == ["a", "b"]
        assert (await schedules.get("a")).last_tick == scene.now
        assert (await schedules.get("b")).last_tick == scene.at(minutes=-1)
        assert await scene.counts() == {State.READY: 2}

    async def test_a_tick_counts_once_whoever_comes_with_it(self, scene: Scene, schedules: Schedules) -> None:
        """drift_34: a move that comes late, out of order, is not made."""
        await schedules.put(schedule())
        (found,) = (await schedules.tick()).due
        move = Move(id="s", revision=found.revision, next_tick=scene.at(minutes=1), ticks=[scene.now])
        assert list((await schedules.tick(move, move)).moved) == ["s"]
        assert list((await schedules.tick(move)).moved) == []
        assert await scene.counts() == {State.READY: 1}

    async def test_a_move_that_was_worked_out_for_another_definition_is_not_made(
        self, scene: Scene, schedules: Schedules
    ) -> None:
        await schedules.put(schedule())
        (found,) = (await schedules.tick()).due
        move = Move(id="s", revision=found.revision, next_tick=scene.at(minutes=1), ticks=[scene.now])
        await schedules.put(schedule(cron="@daily"))
        assert list((await schedules.tick(move)).moved) == []
        await schedules.remove("s")
        await schedules.put(schedule())
        assert list((await schedules.tick(move)).moved) == []
        assert await scene.counts() == {}

    async def test_a_paused_schedule_does_not_tick(self, scene: Scene, schedules: Schedules) -> None:
        await schedules.put(schedule())
        await schedules.pause("s")
        assert _plain(await schedules.tick()) == (scene.now, [], [], None)
        assert list((await schedules.move(to=scene.at(minutes=1), ticks=[scene.now])).moved) == []
        await schedules.pause("s", paused=False)
        assert await schedules.due() == ["s"]

    async def test_a_schedule_is_due_at_its_tick_and_not_before(self, scene: Scene, schedules: Schedules) -> None:
        await schedules.put(schedule())
        assert await schedules.due() == ["s"]
        await schedules.move(to=scene.at(minutes=1))
        scene.now += MINUTE - timedelta(microseconds=1)
        ticked = await schedules.tick()
        assert (list(ticked.due), ticked.next_in) == ([], 0.000001)
        scene.now += timedelta(microseconds=1)
        ticked = await schedules.tick()
        assert (list(ticked.due), ticked.next_in) == ([await schedules.get()], None)

    async def test_an_undeclared_schedule_is_not_due(self, scene: Scene, schedules: Schedules) -> None:
        await schedules.put(schedule("code"), declared=True)
        await schedules.put(schedule("stored"))
        scene.now += FIVE_MINUTES - SECOND
        assert await schedules.due() == ["code", "stored"]
        scene.now += SECOND
        assert await schedules.due() == ["stored"]
        await schedules.put(schedule("code"), declared=True)
        assert await schedules.due() == ["code", "stored"]

    async def test_what_is_due_first_comes_first_and_no_more_than_a_hundred_come(
        self, scene: Scene, schedules: Schedules
    ) -> None:
        await schedules.put(*(schedule(f"{number:03}") for number in range(120)))
        await schedules.put(schedule("late"), schedule("later"))
        await schedules.move("late", to=scene.at(seconds=-1))
        await schedules.move("later", to=scene.at(seconds=9))
        ticked = await schedules.tick()
        assert [found.id for found in ticked.due] == ["late", *(f"{number:03}" for number in range(99))]
        assert ticked.next_in == 9.0

    async def test_a_tick_whose_unique_key_is_taken_is_spent(self, scene: Scene, schedules: Schedules) -> None:
        """drift_35: the schedule goes on, and the job that has the key stays."""
        await schedules.put(schedule(job=new(unique_key="k")))
        ticks = [scene.at(minutes=-1), scene.now]
        assert list((await schedules.move(to=scene.at(minutes=1), ticks=ticks)).moved) == ["s"]
        assert [job.scheduled_at for job in await scene.jobs()] == ticks[:1]

    async def test_a_job_of_a_tick_runs(self, scene: Scene, schedules: Schedules) -> None:
        await schedules.put(schedule())
        await schedules.move(to=scene.at(minutes=1), ticks=[scene.now])
        await scene.hire()
        assert [job.metadata["pq.schedule"] for job in await scene.fetch()] == ["s"]


def _plain(ticked: Ticked) -> tuple[datetime, list[str], list[Schedule], float | None]:
    return (ticked.now, list(ticked.moved), list(ticked.due), ticked.next_in)
