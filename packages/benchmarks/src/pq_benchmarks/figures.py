"""What was measured, and what follows from it: medians, ranges, percentiles, ratios, targets."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

import attrs

Verdict = Literal["reached", "short"]


@attrs.frozen(kw_only=True)
class Sample:
    """What one measurement gave.

    Attributes:
        scenario: its name.
        contender: whose figures these are.
        round: number of the round; samples of one round were taken right after each other.
        values: figures by name: ``jobs_per_s``; ``worker_us`` and ``postgres_us``, CPU microseconds per job;
            ``p50_ms`` and the like; ``rss_mb``; and more.
    """

    scenario: str
    contender: str
    round: int
    values: Mapping[str, float]


@attrs.frozen(kw_only=True)
class Spread:
    """The median of some figures, and the least and greatest of them."""

    median: float
    least: float
    most: float


@attrs.frozen(kw_only=True)
class Target:
    """What a figure of pq should be.

    Attributes:
        value: name of the figure.
        at_least: the least that will do, if more is better.
        at_most: the most that will do, if less is better.
        of: the scenario of whose figure this is a ratio; None: the figure itself is meant.
    """

    value: str
    at_least: float | None = None
    at_most: float | None = None
    of: str | None = None

    def judge(self, figure: float) -> Verdict:
        """Say whether `figure` will do."""
        low = self.at_least is not None and figure < self.at_least
        high = self.at_most is not None and figure > self.at_most
        return "short" if low or high else "reached"


def spread(figures: Sequence[float]) -> Spread:
    """Return median and range of at least one figure."""
    return Spread(median=statistics.median(figures), least=min(figures), most=max(figures))


def percentile(figures: Sequence[float], fraction: float) -> float:
    """Return the figure below or at which `fraction` of all lie (nearest rank), of at least one."""
    ordered = sorted(figures)
    return ordered[max(0, min(len(ordered) - 1, -int(-len(ordered) * fraction // 1) - 1))]


def values(samples: Sequence[Sample], scenario: str, contender: str, value: str) -> dict[int, float]:
    """Return the figures of that name by round."""
    return {
        sample.round: sample.values[value]
        for sample in samples
        if sample.scenario == scenario and sample.contender == contender and value in sample.values
    }


def ratios(mine: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    """Return mine / theirs for each round that has both: what else the machine did then slowed down both."""
    return [mine[turn] / theirs[turn] for turn in sorted(mine.keys() & theirs.keys()) if theirs[turn]]
