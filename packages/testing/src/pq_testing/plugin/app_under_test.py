"""From the ini option `pq_app`, or the fixture `pq_app_factory`, to the App under test."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pq_testing.plugin.state import state_of

if TYPE_CHECKING:  # Only for readers: a test run that uses no jobs does not pay for them.
    from pq_core.app import App

_ASYNC = (
    "fixture pq_app_factory is async, but sync tests need the app too: write it with `def`, and open what needs a "
    "running event loop in the test, or when a job first uses it."
)


def app_of(config: pytest.Config) -> App | Callable[[], App]:
    """Return the app that the ini option names, or a function that makes an empty one; fail if there is no such app."""
    state = state_of(config)
    if state.options.pq_app is None:
        return _empty
    if state.app is None:
        state.app = _load(config, state.options.pq_app)
    if isinstance(state.app, str):
        pytest.fail(state.app, pytrace=False)
    return state.app


def _load(config: pytest.Config, path: str) -> App | str:
    """Return the app, or why there is none."""
    from pq_core.app import App
    from pq_core.errors import PQError

    try:
        with _importable(str(config.rootpath)):
            return App.from_path(path)
    except PQError as reason:
        cause = str(reason)
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException as reason:  # noqa: BLE001 - whatever the user's modules raise: SystemExit, pytest's own skip
        cause = f"{type(reason).__name__}: {reason}"
    return (
        f"pq: pq_app = {path} is no App: {cause}. Name it like package.module:app; the module must be importable from "
        f"{config.rootpath}, or from what the ini option pythonpath adds. Where a function makes the app, return that "
        "function from a fixture pq_app_factory in conftest.py."
    )


def made(given: Any) -> App:
    """Return the app that the fixture `pq_app_factory` gives: itself, or what it makes when called."""
    from pq_core.app import App

    if not isinstance(given, App) and callable(given) and not isinstance(given, type):
        given = given()
    if isinstance(given, App):
        return given
    if inspect.isawaitable(given) or inspect.isasyncgen(given):
        _discard(given)
        pytest.fail(_ASYNC, pytrace=False)
    pytest.fail(
        f"fixture pq_app_factory gave a {type(given).__qualname__}, {given!r:.80}: return an App of pq_core, or a "
        "function without arguments that returns one.",
        pytrace=False,
    )


def refuse_async_factory(item: pytest.Item) -> None:
    """Say what to write instead of an async `pq_app_factory`, before plugins for async tests disagree about it."""
    fixtures: Any = getattr(item, "_fixtureinfo", None)
    found = fixtures.name2fixturedefs.get("pq_app_factory") if fixtures is not None else None
    function = found[-1].func if found else None
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        pytest.fail(_ASYNC, pytrace=False)


def _empty() -> App:
    from pq_core.app import App
    from pq_core.memory import InMemoryConnector

    return App(connector=InMemoryConnector())


def _discard(given: Any) -> None:
    if inspect.iscoroutine(given):
        given.close()  # Else Python warns that nobody awaited it.


@contextmanager
def _importable(directory: str) -> Generator[None]:
    """Look for modules in a directory too, after all others."""
    if directory in sys.path:
        yield
        return
    sys.path.append(directory)
    try:
        yield
    finally:
        if directory in sys.path:
            sys.path.remove(directory)
