"""Filtering: jobs found by what they carry and by their times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from pq_core.connector import JobFilter
from pq_core.errors import InvalidOption
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import START, Scene, new

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)

EQUAL: list[tuple[Any, Any]] = [
    (1, 1.0),
    (0, -0.0),
    (10**22, 1e22),
    (10**23, 1e23),
    (0.1, 0.1),
    (10**40 + 1, 10**40 + 1),
    (5e-324, 5e-324),
    ("é🐘", "é🐘"),
    ("", ""),
    (None, None),
    ([1, [2.0]], [1.0, [2]]),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1.0}),
    ("\\u0000", "\\u0000"),
]
DIFFERENT: list[tuple[Any, Any]] = [
    (1, True),
    (0, False),
    (0, None),
    ("1", 1),
    ("é", "e\u0301"),
    ("A", "a"),
    (10**40, 10**40 + 1),
    (99_999_999_999_999_991_611_392, 1e23),
    ([], {}),
    ([1, 2], [2, 1]),
    ([1], [1, 1]),
    ({"a": 1}, {"a": 1, "b": 2}),
    ({"a": 1, "b": 2}, {"a": 1}),
    ([True], [1]),
]


class Filtering(Case):
    """Fields of a `JobFilter` beside those that `Finding` looks at."""

    async def test_jobs_are_found_by_some_of_their_arguments(self, scene: Scene) -> None:
        a, b, c, _ = await scene.defer(
            new(args={"user": 7, "x": 1}), new(args={"x": 2, "user": 7}), new(args={"user": None}), new()
        )
        await scene.cancel(b)
        assert await self.found(scene, args={"user": 7}) == [a, b]
        assert await self.found(scene, args={"user": 7, "x": 2}) == [b]
        assert await self.found(scene, args={"user": 7, "x": 2, "y": 0}) == []
        assert await self.found(scene, args={"user": None}) == [c]
        assert await self.found(scene, args={"User": 7}) == []

    async def test_no_arguments_at_all_fit_every_job(self, scene: Scene) -> None:
        ids = await scene.defer(new(), new(args={"x": 1}))
        assert await self.found(scene, args={}) == ids

    @pytest.mark.parametrize("stored, wanted", EQUAL)
    async def test_equal_json_is_found(self, scene: Scene, stored: Any, wanted: Any) -> None:
        job = await scene.add(args={"x": stored})
        assert await self.found(scene, args={"x": wanted}) == [job]
        other = await scene.add(args={"x": wanted})
        assert await self.found(scene, args={"x": stored}) == [job, other]

    @pytest.mark.parametrize("stored, wanted", DIFFERENT)
    async def test_other_json_is_not_found(self, scene: Scene, stored: Any, wanted: Any) -> None:
        await scene.add(args={"x": stored})
        assert await self.found(scene, args={"x": wanted}) == []
        await scene.connector.purge([job.id for job in await scene.jobs()], now=scene.now)
        await scene.add(args={"x": wanted})
        assert await self.found(scene, args={"x": stored}) == []

    async def test_jobs_are_found_by_their_unique_key_of_either_scope(self, scene: Scene) -> None:
        a, b, _, _ = await scene.defer(
            new(unique_key="k"), new(unique_key="k", unique_scope="live"), new(unique_key="K"), new()
        )
        await scene.cancel(a)
        assert await self.found(scene, unique_key="k") == [a, b]

    async def test_jobs_are_found_by_when_they_were_created(self, scene: Scene) -> None:
        first = await scene.add()
        scene.wait(seconds=10)
        second = await scene.add()
        assert await self.found(scene, created_after=START) == [first, second]
        assert await self.found(scene, created_after=START + SECOND) == [second]
        assert await self.found(scene, created_before=START) == []
        assert await self.found(scene, created_before=scene.now) == [first]
        assert await self.found(scene, created_after=START, created_before=START + SECOND) == [first]
        elsewhere = timezone(timedelta(hours=-9))
        assert await self.found(scene, created_before=scene.now.astimezone(elsewhere)) == [first]

    async def test_jobs_are_found_by_when_they_were_due(self, scene: Scene) -> None:
        now, later = await scene.defer(new(), new(delay=HOUR))
        await scene.cancel(now)
        assert await self.found(scene, scheduled_before=START + HOUR) == [now]
        assert await self.found(scene, scheduled_after=START + HOUR) == [later]
        assert await self.found(scene, scheduled_after=START, scheduled_before=START + HOUR + SECOND) == [now, later]

    @pytest.mark.parametrize(
        "fields",
        [
            {"args": [("x", 1)]},
            {"args": {"x": float("nan")}},
            {"args": {1: 2}},
            {"unique_key": ""},
            {"unique_key": 5},
            {"created_after": datetime(2030, 1, 1)},  # noqa: DTZ001 - naive is the case
            {"created_before": "2030-01-01"},
            {"scheduled_before": datetime.max.replace(tzinfo=UTC)},
            {"scheduled_after": 5},
        ],
    )
    def test_what_no_job_may_have_is_refused(self, fields: dict[str, Any]) -> None:
        with pytest.raises(InvalidOption, match=next(iter(fields))):
            JobFilter(**fields)

    @staticmethod
    async def found(scene: Scene, **fields: Any) -> list[int]:
        """Return the ids of the jobs that a filter finds, and look that as many are counted."""
        which = JobFilter(**fields)
        ids = [job.id for job in await scene.connector.find(which, now=scene.now)]
        assert sum((await scene.connector.count(which, now=scene.now)).values()) == len(ids)
        return ids
