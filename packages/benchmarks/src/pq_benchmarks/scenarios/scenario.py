"""What a scenario is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.stage import Stage


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
    full: bool = False
    takes: Callable[[Contender], bool] = lambda _: True

    @property
    def baselines(self) -> set[str]:
        """Return the names of the scenarios that must run in the same rounds, since targets are ratios to them."""
        return {target.of for target in self.targets if target.of}
