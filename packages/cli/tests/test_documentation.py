"""What the documentation shows, works; and what there is, the documentation names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

import pq_core
from pq_testing.postgres import fresh_database

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
FILE_IN_FENCE = re.compile(r"^```(?:python|ini)\n# (?P<name>\w+\.\w+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
VARIABLES = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """An environment whose libpq variables lead to an empty database."""
    with fresh_database() as dsn:
        parts = conninfo_to_dict(dsn)
        yield os.environ | {VARIABLES[key]: str(value) for key, value in parts.items() if key in VARIABLES}


def run(arguments: list[str], directory: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        arguments, cwd=directory, env=environment, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.postgres
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    run([sys.executable, "-W", "error", str(example)], tmp_path, environment)


def test_the_readmes_test_of_a_task_passes_without_a_server(tmp_path: Path) -> None:
    for name, text in FILE_IN_FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    nowhere = os.environ | {"PGHOST": str(tmp_path), "PGPORT": "1", "PYTHONPATH": str(tmp_path)}
    run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_sums.py"], tmp_path, nowhere)


def test_every_example_is_shown_on_a_page() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs").rglob("*.md"))
    assert [path.name for path in EXAMPLES if path.name not in pages] == []


def test_the_reference_covers_every_public_name() -> None:
    reference = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.md"))
    shown = set(re.findall(r"automodule:: ([\w.]+)", reference))
    homes = {name: getattr(pq_core, name).__module__ for name in pq_core.__all__ if name[0].isupper()}
    homes["LockMode"] = "pq_core.job"  # an alias does not know where it was made
    exported = {name for module in shown for name in getattr(import_module(module), "__all__", ())}  # shown there, too
    assert {name: home for name, home in homes.items() if home not in shown and name not in exported} == {}


NAMED_CODE = re.compile(r"`(?P<file>pq_core/[\w/]+\.(?:py|sql))(?:::(?P<name>[\w.]+))?`")


def test_the_walk_through_the_code_names_what_is_there() -> None:
    walk = (ROOT / "docs" / "explanation" / "one-job.md").read_text(encoding="utf-8")
    named = NAMED_CODE.findall(walk)
    assert len(named) > 20
    for file, name in named:
        text = (ROOT / "packages" / "core" / "src" / file).read_text(encoding="utf-8")
        *outer, last = name.split(".")
        for part in outer:
            text = text.split(f"class {part}", 1)[1]
        assert not name or re.search(rf"\b(class|def) {last}\b", text), f"{file} has no {name}"
