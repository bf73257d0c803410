"""Rounds: in each, every scenario has its turn, and in each turn every contender, so that all meet the same machine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence

import attrs

from pq_benchmarks.contender import PQ, Contender
from pq_benchmarks.disturbance import disturbance_meter
from pq_benchmarks.figures import Sample
from pq_benchmarks.scenarios import SCENARIOS, Scenario
from pq_benchmarks.stage import Stage

CHANCES = 2
"""How often a contender may fail in a scenario."""


@attrs.frozen(kw_only=True)
class Failure:
    """A measurement that came to nothing, and why."""

    scenario: str
    contender: str
    round: int
    reason: str

    @property
    def brief(self) -> str:
        """Return what failed and how that ended, without what lies between, such as a traceback."""
        first, *_, last = self.reason.splitlines() * 2
        return first if first == last else f"{first} ... {last}"


def choose(names: Sequence[str], *, full: bool = False, required: bool = False) -> list[Scenario]:
    """Return the scenarios of these names, all of the profile if there are none, and those that they are compared with.

    Args:
        names: of scenarios.
        full: whether all of the full profile are meant.
        required: whether only those are meant that stand in the table of what pq must reach.

    Raises:
        ValueError: there is no such scenario.
    """
    known = {scenario.name for scenario in SCENARIOS}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"there is no scenario {unknown[0]!r}; there are {', '.join(sorted(known))}")
    all_of_them = [scenario for scenario in SCENARIOS if full or not scenario.full]
    if required:
        all_of_them = [scenario for scenario in all_of_them if any(target.must for target in scenario.targets)]
    wanted = set(names or (scenario.name for scenario in all_of_them))
    wanted |= {name for scenario in SCENARIOS if scenario.name in wanted for name in scenario.baselines}
    return [scenario for scenario in SCENARIOS if scenario.name in wanted]


def play(stage: Stage, scenarios: Sequence[Scenario], peers: Sequence[Contender]) -> Iterator[Sample | Failure]:
    """Measure everything, round after round. A peer that has failed twice in a scenario takes part in it no more."""
    failures: Counter[tuple[str, str]] = Counter()
    for turn in range(stage.sizes.rounds):
        for scenario in scenarios:
            if turn >= scenario.rounds(stage.sizes):
                continue
            alone = scenario.quick_alone and stage.sizes.quick
            for contender in rotated(_contenders(scenario, [] if alone else peers), turn):
                if contender != PQ and failures[scenario.name, contender.name] >= CHANCES:
                    continue
                result = _measure(stage, scenario, contender, turn)
                failures[scenario.name, contender.name] += isinstance(result, Failure)
                yield result


def rotated(contenders: Sequence[Contender], turn: int) -> list[Contender]:
    """Let another one begin in each round: who comes after whom must not decide."""
    first = turn % len(contenders) if contenders else 0
    return [*contenders[first:], *contenders[:first]]


def _contenders(scenario: Scenario, peers: Sequence[Contender]) -> list[Contender]:
    candidates = [PQ, *scenario.yardsticks, *(peers if scenario.peers else ())]
    return [contender for contender in candidates if scenario.takes(contender)]


def _measure(stage: Stage, scenario: Scenario, contender: Contender, turn: int) -> Sample | Failure:
    disturbance, began = disturbance_meter(stage.servers_cpu), time.monotonic()
    try:
        figures = scenario.measure(stage, contender)
    except Exception as error:  # noqa: BLE001 - whatever happens to one contender, the others go on
        reason = f"{type(error).__name__}: {error}".strip()
        return Failure(scenario=scenario.name, contender=contender.name, round=turn, reason=reason)
    return Sample(
        scenario=scenario.name,
        contender=contender.name,
        round=turn,
        values=figures,
        disturbance=round(disturbance(), 3),
        took=round(time.monotonic() - began, 1),
    )
