"""Bad input: each verb refuses it with an error of pq's that names it, before anything is changed.

`pq_core.given` has a check for each argument of a verb; a connector that calls them passes these cases.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum, IntEnum, StrEnum
from typing import Any

import pytest
from anyio import to_thread

from pq_core.connector import Connector, JobChanges, JobFilter, WorkerInfo
from pq_core.errors import InvalidArguments, PQError
from pq_core.payload import MAX_DEPTH
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import EVERYTHING, Scene, new


class Color(StrEnum):
    """What users call queues, locks and tasks."""

    RED = "red"


class Kind(str, Enum):  # noqa: UP042 - the older way to write it, which `str()` shows otherwise
    """The same in the old way."""

    RED = "red"


class Urgency(IntEnum):
    """What users call priorities."""

    HIGH = 5


IDS: list[Any] = [None, 1, "1", b"1", ["1"], [1.5], [None], [True], [1, [2]]]
NUMBERS: list[Any] = [None, "1", b"1", 1.5, float("nan"), True, [1]]
TEXTS: list[Any] = [None, 5, b"red", ["red"], True]

ARGUMENTS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    *(("cancel", (ids,), {}) for ids in IDS),
    *(("retry", (ids,), {}) for ids in IDS),
    *(("reschedule", (ids, JobChanges(priority=1)), {}) for ids in IDS),
    *(("cancel", ([1],), {"reason": reason}) for reason in TEXTS),
    *(("find", (EVERYTHING,), {"limit": limit}) for limit in (*NUMBERS, -1)),
    *(("find", (EVERYTHING,), {"after": after}) for after in NUMBERS),
    *(("prune", (age,), {}) for age in (5, "1", timedelta(-1), timedelta.min)),
    *(("prune", (timedelta(0),), {"states": states}) for states in (5, "failed", ["done"], [None])),
    *(("prune", (timedelta(0),), {"limit": limit}) for limit in (*NUMBERS[1:], 0, -1)),
    *(("standing", (number,), {}) for number in NUMBERS),
    *(("purge", (ids,), {}) for ids in IDS),
    *(("pause", (queue,), {}) for queue in TEXTS),
    *((verb, (), {"task": task}) for verb in ("pause", "resume") for task in TEXTS),
    *(("resume", (queue,), {}) for queue in TEXTS),
]
FOR_WORKERS: list[tuple[str, tuple[Any, ...]]] = [
    *(("fetch", (1, None, limit)) for limit in (*NUMBERS, 0, -1)),
    *(("fetch", (1, queues, 1)) for queues in ("red", b"red", 5, [5], [None])),
    *(("fetch", (worker, None, 1)) for worker in (*NUMBERS, 2**70)),
    *(("leave", (worker,)) for worker in (*NUMBERS, 2**70)),
    *(("heartbeat", (WorkerInfo(id=7), lease)) for lease in (None, 5, timedelta(-1), timedelta.max)),
]
VERBS: list[tuple[str, tuple[Any, ...]]] = [
    ("defer", ([new()],)),
    ("find", (EVERYTHING,)),
    ("count", (EVERYTHING,)),
    ("cancel", ([1],)),
    ("retry", ([1],)),
    ("reschedule", ([1], JobChanges())),
    ("prune", (timedelta(0),)),
    ("workers", ()),
    ("standing", (1,)),
    ("health", ()),
    ("queues", ()),
    ("purge", ([1],)),
    ("pauses", ()),
    ("pause", ("red",)),
    ("resume", ("red",)),
]
MOMENTS: list[Any] = [
    datetime(2030, 1, 1),  # noqa: DTZ001 - naive is the case
    date(2030, 1, 1),
    "2030-01-01",
    5,
    datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    datetime.max.replace(tzinfo=UTC),
]


class Refusing(Case):
    """Arguments of every verb that are not what the verb takes, to the connector and to its twin."""

    @pytest.mark.parametrize("verb, args, options", ARGUMENTS)
    async def test_what_a_verb_cannot_take_is_refused_and_changes_nothing(
        self, scene: Scene, verb: str, args: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        await scene.add()
        before = await scene.jobs(), await scene.connector.queues(now=scene.now)
        words = {
            str(await refusal(scene.connector, verb, *args, **options, now=scene.now)),
            str(await refusal_of_twin(scene.connector, verb, *args, **options, now=scene.now)),
        }
        assert len(words) == 1, "the twin says it in other words"
        assert (await scene.jobs(), await scene.connector.queues(now=scene.now)) == before

    @pytest.mark.parametrize("verb, args", FOR_WORKERS)
    async def test_what_a_worker_cannot_mean_is_refused_and_changes_nothing(
        self, scene: Scene, verb: str, args: tuple[Any, ...]
    ) -> None:
        await scene.hire()
        job = await scene.add()
        await refusal(scene.connector, verb, *args, now=scene.now)
        assert await scene.fetch_ids() == [job]

    @pytest.mark.parametrize("now", MOMENTS)
    @pytest.mark.parametrize("verb, args", VERBS)
    async def test_a_time_that_is_none_is_refused_by_every_verb(
        self, scene: Scene, verb: str, args: tuple[Any, ...], now: Any
    ) -> None:
        assert "now" in str(await refusal(scene.connector, verb, *args, now=now))
        assert "now" in str(await refusal_of_twin(scene.connector, verb, *args, now=now))
        assert await scene.jobs() == []

    async def test_more_may_be_asked_for_than_any_store_holds(self, scene: Scene) -> None:
        await scene.hire()
        job = await scene.add()
        assert [found.id for found in await scene.connector.find(EVERYTHING, limit=2**70, now=scene.now)] == [job]
        fetched = await scene.connector.fetch(1, None, 2**70, now=scene.now)
        assert [found.id for found in fetched.jobs] == [job]

    async def test_queues_that_no_job_can_have_are_no_error_to_a_worker(self, scene: Scene) -> None:
        await scene.hire()
        job = await scene.add(queue="red")
        assert await scene.fetch_ids(queues=["nul\x00", "half \ud83d", "red"]) == [job]

    @pytest.mark.parametrize("color", [Color.RED, Kind.RED])
    async def test_members_of_an_enum_are_stored_as_plain_texts_and_numbers(self, scene: Scene, color: Any) -> None:
        await scene.hire()
        await scene.defer(new(color, queue=color, lock=color, priority=Urgency.HIGH, max_losses=Urgency.HIGH), new())
        (job,) = await scene.fetch(queues=[color])
        assert [(type(value), value) for value in (job.task, job.queue, job.lock)] == [(str, "red")] * 3
        assert [(type(value), value) for value in (job.priority, job.max_losses)] == [(int, 5)] * 2

    @pytest.mark.parametrize("color", [Color.RED, Kind.RED])
    async def test_members_of_an_enum_find_and_steer_jobs(self, scene: Scene, color: Any) -> None:
        job = await scene.add("red", queue="red", lock="red")
        which = JobFilter(queue=color, task=color, lock=color, states=["ready"])  # type: ignore[list-item]
        assert [found.id for found in await scene.connector.find(which, now=scene.now)] == [job]
        await scene.connector.pause(color, now=scene.now)
        assert [queue.name for queue in await scene.connector.queues(now=scene.now)] == ["red"]
        changes = JobChanges(queue=color, lock=color, priority=Urgency.HIGH)
        await scene.connector.reschedule([job], changes, now=scene.now)
        changed = await scene.job(job)
        assert (type(changed.queue), type(changed.lock), type(changed.priority)) == (str, str, int)

    async def test_json_comes_back_from_as_deep_as_is_allowed(self, scene: Scene) -> None:
        value = nested(MAX_DEPTH - 1)
        job = await scene.run(args={"x": value}, metadata={"x": value})
        assert job.args == job.metadata == {"x": value}

    @pytest.mark.parametrize("depth", [MAX_DEPTH, 2 * MAX_DEPTH, 100_000])
    async def test_json_nested_deeper_is_refused_by_its_place(self, scene: Scene, depth: int) -> None:
        with pytest.raises(InvalidArguments, match=r"args\['x'\].* nested") as caught:
            await scene.defer(new(), new(args={"y": 1, "x": nested(depth)}))
        assert (caught.value.field, caught.value.index) == ("args", 1)
        assert await scene.jobs() == []


def nested(depth: int) -> Any:
    """Return so many lists and dicts, each inside of another."""
    value: Any = []
    for level in range(depth - 1):
        value = {"in": value} if level % 2 else [value]
    return value


async def refusal(connector: Connector, verb: str, /, *args: Any, **options: Any) -> PQError:
    """Return the error with which the connector refuses."""
    with pytest.raises(PQError) as caught:
        await getattr(connector, verb)(*args, **options)
    assert isinstance(caught.value, ValueError)
    return caught.value


async def refusal_of_twin(connector: Connector, verb: str, /, *args: Any, **options: Any) -> PQError:
    """Return the error with which the twin refuses."""
    with pytest.raises(PQError) as caught:
        await to_thread.run_sync(lambda: getattr(connector.sync, verb)(*args, **options))
    assert isinstance(caught.value, ValueError)
    return caught.value
