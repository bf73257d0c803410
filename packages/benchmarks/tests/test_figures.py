from __future__ import annotations

import pytest

from pq_benchmarks.figures import DISTURBED, Sample, Target, find, percentile, ratios, spread, values


def drained(turn: int, rate: float, *, contender: str = "pq") -> Sample:
    return Sample(scenario="drain", contender=contender, round=turn, values={"jobs_per_s": rate})


@pytest.mark.parametrize(
    "fraction, expected", [(0.0, 1.0), (0.5, 50.0), (0.95, 95.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)]
)
def test_a_percentile_is_the_nearest_rank(fraction: float, expected: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], fraction) == expected


def test_every_percentile_of_one_figure_is_that_figure() -> None:
    assert {percentile([7.0], fraction) for fraction in (0.0, 0.5, 0.99, 1.0)} == {7.0}


def test_a_spread_names_median_and_range() -> None:
    found = spread([3.0, 1.0, 100.0])
    assert (found.median, found.least, found.most) == (3.0, 1.0, 100.0)


def test_ratios_are_taken_within_a_round() -> None:
    samples = [
        drained(0, 300.0),
        drained(0, 100.0, contender="peer"),
        drained(1, 80.0),
        drained(1, 10.0, contender="peer"),
    ]
    mine = values(samples, "drain", "pq", "jobs_per_s")
    theirs = values(samples, "drain", "peer", "jobs_per_s")
    assert ratios(mine, theirs) == [3.0, 8.0]


def test_a_round_in_which_one_is_missing_gives_no_ratio() -> None:
    assert ratios({0: 4.0, 1: 9.0, 2: 1.0}, {1: 3.0, 2: 0.0}) == [3.0]


def test_a_target_is_reached_at_its_bound_and_short_beyond() -> None:
    speed = Target(value="jobs_per_s", at_least=6_000.0)
    delay = Target(value="p50_ms", at_most=5.0)
    assert [speed.judge(figure) for figure in (6_000.0, 5_999.0)] == ["reached", "short"]
    assert [delay.judge(figure) for figure in (5.0, 5.1)] == ["reached", "short"]


def test_a_ratio_to_another_contender_is_taken_within_a_round() -> None:
    samples = [
        *(drained(0, 300.0), drained(0, 100.0, contender="peer")),
        *(drained(1, 80.0), drained(1, 10.0, contender="peer")),
        drained(2, 7.0),
    ]
    found = find(samples, "drain", Target(value="jobs_per_s", at_least=5.0, against="peer"))
    assert found.figures == [3.0, 8.0]
    assert found.verdict == "reached"


def test_a_ratio_may_be_to_another_contender_in_another_scenario() -> None:
    other = Sample(scenario="other", contender="peer", round=0, values={"jobs_per_s": 50.0})
    found = find(
        [drained(0, 100.0), other], "drain", Target(value="jobs_per_s", at_least=1, of="other", against="peer")
    )
    assert found.figures == [2.0]


def test_what_was_not_measured_is_not_judged() -> None:
    assert find([], "drain", Target(value="jobs_per_s", at_least=1.0)).verdict == "not measured"


def test_a_pair_is_disturbed_if_either_half_was() -> None:
    noisy = Sample(scenario="drain", contender="peer", round=1, values={"jobs_per_s": 1.0}, disturbance=DISTURBED * 2)
    samples = [*(drained(turn, 1.0) for turn in range(2)), drained(0, 1.0, contender="peer"), noisy]
    assert find(samples, "drain", Target(value="jobs_per_s", at_least=1.0, against="peer")).disturbed == 1
    assert find(samples, "drain", Target(value="jobs_per_s", at_least=1.0)).disturbed == 0
