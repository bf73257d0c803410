"""What is published hangs together."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

PACKAGES = Path(__file__).parents[2]
PUBLISHED = ("core", "testing", "cli")


def project(name: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((PACKAGES / name / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def requirements(name: str) -> list[str]:
    """All that a distribution may ask for, extras included."""
    table = project(name)
    extras: dict[str, list[str]] = table.get("optional-dependencies", {})
    return [*table["dependencies"], *(each for extra in extras.values() for each in extra)]


def test_all_distributions_have_one_version() -> None:
    assert len({project(path.parent.name)["version"] for path in PACKAGES.glob("*/pyproject.toml")}) == 1


@pytest.mark.parametrize("name", [*PUBLISHED, "benchmarks"])
def test_a_sibling_is_pinned_to_the_same_version(name: str) -> None:
    siblings = [each for each in requirements(name) if each.startswith("pq-")]
    assert bool(siblings) == (name != "core")
    assert [each for each in siblings if not each.endswith(f"=={project(name)['version']}")] == []


def test_the_core_needs_nothing_that_only_tests_or_terminals_need() -> None:
    assert {each.partition(">")[0].partition("[")[0] for each in project("core")["dependencies"]} == {
        "anyio",
        "attrs",
        "cronsim",
        "psycopg",
    }


def test_the_command_alone_brings_no_test_tools_into_production() -> None:
    assert not [each for each in project("cli")["dependencies"] if each.startswith(("pq-testing", "pytest"))]


def test_what_loads_itself_into_every_pytest_run_is_an_extra() -> None:
    assert {each.partition(">")[0].partition("=")[0] for each in project("testing")["dependencies"]} == {
        "pq-core",
        "pytest",
    }


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_distribution_carries_the_licence_and_its_types(name: str) -> None:
    assert (PACKAGES / name / "LICENSE").read_bytes() == (PACKAGES.parent / "LICENSE").read_bytes()
    assert (PACKAGES / name / "src" / f"pq_{name}" / "py.typed").exists()
