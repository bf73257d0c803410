"""Let all tests use the server that pytest-postgresql starts: `pytest -p pytest_postgresql_server`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session", autouse=True)
def _server(postgresql_proc: Any) -> Iterator[None]:
    os.environ["PQ_TEST_DSN"] = (
        f"host={postgresql_proc.host} port={postgresql_proc.port} user={postgresql_proc.user} dbname=postgres"
    )
    yield
    del os.environ["PQ_TEST_DSN"]
