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
        once: whether one round is enough.
        baseline: name of a scenario that must run in the same rounds, since a target is a ratio to it.
        takes: whether a contender can take part.
    """

    name: str
    title: str
    measure: Callable[[Stage, Contender], Mapping[str, float]]
    targets: tuple[Target, ...] = ()
    peers: bool = False
    once: bool = False
    baseline: str | None = None
    takes: Callable[[Contender], bool] = lambda _: True
