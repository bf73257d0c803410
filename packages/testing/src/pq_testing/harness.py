"""What one test has of pq: an app, a connector, a clock, and the memory of what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

from pq_core.app import App
from pq_core.connector import Connector, JobFilter
from pq_core.job import Job
from pq_core.outcome import Outcome
from pq_testing import no_loop
from pq_testing.clock import Clock
from pq_testing.disturbances import Chaos
from pq_testing.errors import WrongBackend
from pq_testing.ledger import Ledger
from pq_testing.stored import PAGE, stored_jobs

if TYPE_CHECKING:  # few tests need them
    from pq_core.postgres.bound import BoundConnector
    from pq_testing.effects import Effects

Backend = Literal["memory", "postgres"]
MAX_RUNS = 10_000
"""Runs in one drain after which jobs count as feeding themselves for ever."""


class Conductor(Protocol):
    """Says in which order the hands of a drain go on, and which of them die."""

    async def conduct(self, drain: Any, /) -> None:
        """Hire hands for a :class:`pq_testing.drain.Drain`, and let them live until nothing is due any more."""
        ...


class Deliverer(Protocol):
    """Runs jobs for hands, and may lose how they ended."""

    async def run(self, hand: Any, job: Job, /) -> tuple[Outcome, BaseException | None] | None:
        """Run a job that a :class:`pq_testing.hand.Hand` has claimed; return what is to be written, or None."""
        ...


@attrs.define(kw_only=True, eq=False)
class Harness:
    """What one test has of pq.

    Attributes:
        app: its connector is `connector` for the time of the test.
        connector: in memory, or to a PostgreSQL for tests.
        backend: which of the two.
        clock: tells the time to the connector and to everything else here.
        ledger: what was run.
        chaos: what is done to the workers.
        conductor: rules over the hands of each drain; None: they work as they like.
        deliverer: runs jobs, and may lose how they ended; None: hands run them themselves.
        hand_connector: makes the connector of one hand, where hands must not share one.
        max_runs: jobs that one drain may run.
    """

    app: App
    connector: Connector
    backend: Backend = "memory"
    clock: Clock = attrs.field(factory=Clock)
    ledger: Ledger = attrs.field(factory=Ledger)
    chaos: Chaos = attrs.field(factory=Chaos)
    conductor: Conductor | None = None
    deliverer: Deliverer | None = None
    hand_connector: Callable[[], Connector] | None = None
    max_runs: int = MAX_RUNS
    _workers: Iterator[int] = attrs.field(init=False, factory=lambda: count(1))
    _effects: Effects | None = attrs.field(init=False, default=None)

    def next_worker(self) -> int:
        """Return the id of another worker: a small number, always the same in the same test."""
        return next(self._workers)

    @property
    def effects(self) -> Effects:
        """What redelivered jobs must not change twice."""
        if self._effects is None:
            from pq_testing.effects import Effects

            self._effects = Effects()
        return self._effects

    @property
    def watched(self) -> bool:
        """Whether the test has named effects."""
        return self._effects is not None

    def bound(self, connection: Any) -> BoundConnector:
        """Return the connector to the jobs as the open transaction of a caller sees them.

        Raises:
            WrongBackend: the jobs of this test are not in a database.
            WrongConnection: pq cannot use a connection of this kind.
        """
        from pq_core.postgres import PsycopgConnector
        from pq_core.postgres.bound import BoundConnector

        if not isinstance(self.connector, PsycopgConnector):
            raise WrongBackend(
                f"connection= is a {type(connection).__qualname__}, and the jobs of this test are in memory: mark the "
                'test with @pytest.mark.pq(backend="postgres"), or do without connection='
            )
        return BoundConnector(self.connector, connection, call=no_loop.call)

    def jobs(self, connection: Any = None) -> list[Job]:
        """Return every job of this test in any state, by id; also those whose task keeps no history of them.

        Args:
            connection: a caller's, whose open transaction may have changed jobs; None: what is committed.
        """
        store = self.connector.sync if connection is None else self.bound(connection).sync
        return self._with_vanished(stored_jobs(store))

    async def jobs_async(self, connection: Any) -> list[Job]:
        """Do what :meth:`jobs` does, on a connection that can only be awaited."""
        store = self.bound(connection)
        jobs: list[Job] = []
        while page := await store.find(JobFilter(), limit=PAGE, after=jobs[-1].id if jobs else 0):
            jobs += page
        return self._with_vanished(jobs)

    def _with_vanished(self, jobs: list[Job]) -> list[Job]:
        vanished = self.ledger.vanished({job.id for job in jobs})
        return sorted([*jobs, *vanished], key=lambda job: job.id)


@attrs.frozen(eq=False)
class View:
    """The jobs of a test as someone sees them."""

    _harness: Harness
    jobs: Callable[[], list[Job]]

    @property
    def app(self) -> App:
        """Knows the tasks."""
        return self._harness.app

    @property
    def clock(self) -> Clock:
        """Tells the test's time."""
        return self._harness.clock

    @property
    def ledger(self) -> Ledger:
        """Is told what the test looks at."""
        return self._harness.ledger
