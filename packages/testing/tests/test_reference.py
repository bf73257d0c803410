"""What there is, the reference names: every fixture, option, argument of the mark, name to import and error."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import pq_testing
from pq_core.errors import PQError
from pq_testing.plugin import fixtures, marks, options

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (DOCS / "reference" / "pytest.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)`(.*)$", REFERENCE, re.MULTILINE))
EVERYWHERE = "".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))


def test_every_fixture_has_a_row() -> None:
    names = [name for name in vars(fixtures) if name.startswith("pq_")]
    assert len(names) == 8
    assert [name for name in names if name not in ROWS] == []
    assert all(alias in REFERENCE for alias in ("alias `app`", "alias `run_jobs`"))


def test_every_option_has_a_row_that_says_what_it_may_be() -> None:
    for option in options.OPTIONS:
        assert option.name in ROWS
        assert [choice for choice in option.choices if f"`{choice}`" not in ROWS[option.name]] == []


def test_every_argument_of_the_mark_has_a_row() -> None:
    table = REFERENCE.partition("## The mark")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(marks._ARGUMENTS)


@pytest.mark.parametrize("name", [name for name in pq_testing.__all__ if name != "App"])
def test_every_name_to_import_is_described(name: str) -> None:
    home = getattr(pq_testing, name)
    assert f"{home.__module__}.{home.__qualname__}" in REFERENCE


def test_every_error_is_described() -> None:
    described = set(re.findall(r"auto(?:module|exception):: ([\w.]+)", EVERYWHERE))
    errors = {
        kind
        for module in walk_packages(pq_testing.__path__, "pq_testing.")
        if not module.name.startswith(("pq_testing.conformance", "pq_testing.model"))
        for kind in vars(import_module(module.name)).values()
        if isinstance(kind, type) and issubclass(kind, (PQError, AssertionError)) and kind.__module__ == module.name
    }
    assert len(errors) > 20
    missing = {
        f"{kind.__module__}.{kind.__qualname__}"
        for kind in errors
        if kind.__module__ not in described
        and f"{kind.__module__}.{kind.__qualname__}" not in described
        and f"`{kind.__name__}`" not in EVERYWHERE
    }
    assert missing == set()
