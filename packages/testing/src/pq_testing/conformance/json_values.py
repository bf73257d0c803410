"""JSON values: what goes in comes out equal, and what JSON cannot carry goes nowhere."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest

from pq_core.errors import InvalidArguments, InvalidJob
from pq_core.outcome import Outcome
from pq_testing.conformance.case import Case
from pq_testing.conformance.scene import Scene, new

SAME: dict[str, Any] = {
    "nothing": None,
    "truth": [True, False],
    "zeroes": [0, 0.0, -0.0],
    "a large float": 1e22,
    "an exact float": 1e23,
    "floats": [0.1, 1.0, -1.5e-300, 5e-324, 1.7976931348623157e308],
    "large integers": [2**31, 2**63, -(2**63) - 1, 2**64, 10**30, -(10**30)],
    "a huge integer": 10**400,
    "empty things": ["", [], {}],
    "key order": {"z": 1, "a": 2, "m": {"y": 1, "b": 2}},
    "long and short keys": {"longer": 1, "s": 2, "": 3, "10": 4, "9": 5},
    "unicode": "Größe 日本語 🐘 \u200d \u2028 \ufeff \uffff \U0010ffff",
    "control characters": "\x01\x1f\x7f\t\r\n\b\f",
    "normal forms": ["\u00e9", "e\u0301"],
    "escapes": "\\u0041 \\ \" ' / \\\\u0000",
    "unicode keys": {"ключ": {"🔑": ["🐘"]}},
    "deep": [[[[[[[[[[[[[[[[[[[[{"x": [1]}]]]]]]]]]]]]]]]]]]]],
    "long": "x" * 1_000_000,
    "many": list(range(10_000)),
    "looks like sql": "'; drop table jobs; --",
    "looks like json": '{"a": 1}',
}
"""Values by what is hard about them."""

REFUSED = {
    "nan": float("nan"),
    "infinity": float("inf"),
    "negative infinity": float("-inf"),
    "nul": "a\x00b",
    "nul key": {"a\x00b": 1},
    "lone surrogate": "\ud83d",
    "lone surrogate key": {"\udc00": 1},
    "integer key": {1: "one"},
    "boolean key": {True: 1},
    "null key": {None: 1},
    "tuple key": {(1, 2): 3},
    "datetime": datetime(2031, 1, 1, tzinfo=UTC),
    "decimal": Decimal("1.5"),
    "uuid": uuid.UUID(int=1),
    "bytes": b"abc",
    "set": {1},
    "object": object(),
    "function": len,
}
"""Values that JSON, or PostgreSQL's text, cannot carry."""

EACH_SAME = [pytest.param(value, id=name) for name, value in SAME.items()]
EACH_REFUSED = [pytest.param(value, id=name) for name, value in REFUSED.items()]


class JsonValues(Case):
    """Arguments, metadata and results."""

    @pytest.mark.parametrize("value", EACH_SAME)
    async def test_arguments_come_back_as_they_were(self, scene: Scene, value: Any) -> None:
        """drift_19: key order. drift_20: 1e22 stays a float. repr() also tells -0.0 from 0."""
        job = await scene.run(args={"value": value})
        assert repr(job.args) == repr({"value": value})
        assert repr((await scene.job(job.id)).args) == repr({"value": value})

    @pytest.mark.parametrize("value", EACH_SAME)
    async def test_metadata_comes_back_as_it_was(self, scene: Scene, value: Any) -> None:
        job = await scene.job(await scene.add(metadata={"value": value}))
        assert repr(job.metadata) == repr({"value": value})

    @pytest.mark.parametrize("value", EACH_SAME)
    async def test_a_result_comes_back_as_it_was(self, scene: Scene, value: Any) -> None:
        job = await scene.run()
        await scene.finish(Outcome.succeeded(job, value))
        assert repr((await scene.job(job.id)).result) == repr(value)

    async def test_each_job_of_a_batch_has_its_own_values(self, scene: Scene) -> None:
        await scene.defer(*(new(args={"value": value}) for value in SAME.values()))
        assert [repr(job.args["value"]) for job in await scene.jobs()] == list(map(repr, SAME.values()))

    async def test_the_order_of_arguments_is_kept(self, scene: Scene) -> None:
        job = await scene.run(args={"z": 1, "aa": 2, "b": 3})
        assert list(job.args) == ["z", "aa", "b"]

    async def test_a_tuple_becomes_a_list(self, scene: Scene) -> None:
        """drift_18: on every connector, at once."""
        job = await scene.run(args={"pair": (1, (2, 3)), "nested": {"t": ()}})
        assert repr(job.args) == repr({"pair": [1, [2, 3]], "nested": {"t": []}})

    @pytest.mark.parametrize("value", EACH_REFUSED)
    async def test_what_json_cannot_carry_is_refused(self, scene: Scene, value: Any) -> None:
        """drift_18: integer keys. drift_21: datetime. drift_22: objects. drift_23: NaN. drift_24: NUL."""
        with pytest.raises(InvalidArguments):
            await scene.defer(new(args={"value": value}))
        assert await scene.jobs() == []

    @pytest.mark.parametrize("value", EACH_REFUSED)
    async def test_what_json_cannot_carry_is_found_at_any_depth_and_place(self, scene: Scene, value: Any) -> None:
        with pytest.raises(InvalidArguments) as caught:
            await scene.defer(new(), new(args={"list": [{"deep": [1, {"value": value}]}]}))
        assert caught.value.index == 1
        assert "list" in str(caught.value)
        assert await scene.jobs() == []

    @pytest.mark.parametrize("value", EACH_REFUSED)
    async def test_metadata_that_json_cannot_carry_is_refused(self, scene: Scene, value: Any) -> None:
        with pytest.raises(InvalidJob) as caught:
            await scene.defer(new(metadata={"value": value}))
        assert caught.value.field == "metadata"
        assert await scene.jobs() == []

    @pytest.mark.parametrize("key", [1, None, True, "a\x00", "\ud800"])
    async def test_an_argument_is_named_by_a_storable_text(self, scene: Scene, key: Any) -> None:
        with pytest.raises(InvalidArguments):
            await scene.defer(new(args={key: 1}))
        assert await scene.jobs() == []

    async def test_arguments_and_metadata_may_be_any_mapping(self, scene: Scene) -> None:
        job = await scene.run(args=MappingProxyType({"z": 1, "a": [2]}), metadata=OrderedDict(m=1))
        assert (repr(job.args), repr(job.metadata)) == ("{'z': 1, 'a': [2]}", "{'m': 1}")

    @pytest.mark.parametrize("value", [[], [("a", 1)], (), "", "{}", 0, None])
    @pytest.mark.parametrize("field", ["args", "metadata"])
    async def test_arguments_and_metadata_that_are_no_mapping_are_refused(
        self, scene: Scene, field: str, value: Any
    ) -> None:
        with pytest.raises(InvalidJob) as caught:
            await scene.defer(new(**{field: value}))
        assert caught.value.field == field
        assert await scene.jobs() == []

    async def test_a_value_that_holds_itself_is_refused(self, scene: Scene) -> None:
        loop: list[Any] = []
        loop.append(loop)
        with pytest.raises(InvalidArguments):
            await scene.defer(new(args={"loop": loop}))
        assert await scene.jobs() == []
