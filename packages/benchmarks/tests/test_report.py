from __future__ import annotations

import json

from pq_benchmarks.contender import PQ, Contender
from pq_benchmarks.figures import Sample
from pq_benchmarks.report import Report
from pq_benchmarks.round_robin import choose

PEER = Contender(name="peer", command=("peer",), contract="jobs deleted")


def report(*samples: Sample) -> Report:
    return Report(
        surroundings={"machine": "2 CPUs"},
        scenarios=choose(["drain", "drain-blocked", "idle"]),
        contracts={each.name: each.contract for each in (PQ, PEER)},
        samples=samples,
    )


def sample(scenario: str, contender: str, turn: int, **figures: float) -> Sample:
    return Sample(scenario=scenario, contender=contender, round=turn, values=figures)


def row(text: str, *parts: str) -> str:
    (found,) = [line for line in text.splitlines() if all(part in line for part in parts)]
    return found


def test_a_figure_is_the_median_of_the_rounds_with_their_range() -> None:
    text = report(*(sample("drain", "pq", turn, jobs_per_s=rate) for turn, rate in enumerate((9e3, 7e3, 8e3)))).table()
    assert "8,000 (7,000 to 9,000)" in row(text, "drain of no-op", "pq")


def test_a_target_says_whether_it_is_reached() -> None:
    text = report(sample("drain", "pq", 0, jobs_per_s=5_000.0)).table()
    assert row(text, "drain of no-op").rstrip(" |").endswith("jobs_per_s ≥ 6,000: 5e+03 short")


def test_a_relative_target_is_judged_round_by_round() -> None:
    figures = [
        *(sample("drain", "pq", turn, jobs_per_s=rate) for turn, rate in enumerate((10_000.0, 1_000.0))),
        *(sample("drain-blocked", "pq", turn, jobs_per_s=rate) for turn, rate in enumerate((9_000.0, 900.0))),
    ]
    assert "0.9 reached" in row(report(*figures).table(), "beside 100k jobs")


def test_a_relative_target_without_its_baseline_is_not_measured() -> None:
    assert "not measured" in row(report(sample("drain-blocked", "pq", 0, jobs_per_s=9.0)).table(), "beside 100k jobs")


def test_a_peer_is_compared_with_pq() -> None:
    text = report(
        *(sample("drain", "pq", 0, jobs_per_s=3_000.0), sample("drain", "peer", 0, jobs_per_s=1_000.0)),
        *(sample("idle", "pq", 0, p50_ms=2.0), sample("idle", "peer", 0, p50_ms=3.0)),
    ).table()
    assert "3.00 times as fast" in row(text, "peer", "1,000")
    assert "1.50 times as fast" in row(text, "peer", "p50 3.00 ms")


def test_the_contract_of_each_contender_stands_beside_its_figures() -> None:
    text = report(sample("drain", "peer", 0, jobs_per_s=1.0)).facts()
    assert "- pq: durable, history kept" in text
    assert "- peer: jobs deleted" in text


def test_json_holds_every_sample_and_the_summary() -> None:
    read = json.loads(report(sample("drain", "pq", 0, jobs_per_s=7_000.0)).json())
    (written,) = read["samples"]
    assert (written["contender"], written["values"]) == ("pq", {"jobs_per_s": 7_000.0})
    assert read["summary"][0]["targets"] == ["jobs_per_s ≥ 6,000: 7e+03 reached"]
    assert read["surroundings"] == {"machine": "2 CPUs"}


def test_a_scenario_that_is_chosen_brings_its_baseline() -> None:
    assert [scenario.name for scenario in choose(["drain-blocked"])] == ["drain", "drain-blocked"]
