"""The fixtures. All are sync and give objects with sync and async faces, so that they work in every kind of test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pq_testing.plugin import databases
from pq_testing.plugin.app_under_test import app_of, made
from pq_testing.plugin.lifetime import lifetime_of

if TYPE_CHECKING:  # Only for readers: a test run that uses no jobs does not pay for them.
    from pq_core.app import App
    from pq_core.connector import Connector
    from pq_testing.backends.postgres import PostgresBackend
    from pq_testing.clock import Clock
    from pq_testing.effects import Effects
    from pq_testing.run_jobs import RunJobs


@pytest.fixture
def pq_app_factory(request: pytest.FixtureRequest) -> App | Callable[[], App]:
    """The App under test, or a function that makes one: that of the ini option pq_app, else an empty one.

    Override it in conftest.py, in any scope, to test another one.

    .. versionadded:: 0.1
    """
    return app_of(request.config)


@pytest.fixture
def pq_app(request: pytest.FixtureRequest, pq_app_factory: Any) -> App:
    """The App under test, which keeps the jobs of this test by themselves, in memory or in a PostgreSQL for tests.

    .. versionadded:: 0.1
    """
    return lifetime_of(request.node).use(made(pq_app_factory), request).app


@pytest.fixture
def pq_run_jobs(request: pytest.FixtureRequest, pq_app: App) -> RunJobs:
    """Runs the jobs of this test: run_jobs() those that are due now, run_jobs(until="2h") also later ones.

    .. versionadded:: 0.1
    """
    return lifetime_of(request.node).use(pq_app, request)


@pytest.fixture
def pq_clock(pq_run_jobs: RunJobs) -> Clock:
    """The clock of this test's jobs. It stands still until moved.

    .. versionadded:: 0.1
    """
    return pq_run_jobs.clock


@pytest.fixture
def pq_connector(pq_run_jobs: RunJobs) -> Connector:
    """The connector that keeps the jobs of this test.

    .. versionadded:: 0.1
    """
    return pq_run_jobs.connector


@pytest.fixture
def pq_effects(pq_run_jobs: RunJobs) -> Effects:
    """Watches what redelivered jobs must not change twice.

    .. versionadded:: 0.1
    """
    return pq_run_jobs.effects


@pytest.fixture(scope="session")
def pq_dsn(request: pytest.FixtureRequest) -> str:
    """The PostgreSQL database for tests. Override it to have pq's schema beside the tables of your own database.

    .. versionadded:: 0.1
    """
    return databases.dsn(request)


@pytest.fixture
def pq_postgres(request: pytest.FixtureRequest, pq_dsn: str) -> PostgresBackend:
    """What keeps jobs in the PostgreSQL for tests; it empties pq's tables, and no others, between tests.

    .. versionadded:: 0.1
    """
    return lifetime_of(request.node).postgres(request, pq_dsn)
