from __future__ import annotations

from datetime import timedelta

import pytest
import typer

from pq_cli.durations import duration, duration_or_forever, retention


@pytest.mark.parametrize(
    "text,seconds",
    [
        ("0", 0),
        ("90", 90),
        ("1.5", 1.5),
        ("30s", 30),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("250ms", 0.25),
        ("2d", 172_800),
        ("1w", 604_800),
    ],
)
def test_a_length_of_time_is_a_number_of_seconds_or_has_units(text: str, seconds: float) -> None:
    assert duration(text, "--in") == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "s",
        "1y",
        "-1",
        "1h-",
        "1h x",
        "1,5",
        "\u0661",
        "9" * 400,
        f"{'9' * 40}w",
        "forever",
        "1e3",
        "inf",
        "nan",
    ],
)
def test_anything_else_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(typer.BadParameter) as refusal:
        duration(text, "--in")
    assert refusal.value.param_hint == "'--in'"


def test_forever_is_a_word_where_time_may_have_no_end() -> None:
    assert duration_or_forever("forever", "--retention") is None
    assert duration_or_forever("1d", "--retention") == timedelta(days=1)


def test_ended_jobs_may_be_kept_by_how_they_ended() -> None:
    assert retention("7d", "--retention") == timedelta(days=7)
    assert retention("forever", "--retention") is None
    by_outcome = retention("succeeded=1d, failed=forever", "--retention")
    assert by_outcome == {"succeeded": timedelta(days=1), "failed": None}


@pytest.mark.parametrize("text", ["failed=", "failed=soon", "=1d,", "failed=1d,failed=2d", "failed=1d,7d"])
def test_what_says_for_no_outcome_how_long_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter) as refusal:
        retention(text, "--retention")
    assert refusal.value.param_hint == "'--retention'"
