"""Blocks of `using` that fixtures of wider scope than a test keep open.

They hold for the tests that use such a fixture. Each other test has its jobs to itself, whatever is open meanwhile.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pytest

if TYPE_CHECKING:  # Only for readers: a test run that uses no jobs does not pay for them.
    from pq_core.app import App
    from pq_testing.run_jobs import RunJobs

_opened_by: WeakKeyDictionary[RunJobs, str] = WeakKeyDictionary()


class Wider:
    """The plugin that takes note of which fixture has opened a block of `using`."""

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Take note of the blocks that are open after the setup, and were not before."""
        if fixturedef.scope == "function":
            return (yield)
        before = _open()
        result = yield
        for each in _open():
            if each not in before:
                _opened_by.setdefault(each, fixturedef.argname)  # the fixture itself comes before those that use it
        return result


def wider(item: pytest.Item, app: App) -> RunJobs | None:
    """Return what runs the jobs of `app` for all tests that use a fixture which `item` uses; None if there is none."""
    used = getattr(item, "fixturenames", ())
    for each in reversed(_open()):
        if each.app is app and _opened_by.get(each) in used:
            return each
    return None


def _open() -> list[RunJobs]:
    swap: Any = sys.modules.get("pq_testing.swap")
    return [] if swap is None else list(swap.blocks)
