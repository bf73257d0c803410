"""The environment may keep pq off databases: so does pq's pytest plugin while tests run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable

import psycopg
import pytest

from pq_core.connector import JobFilter
from pq_core.errors import DatabaseRefused
from pq_core.job import NewJob
from pq_core.postgres import PsycopgConnector
from pq_core.postgres.link import REFUSAL

TEXT = "pq will not touch a real database from a test: set pq_app, or pq_allow_real = true"

USES: dict[str, Callable[[PsycopgConnector], Awaitable[object]]] = {
    "open": lambda c: c.open(),
    "defer": lambda c: c.defer([NewJob(task="t")]),
    "find": lambda c: c.find(JobFilter()),
    "migrate": lambda c: c.migrate(),
    "check": lambda c: c.check(),
    "listen": lambda c: c.listen(None, lambda: None),
}
SYNC_USES: dict[str, Callable[[PsycopgConnector], object]] = {
    "open": lambda c: c.sync.open(),
    "defer": lambda c: c.sync.defer([NewJob(task="t")]),
    "find": lambda c: c.sync.find(JobFilter()),
    "migrate": lambda c: c.sync.migrate(),
    "check": lambda c: c.sync.check(),
}


@pytest.fixture
def _refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REFUSAL, TEXT)


@pytest.mark.anyio
@pytest.mark.usefixtures("_refused")
@pytest.mark.parametrize("use", USES)
async def test_whatever_goes_near_a_database_is_refused_in_the_words_of_the_environment(dsn: str, use: str) -> None:
    with pytest.raises(DatabaseRefused) as refused:
        await USES[use](PsycopgConnector(dsn))
    assert str(refused.value) == TEXT


@pytest.mark.usefixtures("_refused")
@pytest.mark.parametrize("use", SYNC_USES)
def test_so_is_what_the_twin_does(dsn: str, use: str) -> None:
    with pytest.raises(DatabaseRefused):
        SYNC_USES[use](PsycopgConnector(dsn))


def test_a_connector_that_is_open_already_is_refused_further_use(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connector = PsycopgConnector(dsn)
    connector.sync.open()
    monkeypatch.setenv(REFUSAL, TEXT)
    with pytest.raises(DatabaseRefused):
        connector.sync.find(JobFilter())
    connector.sync.close()


@pytest.mark.usefixtures("_refused")
def test_a_connection_that_the_caller_has_opened_is_the_callers(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        assert PsycopgConnector(dsn).sync.defer([NewJob(task="t")], connection=connection)


@pytest.mark.usefixtures("_refused")
def test_a_child_process_is_refused_as_well(dsn: str) -> None:
    script = f"from pq_core.postgres import PsycopgConnector; PsycopgConnector({dsn!r}).sync.check()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=30)
    assert f"DatabaseRefused: {TEXT}" in done.stderr
