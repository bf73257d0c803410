from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize("words", [["jobs", "list"], ["schema", "status"], ["schema", "apply"], ["check"]])
def test_without_an_app_libpqs_environment_says_where_the_database_is(
    bare: Callable[..., Any], words: list[str]
) -> None:
    result = bare(*words, code=4)
    assert "does not answer" in result.stderr + result.stdout


def test_a_dsn_takes_the_place_of_the_apps_database(command: Any) -> None:
    command("jobs", "list")
    command("jobs", "list", "--dsn", "", code=4)
    command("worker", "--dsn", "", code=4)
    command("defer", "fail", "--dsn", "", code=4)


def test_a_dsn_spares_the_import_of_the_app(bare: Callable[..., Any]) -> None:
    bare("jobs", "list", "--app", "not_there:app", "--dsn", "", code=4)


def test_an_unknown_task_of_a_database_needs_no_app(bare: Callable[..., Any]) -> None:
    bare("defer", "x", "--unknown", code=4)
    bare("defer", "x", code=2)


def test_a_schema_without_a_dsn_would_leave_open_which_database_is_meant(command: Any) -> None:
    assert "give --dsn too" in " ".join(command("jobs", "list", "--schema", "other", code=2).stderr.split())


def test_a_dsn_that_libpq_does_not_take_is_refused_without_repeating_it(bare: Callable[..., Any]) -> None:
    result = bare("jobs", "list", "--dsn", "password=secret nonsense", code=2)
    assert "connection string" in result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize("name", ["pg_mine", "x" * 64])
def test_a_schema_that_cannot_be_is_refused(bare: Callable[..., Any], name: str) -> None:
    assert name in bare("schema", "apply", "--schema", name, code=2).stderr
