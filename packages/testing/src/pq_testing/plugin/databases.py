"""On which backend a test runs, and where its PostgreSQL comes from."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pq_testing.plugin.marks import Settings, arguments_of
from pq_testing.plugin.state import state_of

if TYPE_CHECKING:  # Only for readers: a test run that uses no jobs does not pay for them.
    from pq_core.app import App
    from pq_testing.backends.postgres import PostgresBackend
    from pq_testing.chaos import Chaos
    from pq_testing.run_jobs import RunJobs

PARAMETER = "_pq_backend"
BOTH = ("memory", "postgres")


class BackendParameter:
    """The plugin that gives the fixture by which a test is run on each backend."""

    @pytest.fixture
    def _pq_backend(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run a test on both backends, if it uses jobs and all backends are asked for."""
    state = state_of(metafunc.config)
    wanted = arguments_of(metafunc.definition.iter_markers("pq")).get("backend", state.options.pq_backend)
    if wanted == "all" and (state.everywhere or "pq_app" in metafunc.fixturenames) and _not_explored(metafunc.function):
        metafunc.fixturenames.append(PARAMETER)
        metafunc.parametrize(PARAMETER, BOTH, indirect=True, ids=BOTH)


def backend_of(item: pytest.Item, settings: Settings) -> str:
    """Return on which backend a test runs; where it is to run on all, but cannot be had twice, in memory."""
    callspec: Any = getattr(item, "callspec", None)
    if callspec is not None and PARAMETER in callspec.params:
        return str(callspec.params[PARAMETER])
    return "memory" if settings.backend == "all" else settings.backend


def _not_explored(function: object) -> bool:
    return not hasattr(function, "pq_explore")
