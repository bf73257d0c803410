"""What was measured, and what follows from it: medians, ranges, percentiles, ratios, targets."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

import attrs

Verdict = Literal["reached", "short"]

DISTURBED = 0.1
"""Share of the machine's CPU time, taken by others, from which on a measurement counts as disturbed."""


@attrs.frozen(kw_only=True)
class Sample:
    """What one measurement gave.

    Attributes:
        scenario: its name.
        contender: whose figures these are.
        round: number of the round; samples of one round were taken right after each other.
        values: figures by name: ``jobs_per_s``; ``worker_us`` and ``postgres_us``, CPU microseconds per job;
            ``p50_ms`` and the like; ``rss_mb``; ``wal_bytes`` and ``dead_rows`` of each job; and more.
        disturbance: the share of the machine's CPU time, from 0 to 1, that went to what was not measured: other
            programs, and the host's other guests.
        took: seconds of the whole measurement, what was prepared for it included.
    """

    scenario: str
    contender: str
    round: int
    values: Mapping[str, float]
    disturbance: float = 0.0
    took: float = 0.0


@attrs.frozen(kw_only=True)
class Spread:
    """The median of some figures, and the least and greatest of them."""

    median: float
    least: float
    most: float


@attrs.frozen(kw_only=True)
class Target:
    """What a figure of pq should be, or its ratio to another figure of the same round.

    Attributes:
        value: name of the figure.
        at_least: the least that will do, if more is better.
        at_most: the most that will do, if less is better.
        of: the scenario to whose figure the ratio is taken; None: to that of the same scenario, or to none.
        against: the contender to whose figure the ratio is taken; None: pq itself, in `of`.
        must: what stands in the table of what pq must reach; empty if the target does not belong there.
    """

    value: str
    at_least: float | None = None
    at_most: float | None = None
    of: str | None = None
    against: str | None = None
    must: str = ""

    @property
    def bound(self) -> str:
        """Return the bound as it is written, such as ``≥ 0.7``."""
        return f"≥ {self.at_least:,g}" if self.at_least is not None else f"≤ {self.at_most:,g}"

    def judge(self, figure: float) -> Verdict:
        """Say whether `figure` will do."""
        low = self.at_least is not None and figure < self.at_least
        high = self.at_most is not None and figure > self.at_most
        return "short" if low or high else "reached"


@attrs.frozen(kw_only=True)
class Finding:
    """What the samples say of a target.

    Attributes:
        figures: one of each round that has what the target asks for.
        disturbed: in how many of these rounds something else took part of the machine. They count like the others.
    """

    target: Target
    figures: Sequence[float]
    disturbed: int

    @property
    def verdict(self) -> Verdict | Literal["not measured"]:
        """Return what the median says."""
        return self.target.judge(statistics.median(self.figures)) if self.figures else "not measured"


def find(samples: Sequence[Sample], scenario: str, target: Target, contender: str = "pq") -> Finding:
    """Return the figures of `contender` that `target` asks for, each of them from one round."""
    mine = _by_round(samples, scenario, contender, target.value)
    taken = [mine]
    figures = {turn: sample.values[target.value] for turn, sample in mine.items()}
    if target.of or target.against:
        theirs = _by_round(samples, target.of or scenario, target.against or contender, target.value)
        taken.append(theirs)
        divisors = {turn: sample.values[target.value] for turn, sample in theirs.items()}
        figures = {turn: figures[turn] / divisors[turn] for turn in figures if divisors.get(turn)}
    disturbed = [turn for turn in figures if any(each[turn].disturbance > DISTURBED for each in taken)]
    return Finding(target=target, figures=[figures[turn] for turn in sorted(figures)], disturbed=len(disturbed))


def _by_round(samples: Sequence[Sample], scenario: str, contender: str, value: str) -> dict[int, Sample]:
    return {
        sample.round: sample
        for sample in samples
        if sample.scenario == scenario and sample.contender == contender and value in sample.values
    }


def spread(figures: Sequence[float]) -> Spread:
    """Return median and range of at least one figure."""
    return Spread(median=statistics.median(figures), least=min(figures), most=max(figures))


def percentile(figures: Sequence[float], fraction: float) -> float:
    """Return the figure below or at which `fraction` of all lie (nearest rank), of at least one."""
    ordered = sorted(figures)
    return ordered[max(0, min(len(ordered) - 1, -int(-len(ordered) * fraction // 1) - 1))]


def values(samples: Sequence[Sample], scenario: str, contender: str, value: str) -> dict[int, float]:
    """Return the figures of that name by round."""
    return {turn: sample.values[value] for turn, sample in _by_round(samples, scenario, contender, value).items()}


def ratios(mine: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    """Return mine / theirs for each round that has both: what else the machine did then slowed down both."""
    return [mine[turn] / theirs[turn] for turn in sorted(mine.keys() & theirs.keys()) if theirs[turn]]
