"""Waits in the forms that users write them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pq_core.delays import as_timedelta, length
from pq_core.errors import InvalidJob, InvalidOption


@pytest.mark.parametrize(
    "given,meant",
    [
        ({"years": 1}, timedelta(days=365.25)),
        ({"months": 12}, timedelta(days=365.25)),
        ({"weeks": 2}, timedelta(days=14)),
        ({"days": 1.5}, timedelta(hours=36)),
        ({"hours": 1, "minutes": 30}, timedelta(minutes=90)),
        ({"seconds": 1, "milliseconds": 2, "microseconds": 3}, timedelta(microseconds=1_002_003)),
        ({"hours": 1, "minutes": -15}, timedelta(minutes=45)),
        ({}, timedelta(0)),
        (timedelta(seconds=5), timedelta(seconds=5)),
    ],
)
def test_a_wait_is_the_sum_of_its_parts(given: Any, meant: timedelta) -> None:
    assert as_timedelta(given) == meant


@pytest.mark.parametrize(
    "given,why",
    [
        ({"fortnights": 1}, r"unknown unit 'fortnights'; there are years, .*microseconds"),
        ({1: 1}, "unknown unit 1"),
        ({"hours": "1"}, "count of hours that is not a number"),
        ({"hours": True}, "count of hours that is not a number"),
        ({"hours": float("nan")}, "no finite number"),
        ({"hours": float("inf")}, "no finite number"),
        ({"years": 1e300}, "longer than a thousand years"),
        ({"years": 1001}, "longer than a thousand years"),
        ({"minutes": -5}, "is negative"),
        (timedelta(seconds=-1), "is negative"),
        (30, "neither a timedelta nor a dict"),
    ],
)
def test_any_other_wait_is_refused(given: Any, why: str) -> None:
    with pytest.raises(InvalidJob, match=why) as refusal:
        as_timedelta(given)
    assert refusal.value.field == "schedule_in"


@pytest.mark.parametrize("typed,seconds", [("90", 90), (" 1h 30m ", 5400), ("250ms", 0.25), ("1.5d", 129_600)])
def test_a_length_may_be_typed(typed: str, seconds: float) -> None:
    assert length(typed) == timedelta(seconds=seconds)


@pytest.mark.parametrize("typed", ["", "soon", "1y", "-1h", "1h x", "1e3", "inf", f"{'9' * 40}w"])
def test_a_text_that_is_no_length_is_refused_by_its_value(typed: str) -> None:
    with pytest.raises(InvalidOption, match=rf"^'{typed[:40]}"):
        length(typed)
