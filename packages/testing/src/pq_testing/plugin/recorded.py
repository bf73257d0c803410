"""Recorded payloads as tests, and the recording of more."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pq_testing.plugin.app_under_test import app_of
from pq_testing.plugin.lifetime import known
from pq_testing.plugin.state import state_of

if TYPE_CHECKING:  # Only for readers: a test run that uses no jobs does not pay for them.
    from pq_core.app import App
    from pq_testing.payload_items import PayloadFile


class RecordedPayloads:
    """The plugin of a session in which pq_payloads names a directory."""

    def __init__(self, config: pytest.Config) -> None:
        options = state_of(config).options
        self._config = config
        self._directory = config.rootpath / str(options.pq_payloads)
        self._update = options.pq_payloads_update

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> PayloadFile | None:
        """Let payloads be chosen by file or name, as other tests are."""
        if file_path.parent != self._directory or file_path.name.startswith("."):
            return None
        from pq_testing.payload_items import payload_file

        return payload_file(parent, file_path, self._app)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Add those that were not found among the tests, unless single tests were asked for."""
        chosen = any("::" in str(argument) for argument in self._config.args)
        if chosen or (self._update and not self._directory.is_dir()):
            return
        from pq_testing.payload_items import payload_items

        there = {item.path for item in items}
        items += [item for item in payload_items(session, self._directory, self._app) if item.path not in there]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Record what a test that passes has deferred."""
        __tracebackhide__ = True
        result = yield
        lifetime = known(item)
        if self._update and lifetime is not None:
            from pq_testing.payloads import record

            for used in lifetime.uses:
                record(used.harness.jobs(), self._directory, used.app)
        return result

    def _app(self) -> App:
        app = app_of(self._config)
        if callable(app):
            pytest.fail("pq_payloads needs pq_app, which names the app whose tasks have to accept them.", pytrace=False)
        return app
