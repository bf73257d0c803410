"""The connector that the documentation shows passes, and broken as the documentation shows it fails as it shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from pq_testing.conformance import TOPICS, VERSION
from pq_testing.model.machine import ConnectorMachine

DOCS = Path(__file__).parents[4] / "docs"
EXAMPLE = DOCS / "examples" / "sqlite_connector"
HOW_TO = (DOCS / "how-to" / "check-a-connector.md").read_text(encoding="utf-8")
REFERENCE = (DOCS / "reference" / "conformance.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^```text\n(.*?)^```$", HOW_TO.partition("when a rule is broken\n")[2], re.DOTALL | re.MULTILINE)
VERSIONS = re.findall(r"^\| (\d+\.\d+) \| [\d.]+ \| (\d+) \| (\d+) \|", REFERENCE, re.MULTILINE)
IN_MEMORY = Path("/dev/shm")

pytestmark = pytest.mark.timeout(300)


def run(project: Path, *arguments: str) -> str:
    """Run the example's tests as its author would, without the plugins that happen to be installed here."""
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "anyio", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PQ_MODEL_SEED": "1",
        "PQ_MODEL_STEPS": "2000",
        "COLUMNS": "80",
    }
    if IN_MEMORY.is_dir() and os.access(
        IN_MEMORY, os.W_OK
    ):  # SQLite waits for the disk at each commit: half of the time.
        environment["TMPDIR"] = str(IN_MEMORY)
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=250, check=False
    )
    return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "sqlite", ignore=shutil.ignore_patterns("__pycache__")))


def break_rule(project: Path, module: str, old: str, new: str) -> None:
    path = project / "pq_sqlite" / module
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def assert_shown(block: str, output: str) -> None:
    printed = {line.strip() for line in output.splitlines()}
    assert [line for line in block.splitlines() if line.strip() not in printed] == [], output


def test_it_passes_all_but_what_it_says_that_it_cannot_do(project: Path) -> None:
    output = run(project, "-rs")
    assert re.search(r"^\d{4} passed, \d+ skipped", output, re.MULTILINE), output
    reasons = {
        line.partition("py:")[2].partition(": ")[2] for line in output.splitlines() if line.startswith("SKIPPED")
    }
    lacking = {"supports_connection", "supports_transactions", "supports_schedules"}
    assert {reason.partition(" is False")[0] for reason in reasons} == lacking


def test_the_suite_prints_what_the_page_shows(project: Path) -> None:
    break_rule(project, "ending.py", " and claim = ? and state", " and state")
    break_rule(project, "ending.py", "[outcome.job_id, outcome.claim]", "[outcome.job_id]")
    output = run(project, "-k", "asyncio")
    assert_shown(SHOWN[0], output)
    assert_shown(SHOWN[1], output)
    assert output.count("\nFAILED") == len(SHOWN[0].splitlines())


@pytest.fixture
def without_priorities(project: Path) -> Path:
    break_rule(project, "schema.sql", "order by first.priority desc, first.id", "order by first.id")
    return project


def test_the_model_finds_what_the_page_shows(without_priorities: Path) -> None:
    check = "check_against_memory(empty_and_open, start=1, shrink=False)"
    done = subprocess.run(
        [sys.executable, "-c", f"from test_pq_sqlite import *; {check}"],
        cwd=without_priorities,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert re.search(r"Difference: .*\n +in memory: .*\n +here: ", done.stderr), done.stderr


@pytest.mark.skipif(
    (sys.version_info[:2], metadata.version("hypothesis")) != ((3, 11), "6.170.15"),
    reason="how long Hypothesis looks for a short example, and which one it finds, depends on its version",
)
def test_the_model_prints_what_the_page_shows(without_priorities: Path) -> None:
    assert_shown(SHOWN[2], run(without_priorities, "-k", "random_steps"))


def test_the_page_says_which_version_has_how_many_cases_and_steps() -> None:
    """If this fails, the kit has changed: the page says what that means for `VERSION`."""
    cases = [name for topic in TOPICS for name in vars(topic) if name.startswith("test_")]
    steps = [
        name for name in dir(ConnectorMachine) if hasattr(getattr(ConnectorMachine, name), "hypothesis_stateful_rule")
    ]
    assert VERSIONS[-1] == (VERSION, str(len(cases)), str(len(steps)))
