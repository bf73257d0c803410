"""What one test has of pq, from its setup until after its teardown."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pq_testing.plugin import databases, replay
from pq_testing.plugin.app_under_test import app_of, made
from pq_testing.plugin.marks import settings_of
from pq_testing.plugin.state import state_of
from pq_testing.plugin.wider import wider

if TYPE_CHECKING:  # Only for readers: a test run that uses no jobs does not pay for them.
    from pq_core.app import App
    from pq_testing.backends.postgres import PostgresBackend
    from pq_testing.disturbances import Chaos
    from pq_testing.run_jobs import RunJobs


class Lifetime:
    """What one test has of pq, from its setup until after its teardown.

    Attributes:
        settings: how the test wants its jobs treated.
        uses: one for each app that the test uses.
        crash_at: the point at which a worker crashes in this run of the test; 0 to count them only.
        points: at which workers could have crashed, once the test has ended.
    """

    def __init__(self, item: pytest.Item) -> None:
        state = state_of(item.config)
        self._item = item
        self._stack = ExitStack()
        self.settings = settings_of(item, state.options, state.seed)
        self.uses: list[RunJobs] = []
        self.crash_at: int | None = None
        self.points = 0
        self._postgres: PostgresBackend | None = None

    @property
    def disturbed(self) -> bool:
        """Whether anything is done to the workers of this test."""
        return self.settings.redeliver or self.settings.crash is not None or self.settings.reorder

    @property
    def backend(self) -> str:
        """Where the jobs are: memory or postgres."""
        return databases.backend_of(self._item, self.settings)

    def begin(self) -> None:
        """Swap the connector of the session's app, before any fixture can see it."""
        app = app_of(self._item.config)
        if callable(app):
            return
        if (around := wider(self._item, app)) is not None:
            self._stack.enter_context(app.replace_connector(around.connector))
        elif self.backend == "memory":
            self._start(app, None)
        else:  # Which database it is, fixtures will tell; until then nobody shall reach the app's own.
            from pq_core.clock import utc_now
            from pq_testing.in_memory import OpenInMemoryConnector

            self._stack.enter_context(app.replace_connector(OpenInMemoryConnector(clock=utc_now)))

    def use(self, app: App, request: pytest.FixtureRequest) -> RunJobs:
        """Return what runs the jobs of `app`, whose connector is swapped until the end of the test."""
        if (around := wider(self._item, app)) is not None:
            return around
        for used in self.uses:
            if used.app is app:
                return used
        return self._start(app, request if self.backend == "postgres" else None)

    def postgres(self, request: pytest.FixtureRequest, dsn: str) -> PostgresBackend:
        """Return what keeps this test's jobs in PostgreSQL: in the database of `dsn`, emptied, or in one of its own."""
        if self._postgres is None:
            found = databases.databases_of(request)
            with databases.told(self._item.config):
                if self.settings.fresh_database:
                    self._postgres = self._stack.enter_context(found.fresh())
                else:
                    self._postgres = found.backend(dsn)
                self._stack.callback(self._postgres.close_test)
                self._postgres.reset()
        return self._postgres

    def end(self) -> None:
        """Put everything back."""
        self.points = sum(getattr(used.harness.conductor, "points", 0) for used in self.uses)
        self.uses.clear()
        self._stack.close()

    def chaos(self) -> Chaos:
        """Return what is done to the workers of this test."""
        from pq_testing.disturbances import Chaos

        settings: Any = self.settings
        if not self.disturbed:
            return Chaos()
        return Chaos(
            redeliver=settings.redeliver,
            crash=settings.crash,
            crash_at=settings.crash_at if self.crash_at is None else self.crash_at,
            reorder=settings.reorder,
            seed=replay.seed_of_test(self._item, settings),
            replay=replay.command(self._item, settings, self.crash_at),
        )

    def _start(self, app: App, request: pytest.FixtureRequest | None) -> RunJobs:
        from pq_testing.harness import MAX_RUNS
        from pq_testing.swap import using

        chaos = self.chaos()
        most = self.settings.max_runs or MAX_RUNS
        if request is None:
            used = self._stack.enter_context(using(app, chaos=chaos, max_runs=most))
        else:
            used = self._start_on_postgres(request.getfixturevalue("pq_postgres"), app, chaos, most)
        self.uses.append(used)
        return used

    def _start_on_postgres(self, postgres: PostgresBackend, app: App, chaos: Chaos, most: int) -> RunJobs:
        from pq_testing.clock import Clock
        from pq_testing.swap import using

        clock = Clock()
        connector: Any = postgres.connector(clock)
        connector.stay_open()
        used = self._stack.enter_context(using(app, clock=clock, connector=connector, chaos=chaos, max_runs=most))
        make: Any = partial(postgres.hand_connector, clock)
        used.harness.hand_connector = make
        return used


class Everywhere:
    """The plugin that gives every test its own jobs on PostgreSQL, where it is known only once fixtures are set up."""

    @pytest.fixture(autouse=True)
    def _pq_everywhere(self, request: pytest.FixtureRequest) -> None:
        mine = lifetime_of(request.node)
        if mine.backend == "postgres":
            mine.use(made(app_of(request.config)), request)


_LIFETIME = pytest.StashKey[Lifetime]()


def lifetime_of(item: pytest.Item) -> Lifetime:
    """Return what the test has of pq; it begins when first asked for."""
    if _LIFETIME not in item.stash:
        item.stash[_LIFETIME] = Lifetime(item)
    return item.stash[_LIFETIME]


def known(item: pytest.Item) -> Lifetime | None:
    """Return what the test has of pq: nothing, for most tests of most suites."""
    return item.stash.get(_LIFETIME, None)


def end(item: pytest.Item) -> None:
    """Put back what the test has changed, and forget it."""
    lifetime = known(item)
    if lifetime is not None:
        del item.stash[_LIFETIME]
        lifetime.end()


@contextmanager
def between_tests(config: pytest.Config) -> Generator[None]:
    """Keep off its database who uses the session's app while no test runs."""
    app = app_of(config) if state_of(config).everywhere else None
    if app is None or callable(app):
        yield
        return
    from pq_core.clock import utc_now
    from pq_testing.in_memory import OpenInMemoryConnector

    with app.replace_connector(OpenInMemoryConnector(clock=utc_now)):
        yield
