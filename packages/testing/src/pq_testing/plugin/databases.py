"""On which backend a test runs, and where its PostgreSQL comes from."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pq_testing.plugin.marks import Settings, arguments_of
from pq_testing.plugin.options import worker_input
from pq_testing.plugin.state import state_of

if TYPE_CHECKING:  # Only for readers: a test run that uses no jobs does not pay for them.
    from pq_testing.backends.discovery import Databases

PARAMETER = "_pq_backend"
BOTH = ("memory", "postgres")


class BackendParameter:
    """The plugin that gives the fixture by which a test is run on each backend."""

    @pytest.fixture
    def _pq_backend(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run a test on both backends, if it uses jobs and all backends are asked for. Exploration is for memory only."""
    state = state_of(metafunc.config)
    wanted = arguments_of(metafunc.definition.iter_markers("pq")).get("backend", state.options.pq_backend)
    uses_jobs = state.everywhere or "pq_app" in metafunc.fixturenames
    if wanted == "all" and uses_jobs and not hasattr(metafunc.function, "pq_explore"):
        metafunc.fixturenames.append(PARAMETER)
        metafunc.parametrize(PARAMETER, BOTH, indirect=True, ids=BOTH)


def backend_of(item: pytest.Item, settings: Settings) -> str:
    """Return on which backend a test runs; where it is to run on all, but cannot be had twice, in memory."""
    callspec: Any = getattr(item, "callspec", None)
    if callspec is not None and PARAMETER in callspec.params:
        return str(callspec.params[PARAMETER])
    explored = hasattr(getattr(item, "obj", None), "pq_explore") and "backend" not in settings.marked
    return "memory" if settings.backend == "all" or explored else settings.backend


def databases_of(request: pytest.FixtureRequest) -> Databases:
    """Return the databases of this session; nothing is looked for until one is asked for."""
    from pq_testing.backends.discovery import Databases

    state = state_of(request.config)
    if state.databases is None:
        via: Any = state.options.pq_postgres
        state.databases = Databases(
            named=state.options.pq_dsn, via=via, fixture=request.getfixturevalue, run=_directory_of_run(request)
        )
        # Before the fixtures end that had begun before: one of them may drop the database.
        request.session.addfinalizer(state.databases.disconnect)
    return state.databases


def dsn(request: pytest.FixtureRequest) -> str:
    """Return the DSN of the session's database for tests; skip the test if there is none to be had."""
    with told(request.config):
        return databases_of(request).dsn()


@contextmanager
def told(config: pytest.Config) -> Generator[None]:
    """Skip a test for which there is no PostgreSQL, and fail one for which it does not work: in one paragraph each."""
    from pq_core.errors import PQError
    from pq_testing.backends.errors import PostgresNotAvailable

    try:
        yield
    except PostgresNotAvailable as reason:
        _not_available(config, str(reason))
    except PQError as reason:
        text = (
            f"pq: the PostgreSQL for tests does not work: {reason} ({type(reason).__name__}; see pq_dsn, pq_postgres)"
        )
        raise pytest.fail.Exception(text, pytrace=False) from None


def _not_available(config: pytest.Config, reason: str) -> NoReturn:
    if state_of(config).options.pq_require_postgres:
        raise pytest.fail.Exception(f"{reason} (pq_require_postgres)", pytrace=False) from None
    pytest.skip(reason)


def _directory_of_run(request: pytest.FixtureRequest) -> Path | None:
    """Return a directory that all workers of pytest-xdist share in this run, and others do not."""
    if worker_input(request.config) is None:
        return None
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    return factory.getbasetemp().parent
