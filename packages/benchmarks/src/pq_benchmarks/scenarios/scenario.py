"""What a scenario is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.stage import Sizes, Stage


@attrs.frozen(kw_only=True)
class Scenario:
    """One thing to measure.

    Attributes:
        name: for the command line.
        title: for the report.
        measure: measures it once; returns figures by name, see :class:`pq_benchmarks.figures.Sample`.
        targets: what pq should reach.
        peers: whether other queues take part.
        yardsticks: what is no queue, and yet takes its turns with them, since a target is a ratio to it.
        once: whether one round is enough.
        quick_rounds: how many rounds it has at most in the quick profile; None: as many as the others.
        quick_alone: whether pq takes part alone in the quick profile.
        full: whether it takes too long for the quick profile, and is left to the full one, or to who asks for it.
        takes: whether a contender can take part.
    """

    name: str
    title: str
    measure: Callable[[Stage, Contender], Mapping[str, float]]
    targets: tuple[Target, ...] = ()
    peers: bool = False
    yardsticks: tuple[Contender, ...] = ()
    once: bool = False
    quick_rounds: int | None = None
    quick_alone: bool = False
    full: bool = False
    takes: Callable[[Contender], bool] = lambda _: True

    def rounds(self, sizes: Sizes) -> int:
        """Return how often it takes its turn."""
        most = 1 if self.once else self.quick_rounds if sizes.quick else None
        return sizes.rounds if most is None else min(most, sizes.rounds)

    @property
    def baselines(self) -> set[str]:
        """Return the names of the scenarios that must run in the same rounds, since targets are ratios to them."""
        return {target.of for target in self.targets if target.of}
