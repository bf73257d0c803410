"""Short names of two fixtures, which step aside for any other plugin that owns them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # Only for readers: a test run that uses no jobs does not pay for them.
    from pq_core.app import App
    from pq_testing.run_jobs import RunJobs

# It has no fixture `app`, but gives every test that asks for one what only Flask's app can bear.
_TAKES_APP_FOR_FLASK = ("pytest_flask.plugin", "pytest_flask", "flask", "pytest-flask")


class AppAlias:
    """The plugin that gives the fixture `app`."""

    @pytest.fixture
    def app(self, pq_app: App) -> App:
        """Alias of pq_app: the App under test."""
        return pq_app


class RunJobsAlias:
    """The plugin that gives the fixture `run_jobs`."""

    @pytest.fixture
    def run_jobs(self, pq_run_jobs: RunJobs) -> RunJobs:
        """Alias of pq_run_jobs: runs the jobs of this test."""
        return pq_run_jobs


def add_aliases(session: pytest.Session) -> None:
    """Give fixtures their short names, as far as these are free. Fixtures of the user's conftest.py win anyway."""
    manager = session.config.pluginmanager
    if not _owned(session, "run_jobs"):
        manager.register(RunJobsAlias(), "pq-alias-run-jobs")
    if not _owned(session, "app") and not any(manager.hasplugin(name) for name in _TAKES_APP_FOR_FLASK):
        manager.register(AppAlias(), "pq-alias-app")


def _owned(session: pytest.Session, name: str) -> bool:
    """Tell whether a fixture of that name is there already for all tests."""
    fixtures: Any = getattr(session, "_fixturemanager", None)
    if fixtures is None:
        return False
    everywhere = session if pytest.version_tuple >= (8, 1) else ""
    return bool(fixtures.getfixturedefs(name, everywhere))
