"""Let all tests use one PostgreSQL in a container: `pytest -p testcontainers_server`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from testcontainers.community.postgres import PostgresContainer


@pytest.fixture(scope="session", autouse=True)
def _container() -> Iterator[None]:
    with PostgresContainer("postgres:18", driver=None) as postgres:
        os.environ["PQ_TEST_DSN"] = postgres.get_connection_url()
        yield
        del os.environ["PQ_TEST_DSN"]
