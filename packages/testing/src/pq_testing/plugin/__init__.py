"""pq's plugin for pytest: every test has its jobs to itself, in memory or on a throw-away PostgreSQL, and runs them.

pytest imports this in every run of whoever has installed pq-testing, so it imports only pytest and the standard
library. What a test uses is imported when it uses it.

Hooks stand here, each of a few lines; what they do stands in the modules beside.

PYTEST_DONT_REWRITE: there are no assertions here, and pytest inside of pytest finds this imported already.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pytest

from pq_testing.plugin import databases, explored, lifetime, rerun, sections, strict
from pq_testing.plugin.aliases import add_aliases
from pq_testing.plugin.app_under_test import app_of, refuse_async_factory
from pq_testing.plugin.fixtures import (
    pq_app,
    pq_app_factory,
    pq_clock,
    pq_connector,
    pq_dsn,
    pq_effects,
    pq_postgres,
    pq_run_jobs,
)
from pq_testing.plugin.guard import lower_guard, raise_guard
from pq_testing.plugin.marks import MARK, complaints
from pq_testing.plugin.options import add_options, read_options, worker_input
from pq_testing.plugin.recorded import RecordedPayloads
from pq_testing.plugin.state import SEED, STATE, State, state_of
from pq_testing.plugin.wider import Wider

__all__ = [
    "pq_app",
    "pq_app_factory",
    "pq_clock",
    "pq_connector",
    "pq_dsn",
    "pq_effects",
    "pq_postgres",
    "pq_run_jobs",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Make the options known."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, and keep tests off real databases from here on."""
    config.addinivalue_line("markers", MARK)
    options = read_options(config)
    config.stash[STATE] = State(config, options)
    raise_guard(config, allow_real=options.pq_allow_real)
    if options.pq_payloads:
        config.pluginmanager.register(RecordedPayloads(config), "pq-payloads")


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what the session has used, and leave the environment as it was."""
    lower_guard(config)
    if STATE in config.stash:
        state_of(config).end()
    if own_loop := sys.modules.get("pq_testing.own_loop"):
        own_loop.close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist the seed of the session."""
    node.workerinput[SEED] = state_of(node.config).seed


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is done to workers, and how to have the same done again."""
    state = state_of(config)
    if not state.options.pq_chaos:
        return []
    return [f"pq: --pq-chaos={','.join(state.options.pq_chaos)} --pq-seed={state.seed}"]


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Add the fixtures that depend on options and on other plugins."""
    state = state_of(session.config)
    if state.options.pq_aliases:
        add_aliases(session)
    if state.everywhere:
        session.config.pluginmanager.register(lifetime.Everywhere(), "pq-everywhere")
        session.config.pluginmanager.register(Wider(), "pq-wider")
    session.config.pluginmanager.register(databases.BackendParameter(), "pq-backends")


@pytest.hookimpl(tryfirst=True)
def pytest_report_teststatus(report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, str] | None:
    """Say of a test that was run for each point how many there were."""
    return rerun.status(report) if isinstance(report, pytest.TestReport) else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that use jobs on each backend asked for."""
    databases.parametrize(metafunc)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse marks that say what pq does not know, all at once."""
    if worker_input(config) is not None:
        return  # A worker of pytest-xdist has nobody to tell it to now; the test itself will.
    found = dict.fromkeys(each for item in items for each in complaints(item))
    if found:
        raise pytest.UsageError(*found)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Refuse an app that cannot be had, once, instead of in each test."""
    config = session.config
    alone = worker_input(config) is None and not getattr(config.option, "tx", None)
    if alone and session.items and not config.option.collectonly and not session.testsfailed:
        try:
            app_of(config)
        except pytest.fail.Exception as reason:
            raise pytest.UsageError(str(reason)) from None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a test once per point at which a worker can crash, if it asks for that."""
    return rerun.run_for_each_point(item, nextitem)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Give the test its own jobs before any fixture looks at the app."""
    for complaint in complaints(item):
        pytest.fail(complaint, pytrace=False)
    refuse_async_factory(item)
    if state_of(item.config).everywhere:
        lifetime.lifetime_of(item).begin()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Explore a test that asks for it."""
    __tracebackhide__ = True
    return explored.explore(pyfuncitem)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test that passed, and left jobs at which it should have looked."""
    __tracebackhide__ = True
    result = yield
    strict.check(item)
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Put back what the test has changed, after all fixtures, those of the session included."""
    try:
        return (yield)
    except BaseException:
        sections.remember(item)
        raise
    finally:
        lifetime.end(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the jobs of a test that failed."""
    report = yield
    if report.failed:
        sections.add_sections(item, report)
    return report
