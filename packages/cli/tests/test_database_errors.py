from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pq_testing.postgres import fresh_database

pytestmark = pytest.mark.postgres

MODULE = """
import pq_core as pq
app = pq.App(connector=pq.PsycopgConnector())
@app.task(name="add")
def add(a, b): ...
"""
ALL = [
    ["worker"],
    ["defer", "add", '{"a": 1, "b": 2}'],
    ["jobs", "list"],
    ["jobs", "show", "1"],
    ["jobs", "retry", "1"],
    ["jobs", "cancel", "--task", "add"],
    ["schema", "status"],
]


@pytest.fixture
def command(bare: Callable[..., Any], write_module: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PQ_APP", f"{write_module(MODULE)}:app")
    return bare


@pytest.fixture(scope="module")
def empty_database() -> Iterator[str]:
    with fresh_database() as dsn:
        yield dsn


@pytest.mark.parametrize("words", [*ALL, ["check"], ["schema", "apply"]], ids=" ".join)
def test_a_database_that_is_away_has_its_exit_code(command: Any, words: list[str]) -> None:
    done = command(*words, code=4)
    assert "the database does not answer" in (done.stdout if words == ["check"] else done.stderr)


@pytest.mark.parametrize("words", [*ALL, ["check"]], ids=" ".join)
def test_a_database_without_pq_has_its_exit_code(command: Any, empty_database: str, words: list[str]) -> None:
    done = command(*words, "--dsn", empty_database, code=5)
    said = done.stdout if words == ["check"] else done.stderr
    assert "pq is not installed in schema 'pq'" in said
    assert "pq schema apply" in said
