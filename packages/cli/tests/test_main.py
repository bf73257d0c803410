from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import pq_core as pq

HEAVY = ("attrs", "pq_core", "pq_testing", "psycopg", "rich", "anyio", "asyncio")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    "words",
    [[], ["jobs"], ["jobs", "retry"], ["schema"], ["dev"], ["dev", "stop"], ["worker"], ["defer"], ["check"], ["demo"]],
    ids=" ".join,
)
def test_every_command_has_help(bare: Callable[..., Any], words: list[str]) -> None:
    assert f"Usage: pq {' '.join(words)}".strip() in bare(*words, "--help").stdout.replace("root", "pq")


def test_help_imports_nothing_that_only_commands_need() -> None:
    script = f"""
import sys
from pq_cli.main import cli
try:
    cli(["--help"], prog_name="pq")
except SystemExit:
    pass
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    assert python("-c", script).stderr.strip() == "[]"


def test_the_version_is_that_of_the_distribution(bare: Callable[..., Any]) -> None:
    assert bare("--version").stdout == f"pq {version('pq-cli')}\n"


def test_python_runs_the_package_as_the_command() -> None:
    done = python("-m", "pq_cli", "--version")
    assert (done.returncode, done.stdout) == (0, f"pq {version('pq-cli')}\n")


def test_an_unknown_command_is_wrong_usage(bare: Callable[..., Any]) -> None:
    assert "No such command 'wrok'" in bare("wrok", code=2).stderr


def test_an_expected_error_is_one_paragraph(command: Any) -> None:
    result = command("jobs", "show", "7", code=1)
    assert result.stdout == ""
    assert result.stderr.startswith("pq: no job has the id 7")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("how", ["option", "environment"])
def test_debug_shows_where_an_expected_error_comes_from(
    how: str, monkeypatch: pytest.MonkeyPatch, command: Any
) -> None:
    monkeypatch.setenv("PQ_DEBUG", "1" if how == "environment" else "")
    with pytest.raises(pq.JobNotFound, match="no job has the id 7"):
        command(*(["--debug"] if how == "option" else []), "jobs", "show", "7", code=1)


def test_an_error_that_nobody_expected_keeps_its_traceback(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(pq.InMemoryConnector, "sync", property(break_down))
    with pytest.raises(ZeroDivisionError):
        command("jobs", "list")


def test_an_interrupted_command_ends_with_the_code_that_shells_give(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pq.App, "check", interrupt)
    assert command("schema", "status", code=130).stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands_and_the_words_that_options_take(shell: str) -> None:
    line = "pq jobs list --state fai"
    asked = {
        "_PQ_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": "4",
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    pq_command = Path(sys.executable).with_name("pq")
    done = subprocess.run([pq_command], env=os.environ | asked, capture_output=True, text=True, timeout=30, check=False)
    assert "failed" in done.stdout
