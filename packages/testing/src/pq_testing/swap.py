"""pq for a test without its fixtures: for unittest, for session scope, for scripts."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pq_core.app import App
from pq_core.connector import Connector
from pq_core.errors import InvalidOption, shown
from pq_core.memory import InMemoryConnector
from pq_testing import own_loop
from pq_testing.clock import Clock
from pq_testing.disturbances import Chaos
from pq_testing.harness import MAX_RUNS, Backend, Conductor, Harness
from pq_testing.in_memory import OpenInMemoryConnector
from pq_testing.run_jobs import RunJobs

if TYPE_CHECKING:  # Most tests leave their workers alone.
    from pq_testing.chaos.redeliver import Redelivery
    from pq_testing.staged import Staged

blocks: list[RunJobs] = []
"""What runs the jobs of each block of :func:`using` that is open; the latest is the last."""


@contextmanager
def using(
    app: App,
    *,
    clock: Clock | None = None,
    connector: Connector | None = None,
    chaos: Chaos | None = None,
    conductor: Conductor | None = None,
    max_runs: int = MAX_RUNS,
) -> Generator[RunJobs]:
    """Keep the jobs of `app` in memory for the length of the block, in all threads, and yield what runs them.

    Args:
        app: its connector is replaced in the app itself, and put back at the end.
        clock: tells the time; by default one that stands still at the time of the call.
        connector: where jobs are instead of in memory; it should tell the time by the same clock.
        chaos: what is done to the workers.
        conductor: rules over the hands of each drain, instead of what `chaos` makes.
        max_runs: jobs that one drain may run.

    Raises:
        InvalidOption: this is no app.

    .. versionadded:: 0.1
    """
    if not isinstance(app, App):  # pyright: ignore[reportUnnecessaryIsInstance] - users need no type checker
        raise InvalidOption(f"{shown(app)} is not an App of pq; pass the one whose jobs are to be tested")
    clock = Clock() if clock is None else clock
    chaos = Chaos() if chaos is None else chaos
    stages, deliverer = _disturbers(chaos)
    backend: Backend = "memory" if connector is None or isinstance(connector, InMemoryConnector) else "postgres"
    if connector is None:
        connector = OpenInMemoryConnector(clock=clock.now)
    harness = Harness(
        app=app,
        connector=connector,
        backend=backend,
        clock=clock,
        chaos=chaos,
        conductor=conductor or stages,
        deliverer=deliverer,
        max_runs=max_runs,
    )
    clock.may_go_back = lambda: not harness.jobs()
    try:
        with app.replace_connector(connector):
            blocks.append(RunJobs(harness))
            yield blocks[-1]
    finally:
        blocks[:] = [block for block in blocks if block.harness is not harness]
        if stages is not None:
            stages.close()
        clock.close()
        own_loop.settle()


def _disturbers(chaos: Chaos) -> tuple[Staged | None, Redelivery | None]:
    if not chaos:
        return None, None
    from pq_testing.chaos.conducting import staged
    from pq_testing.chaos.redeliver import Redelivery

    return staged(chaos), Redelivery() if chaos.redeliver else None
