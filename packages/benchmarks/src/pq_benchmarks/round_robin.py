"""Rounds: in each, every scenario has its turn, and in each turn every contender, so that all meet the same machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from pq_benchmarks.contender import PQ, Contender
from pq_benchmarks.figures import Sample
from pq_benchmarks.processes import ProcessFailed
from pq_benchmarks.scenarios import SCENARIOS, Scenario
from pq_benchmarks.stage import Stage


def choose(names: Sequence[str]) -> list[Scenario]:
    """Return the scenarios of these names, all if there are none, and those that they are compared with.

    Raises:
        ValueError: there is no such scenario.
    """
    known = {scenario.name for scenario in SCENARIOS}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"there is no scenario {unknown[0]!r}; there are {', '.join(sorted(known))}")
    wanted = set(names or known)
    wanted |= {scenario.baseline for scenario in SCENARIOS if scenario.name in wanted and scenario.baseline}
    return [scenario for scenario in SCENARIOS if scenario.name in wanted]


def play(stage: Stage, scenarios: Sequence[Scenario], peers: Sequence[Contender]) -> Iterator[Sample]:
    """Measure everything, round after round. A contender that fails is said to, and goes on with its next turn."""
    for turn in range(stage.sizes.rounds):
        for scenario in scenarios:
            if scenario.once and turn:
                continue
            contenders = [PQ, *peers] if scenario.peers else [PQ]
            for contender in filter(scenario.takes, contenders):
                try:
                    figures = scenario.measure(stage, contender)
                except ProcessFailed as failure:
                    print(f"{scenario.name}: {contender.name} failed: {failure}", file=sys.stderr)
                    continue
                yield Sample(scenario=scenario.name, contender=contender.name, round=turn, values=figures)
