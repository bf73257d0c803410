"""Recorded payloads as tests of pytest, one for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pq_core.app import App
from pq_testing.errors import InvalidPayloads
from pq_testing.payloads import Payload, PayloadMisfit, check, files, read

GetApp = Callable[[], App]


def payload_items(session: pytest.Session, directory: Path, app: GetApp) -> list[pytest.Item]:
    """Return a test for each recorded payload of a directory.

    Args:
        session: what the tests become part of.
        directory: where payloads are recorded.
        app: returns the app, or fails; called by each test.

    Raises:
        pytest.UsageError: there is no such directory, or it holds a file that is none of pq's.
    """
    try:
        return [item for file in files(directory) for item in payload_file(session, file, app).items()]
    except InvalidPayloads as reason:
        raise pytest.UsageError(f"pq: {reason}") from None


def payload_file(parent: pytest.Collector, file: Path, app: GetApp) -> PayloadFile:
    """Return what collects the payloads of one file, say for the hook `pytest_collect_file`."""
    kind: Any = PayloadFile
    made: PayloadFile = kind.from_parent(parent, path=file)
    made.app = app
    return made


class PayloadFile(pytest.File):
    """A file of recorded payloads."""

    app: GetApp

    def collect(self) -> Iterator[PayloadItem]:
        """Yield a test for each payload.

        Raises:
            CollectError: the file is none of pq's.
        """
        try:
            yield from self.items()
        except InvalidPayloads as reason:
            raise self.CollectError(f"pq: {reason}") from None

    def items(self) -> Iterator[PayloadItem]:
        """Yield a test for each payload.

        Raises:
            InvalidPayloads: the file is none of pq's.
        """
        kind: Any = PayloadItem
        for payload in read(self.path):
            item: PayloadItem = kind.from_parent(self, name=str(payload).removeprefix(payload.task))
            item.payload = payload
            item.app = self.app
            yield item


class PayloadItem(pytest.Item):
    """The test that jobs with a recorded payload would still run."""

    payload: Payload
    app: GetApp

    def runtest(self) -> None:
        """Bind the payload to its task, as a worker would; call nothing."""
        check(self.payload, self.app())

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return what is wrong in a sentence: a traceback would show pq only."""
        if isinstance(excinfo.value, PayloadMisfit):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Return where the payload is recorded, and what it is."""
        return self.path, None, f"payload {self.payload}"
