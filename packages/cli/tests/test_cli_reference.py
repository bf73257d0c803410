"""What the command has, docs/reference/cli.md names; and what it names, there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from typer.main import get_command

from pq_cli import exit_codes
from pq_cli.main import cli
from pq_core import Job

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
OF_ALL = {"--help", "-h"}


def commands(command: Any = None, path: tuple[str, ...] = ("pq",)) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by the words that call it."""
    command = command or get_command(cli)
    inner = getattr(command, "commands", {})
    if not inner or path == ("pq", "dev"):
        yield " ".join(path), command
    for name, each in inner.items():
        yield from commands(each, (*path, name))


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def options(command: Any) -> set[str]:
    parameters = [each for each in command.params if each.param_type_name == "option"]
    return {name for each in parameters for name in (*each.opts, *each.secondary_opts)} - OF_ALL


@pytest.mark.parametrize("name,command", [*commands()], ids=lambda each: each if isinstance(each, str) else "")
def test_every_command_has_a_section_that_names_its_options_and_no_others(name: str, command: Any) -> None:
    text = section(name)
    assert text, f"no section {name}"
    rows = "".join(line for line in text.splitlines(keepends=True) if line.startswith("| `"))
    named = {each for row in rows.splitlines() for each in re.findall(r"`(--?[a-zA-Z-]+)`", row.split(" | ")[0])}
    assert named == options(command)


@pytest.mark.parametrize("name,command", [*commands()], ids=lambda each: each if isinstance(each, str) else "")
def test_every_argument_of_a_command_is_shown(name: str, command: Any) -> None:
    arguments = [each.metavar or each.name.upper() for each in command.params if each.param_type_name == "argument"]
    assert [each for each in arguments if each not in section(name)] == []


def test_no_section_is_about_a_command_that_is_not_there() -> None:
    named = re.findall(r"^## (pq .*)$", PAGE, re.MULTILINE)
    assert sorted(named) == sorted(name for name, _ in commands())


def test_the_options_of_pq_itself_are_named() -> None:
    known = options(get_command(cli))
    assert [each for each in known if f"`pq {each}" not in PAGE] == []


def test_every_exit_code_is_explained() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert codes <= {int(code) for code in re.findall(r"^\| (\d+) \|", section("Exit codes"), re.MULTILINE)}


def test_every_field_of_a_job_is_explained() -> None:
    named = set(re.findall(r"`(\w+)`", "".join(row.split(" | ")[0] for row in section("A job as JSON").splitlines())))
    assert named - {"ordered", "mutex"} == {field.name for field in attrs.fields(Job)}


def test_every_variable_of_the_environment_is_named() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in Path(exit_codes.__file__).parent.rglob("*.py"))
    used = set(re.findall(r'"(PQ_[A-Z]+)"', source))
    assert len(used) >= 4
    assert [each for each in sorted(used) if each not in PAGE] == []
