from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from pq_benchmarks import round_robin
from pq_benchmarks.contender import PQ, Contender
from pq_benchmarks.figures import Sample
from pq_benchmarks.peers import PYTHON_PEERS
from pq_benchmarks.round_robin import Failure, choose, play, rotated
from pq_benchmarks.scenarios import SCENARIOS, Scenario
from pq_benchmarks.stage import FULL, QUICK, Sizes, Stage

STEADY = Contender(name="steady", command=("steady",), contract="all")
FRAIL = Contender(name="frail", command=("frail",), contract="none")
YARDSTICK = Contender(name="yardstick", command=("yardstick",), contract="no queue")


class NoServer:
    def cpu_seconds(self) -> float:
        return 0.0


def stage(sizes: Sizes = QUICK) -> Stage:
    return Stage(server=cast("Any", NoServer()), directory=Path(), sizes=sizes)


def measure(_: Stage, contender: Contender) -> Mapping[str, float]:
    if contender == FRAIL:
        raise RuntimeError("it has no legs")
    return {"jobs_per_s": 1.0}


SCENARIO = Scenario(name="drain", title="", measure=measure, peers=True, yardsticks=(YARDSTICK,))


def test_in_each_round_another_one_begins_and_all_take_part() -> None:
    results = list(play(stage(FULL), [SCENARIO], [STEADY]))
    orders = [[result.contender for result in results if result.round == turn] for turn in range(3)]
    assert orders == [["pq", "yardstick", "steady"], ["yardstick", "steady", "pq"], ["steady", "pq", "yardstick"]]
    assert rotated([], 1) == []


def test_a_peer_that_fails_twice_is_told_and_left_out_while_the_others_go_on() -> None:
    results = list(play(stage(FULL), [SCENARIO], [FRAIL, STEADY]))
    failures = [result for result in results if isinstance(result, Failure)]
    assert [(failure.contender, failure.round) for failure in failures] == [("frail", 0), ("frail", 1)]
    assert {failure.reason for failure in failures} == {"RuntimeError: it has no legs"}
    assert len([result for result in results if isinstance(result, Sample)]) == 3 * FULL.rounds


def test_a_failure_is_told_in_a_line() -> None:
    reasons = {"one": "one", "one\ntwo": "one ... two", "one\ntwo\nthree": "one ... three"}
    for reason, brief in reasons.items():
        assert Failure(scenario="", contender="", round=0, reason=reason).brief == brief


def test_pq_is_never_left_out() -> None:
    def fail(_: Stage, __: Contender) -> Mapping[str, float]:
        raise RuntimeError

    alone = Scenario(name="drain", title="", measure=fail)
    assert [result.contender for result in play(stage(), [alone], [])] == ["pq"] * QUICK.rounds


def test_a_scenario_that_needs_one_round_has_one() -> None:
    once = Scenario(name="drain", title="", measure=measure, once=True)
    assert [result.round for result in play(stage(), [once], [])] == [0]


def test_a_round_says_how_much_of_the_machine_went_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_robin, "disturbance_meter", lambda _: lambda: 0.25)
    (sample, *_) = play(stage(), [SCENARIO], [])
    assert isinstance(sample, Sample)
    assert sample.disturbance == 0.25


def test_a_scenario_that_is_chosen_brings_its_baseline() -> None:
    assert [scenario.name for scenario in choose(["drain-other-queue"])] == ["drain", "drain-other-queue"]


def test_the_quick_profile_leaves_out_what_takes_too_long_unless_it_is_named() -> None:
    slow = {scenario.name for scenario in SCENARIOS if scenario.full}
    assert not slow & {scenario.name for scenario in choose([])}
    assert {scenario.name for scenario in choose([], full=True)} == {scenario.name for scenario in SCENARIOS}
    for name in slow:
        assert name in {scenario.name for scenario in choose([name])}


def test_only_what_must_be_reached_can_be_asked_for_with_what_it_is_compared_with() -> None:
    chosen = {scenario.name: scenario for scenario in choose([], full=True, required=True)}
    compared = {name for scenario in chosen.values() for name in scenario.baselines}
    for scenario in SCENARIOS:
        required = any(target.must for target in scenario.targets)
        assert (scenario.name in chosen) == (required or scenario.name in compared)
    assert "import" not in chosen


def test_the_quick_profile_has_fewer_rounds_of_what_takes_long() -> None:
    slow = Scenario(name="slow", title="", measure=measure, quick_rounds=1)
    assert [result.round for result in play(stage(), [slow], [])] == [0]
    assert [result.round for result in play(stage(FULL), [slow], [])] == [*range(FULL.rounds)]


def test_pq_may_be_alone_in_the_quick_profile() -> None:
    alone = Scenario(name="slow", title="", measure=measure, peers=True, once=True, quick_alone=True)
    assert [result.contender for result in play(stage(), [alone], [STEADY])] == ["pq"]
    assert [result.contender for result in play(stage(FULL), [alone], [STEADY])] == ["pq", "steady"]


def test_an_unknown_scenario_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"there is no scenario 'drian'; there are .*, drain, "):
        choose(["drian"])


def test_names_are_unique_and_every_baseline_is_there() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(names) == len(set(names))
    assert {name for scenario in SCENARIOS for name in scenario.baselines} <= set(names)


def test_a_target_against_a_yardstick_names_one_that_takes_part() -> None:
    peers = {PQ.name, "graphile-worker", *(peer.name for peer in PYTHON_PEERS)}
    for scenario in SCENARIOS:
        known = peers | {yardstick.name for yardstick in scenario.yardsticks}
        assert {target.against for target in scenario.targets if target.against} <= known
