"""The suite and the model, tested: each connector that is broken on purpose must be caught."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from pq_testing.model import Difference, MemoryTransactions, check_against_memory

HERE = Path(__file__).parent
SEED = 7
SEEDS = 5

pytestmark = pytest.mark.timeout(300)


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


CONNECTORS, FUNCTIONS = load("broken_connectors"), load("broken_functions")
BROKEN: list[Any] = CONNECTORS.BROKEN
BROKEN_SQL: list[Any] = FUNCTIONS.BROKEN


def failures_of(module: ModuleType, report: Path) -> dict[str, set[str]]:
    """Run the cases that a module of mutants names in a pytest of its own; return by mutant which did not pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    cases = [f"{module.__file__}::{case}" for case in module.CASES]
    done = subprocess.run([*command, *cases], capture_output=True, text=True, timeout=200, check=False)
    assert report.exists(), done.stdout + done.stderr
    found: dict[str, set[str]] = {}
    for case in ET.parse(report).iter("testcase"):
        assert case.find("error") is None, ET.tostring(case, "unicode")
        skipped = case.find("skipped")
        if case.find("failure") is not None or skipped is not None:
            mutant = case.get("classname", "").rpartition(".")[2].removeprefix("Test")
            reason = "" if skipped is None else f": {skipped.get('message')}".partition(" is False")[0]
            found.setdefault(mutant, set()).add(case.get("name", "").partition("[")[0] + reason)
    return found


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    return failures_of(CONNECTORS, tmp_path_factory.mktemp("mutants") / "report.xml")


@pytest.fixture(scope="module")
def sql_failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    return failures_of(FUNCTIONS, tmp_path_factory.mktemp("mutants") / "report.xml")


def test_there_are_many() -> None:
    assert len(BROKEN) >= 45
    assert len(BROKEN_SQL) >= 25


@pytest.mark.parametrize("mutant", BROKEN, ids=lambda mutant: mutant.__name__)
def test_its_case_catches(mutant: Any, failures: dict[str, set[str]]) -> None:
    assert failures.get(mutant.__name__) == {mutant.caught_by.__name__}


@pytest.mark.postgres
@pytest.mark.parametrize("mutant", BROKEN_SQL, ids=lambda mutant: mutant.name)
def test_its_case_catches_sql(mutant: Any, sql_failures: dict[str, set[str]]) -> None:
    assert sql_failures.get(mutant.name) == {mutant.caught_by.__name__}


def test_a_case_left_out_is_noticed(failures: dict[str, set[str]]) -> None:
    assert failures.get("Cheating") == {"test_no_case_is_overridden_but_to_say_why_it_fails"}


def test_what_a_connector_does_not_claim_is_skipped_by_name(failures: dict[str, set[str]]) -> None:
    assert failures.get("Modest") == {
        "test_a_rollback_leaves_no_job: supports_connection",
        "test_it_wakes_at_the_commit_and_not_before: supports_connection",
        "test_it_wakes_once_at_the_start: supports_listen",
        "test_a_connector_in_a_fork_says_so: supports_fork",
        "test_without_schedules_nothing_is_due: supports_schedules",
    }


@pytest.mark.parametrize("mutant", [kind for kind in BROKEN if kind.seen_by_model], ids=lambda mutant: mutant.__name__)
def test_the_model_catches(mutant: Any) -> None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Any]:
        yield mutant()

    # What Hypothesis draws depends, beside the seed, on which modules are imported: one seed may miss what is rare.
    for start in range(SEED, SEED + SEEDS):
        try:
            check_against_memory(opened, transactions=MemoryTransactions, steps=4000, start=start, shrink=False)
        except (Difference, ExceptionGroup):
            return
    pytest.fail(f"not seen in {SEEDS} times 4,000 steps")
