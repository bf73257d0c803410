from __future__ import annotations

import json

from pq_benchmarks.figures import Sample, Target
from pq_benchmarks.report import Report
from pq_benchmarks.required import required_table
from pq_benchmarks.round_robin import Failure
from pq_benchmarks.scenarios import Scenario

DRAIN = Scenario(
    name="drain",
    title="the drain",
    measure=lambda _, __: {},
    targets=(
        Target(value="jobs_per_s", at_least=6_000),
        Target(value="jobs_per_s", at_least=2.0, against="peer", must="drain against peer"),
    ),
)
CROWDED = Scenario(
    name="drain-crowded",
    title="the crowded drain",
    measure=lambda _, __: {},
    targets=(Target(value="jobs_per_s", at_least=0.8, of="drain"),),
)
IDLE = Scenario(
    name="idle",
    title="the idle worker",
    measure=lambda _, __: {},
    targets=(Target(value="p50_ms", at_most=1.0, against="peer", must="p50 against peer"),),
)


def report(*samples: Sample, failures: tuple[Failure, ...] = ()) -> Report:
    return Report(
        surroundings={"machine": "2 CPUs"},
        contracts={"pq": "durable, history kept", "peer": "jobs deleted"},
        scenarios=[DRAIN, CROWDED, IDLE],
        samples=samples,
        failures=failures,
    )


def sample(scenario: str, contender: str, turn: int, *, disturbance: float = 0.0, **figures: float) -> Sample:
    return Sample(scenario=scenario, contender=contender, round=turn, values=figures, disturbance=disturbance)


def row(text: str, *parts: str) -> str:
    (found,) = [line for line in text.splitlines() if all(part in line for part in parts)]
    return found


def test_a_figure_is_the_median_of_the_rounds_with_their_range() -> None:
    text = report(*(sample("drain", "pq", turn, jobs_per_s=rate) for turn, rate in enumerate((9e3, 7e3, 8e3)))).table()
    assert "8,000 (7,000 to 9,000)" in row(text, "the drain", "pq")


def test_a_target_says_whether_it_is_reached() -> None:
    text = report(sample("drain", "pq", 0, jobs_per_s=5_000.0)).table()
    assert row(text, "the drain").rstrip(" |").endswith("jobs_per_s ≥ 6,000: 5e+03 short")


def test_a_relative_target_is_judged_round_by_round() -> None:
    figures = [
        *(sample("drain", "pq", turn, jobs_per_s=rate) for turn, rate in enumerate((10_000.0, 1_000.0))),
        *(sample("drain-crowded", "pq", turn, jobs_per_s=rate) for turn, rate in enumerate((9_000.0, 900.0))),
    ]
    assert "0.9 reached" in row(report(*figures).table(), "the crowded drain")


def test_a_relative_target_without_its_baseline_is_not_measured() -> None:
    text = report(sample("drain-crowded", "pq", 0, jobs_per_s=9.0)).table()
    assert "not measured" in row(text, "the crowded drain")


def test_a_peer_is_compared_with_pq() -> None:
    text = report(
        *(sample("drain", "pq", 0, jobs_per_s=3_000.0), sample("drain", "peer", 0, jobs_per_s=1_000.0)),
        *(sample("idle", "pq", 0, p50_ms=2.0), sample("idle", "peer", 0, p50_ms=3.0)),
    ).table()
    assert "3.00 times as fast" in row(text, "peer", "1,000")
    assert "1.50 times as fast" in row(text, "peer", "p50 3.00 ms")


def test_what_must_be_reached_has_a_table_of_its_own_with_a_verdict_for_each_row() -> None:
    text = required_table(
        report(
            *(sample("drain", "pq", turn, jobs_per_s=rate) for turn, rate in enumerate((300.0, 500.0, 400.0))),
            *(sample("drain", "peer", turn, jobs_per_s=100.0) for turn in range(3)),
            *(sample("idle", "pq", 0, p50_ms=3.0), sample("idle", "peer", 0, p50_ms=2.0)),
        )
    )
    cells = [cell.strip() for cell in row(text, "drain against peer").split("|")]
    assert cells[2:6] == ["≥ 2", "4.00 (3.00 to 5.00)", "3", "reached"]
    assert "short" in row(text, "p50 against peer")


def test_what_must_be_reached_and_was_not_measured_is_not_called_reached() -> None:
    text = required_table(report(sample("drain", "pq", 0, jobs_per_s=9e9)))
    assert "not measured" in row(text, "drain against peer")


def test_a_disturbed_round_counts_and_is_counted() -> None:
    text = required_table(
        report(
            *(sample("drain", "pq", turn, jobs_per_s=300.0) for turn in range(3)),
            *(sample("drain", "peer", turn, jobs_per_s=100.0, disturbance=0.4 * (turn == 1)) for turn in range(3)),
        )
    )
    assert "3, 1 disturbed" in row(text, "drain against peer")


def test_the_contract_of_each_contender_stands_with_what_was_counted() -> None:
    text = report(
        sample("drain", "pq", 0, started=20_000.0, in_history=19_999.0, logged=1.0),
        sample("drain", "peer", 0, started=10.0, left=0.0, logged=0.0),
    ).facts()
    assert row(text, "- pq:").endswith(
        "durable, history kept (counted: jobs in a logged table, 19,999 of 20,000 jobs in the history)"
    )
    assert row(text, "- peer:").endswith("jobs deleted (counted: jobs in an UNLOGGED table, no job left)")


def test_a_peer_that_failed_is_named_once() -> None:
    failure = Failure(scenario="drain", contender="peer", round=0, reason="it has no legs")
    assert row(report(failures=(failure, failure)).facts(), "failed") == "- peer failed in `drain`"


def test_json_holds_every_sample_and_the_summary() -> None:
    read = json.loads(report(sample("drain", "pq", 0, jobs_per_s=7_000.0)).json())
    (written,) = read["samples"]
    assert (written["contender"], written["values"]) == ("pq", {"jobs_per_s": 7_000.0})
    assert read["summary"][0]["targets"] == ["jobs_per_s ≥ 6,000: 7e+03 reached"]
    assert read["surroundings"] == {"machine": "2 CPUs"}


def test_a_report_is_read_again_as_it_was_written() -> None:
    failure = Failure(scenario="idle", contender="peer", round=1, reason="it has no legs")
    written = report(sample("drain", "pq", 0, disturbance=0.2, jobs_per_s=7_000.0), failures=(failure,))
    read = Report.read(written.json())
    assert (read.samples, read.failures) == ([*written.samples], [failure])
    assert (read.surroundings, read.contracts) == (written.surroundings, written.contracts)
    assert [scenario.name for scenario in read.scenarios] == ["drain"]
