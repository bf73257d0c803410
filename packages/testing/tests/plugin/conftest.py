"""Projects for the plugin to be tried in. Only pytest's own plugins are loaded there, and those that a test names."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module

import pytest

# Pytester forgets all modules that a run imports, but those of pq hold on to each other: let there be one of each.
for name in ("pq_core.memory", "pq_core.postgres", "pq_core.worker", "pq_testing.run_once", "pq_testing.swap"):
    import_module(name)

Run = Callable[..., pytest.RunResult]

SHOP = """
import pq_core as pq

class Untouchable(pq.InMemoryConnector):
    opened = False

    async def open(self):
        type(self).opened = True

    @property
    def sync(self):
        type(self).opened = True
        return super().sync

app = pq.App(connector=Untouchable())
Untouchable.opened = False
mails = []

@app.task(name="mail")
def mail(to: str) -> None:
    mails.append(to)

@app.task(name="broken")
def broken() -> None:
    raise RuntimeError("it broke")
"""


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("PG", "PYTEST_")) or name == "PQ_REFUSE_DATABASE"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Run pytest with pq's plugin in this process; warnings are errors."""

    def run_pytest(*arguments: str) -> pytest.RunResult:
        return pytester.runpytest_inprocess("-p", "pq_testing.plugin", "-W", "error", "--strict-markers", *arguments)

    return run_pytest


@pytest.fixture
def run_apart(pytester: pytest.Pytester) -> Run:
    """Run pytest with pq's plugin in a process of its own; warnings are errors."""

    def run_pytest(*arguments: str) -> pytest.RunResult:
        options = ("-W", "error", "--strict-markers", "-p", "no:cacheprovider")
        return pytester.runpytest_subprocess("-p", "pq_testing.plugin", *options, *arguments, timeout=50)

    return run_pytest


@pytest.fixture
def shop(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project whose ini file says pq_app, and nothing else."""
    pytester.makepyfile(shop=SHOP)
    pytester.makeini("[pytest]\npq_app = shop:app\n")
    return pytester
