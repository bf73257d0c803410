from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

IN_MEMORY = "import pq_core as pq\napp = pq.App(connector=pq.InMemoryConnector())\n"


@pytest.mark.parametrize("separator", [":", "."])
def test_an_app_is_found_from_the_working_directory(
    bare: Callable[..., Any], write_module: Callable[[str], str], separator: str
) -> None:
    found = json.loads(bare("check", "--json", "--app", f"{write_module(IN_MEMORY)}{separator}app").stdout)
    assert found["checks"][0]["ok"] is True


@pytest.mark.parametrize(
    "text,complaint",
    [
        ("1 / 0\n", "ZeroDivisionError"),
        ("def f(:\n", "SyntaxError"),
        ("import missing_module\n", "missing_module"),
        ("raise SystemExit('leaving')\n", "SystemExit: leaving"),
        ("raise SystemExit\n", "SystemExit"),
        ("app = 3\n", "int, not an App"),
        ("", "no 'app'"),
        (f"{IN_MEMORY}app.import_paths = ['not_there']\n", "not_there"),
    ],
)
def test_an_app_that_cannot_be_imported_has_its_exit_code_and_says_why(
    bare: Callable[..., Any], write_module: Callable[[str], str], text: str, complaint: str
) -> None:
    name = write_module(text)
    result = bare("worker", "--app", f"{name}:app", code=3)
    assert complaint in result.stderr
    assert name in result.stderr
    assert "Traceback" not in result.stderr


def test_the_line_that_broke_the_import_is_named(
    bare: Callable[..., Any], write_module: Callable[[str], str], project: Path
) -> None:
    inner = write_module("\n\n1 / 0\n")
    outer = write_module(f"import {inner}\n")
    assert f"{project / inner}.py, line 3" in bare("worker", "--app", f"{outer}:app", code=3).stderr


def test_so_is_one_in_a_module_that_defines_tasks(
    bare: Callable[..., Any], write_module: Callable[[str], str], project: Path
) -> None:
    tasks = write_module("\n1 / 0\n")
    name = write_module(f"{IN_MEMORY}app.import_paths = ['{tasks}']\n")
    assert f"{project / tasks}.py, line 2" in bare("worker", "--app", f"{name}:app", code=3).stderr


@pytest.mark.parametrize("path", ["nothing_of_this_name:app", "nothing", "a b:app", ":app", "x:", ""])
def test_a_path_that_leads_nowhere_is_named(bare: Callable[..., Any], path: str) -> None:
    assert path in bare("worker", "--app", path, code=3).stderr


def test_the_directory_that_was_looked_in_is_named(bare: Callable[..., Any], project: Path) -> None:
    assert f"looked in {project} first" in bare("worker", "--app", "not_there:app", code=3).stderr
