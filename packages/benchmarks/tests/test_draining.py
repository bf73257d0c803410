from __future__ import annotations

from pq_benchmarks.scenarios.draining import _rate


def test_a_rate_is_taken_from_the_tenth_part_on() -> None:
    assert _rate((100, 0.0, 5.0), (1_000, 0.0, 6.0)) == 900.0


def test_a_rate_is_taken_from_the_first_start_if_most_jobs_had_started_when_it_was_first_read() -> None:
    assert _rate((90, 1.0, 1.9), (101, 1.0, 2.0)) == 100.0


def test_a_drain_of_no_length_has_no_rate() -> None:
    assert _rate((1, 1.0, 1.0), (1, 1.0, 1.0)) == 0.0
