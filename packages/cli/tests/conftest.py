from __future__ import annotations

import importlib
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

import pq_core as pq
from pq_cli.main import cli

OF_THE_TESTS = {"PQ_TEST_DSN", "PQ_POSTGRES_BIN", "PQ_POSTGRES_USER"}

TASKS = """
import pq_core as pq

app = pq.App(connector=pq.InMemoryConnector())

@app.task(name="add", queue="sums", aliases=["plus"])
def add(a: int, b: int) -> int:
    return a + b

@app.task(name="fail", retry=2)
def fail(self: str = "") -> None:
    raise RuntimeError("it\\x1b[31m broke")
"""


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Commands find no app and no server but those of the test."""
    for name in [name for name in os.environ if name.startswith(("PG", "PQ_")) and name not in OF_THE_TESTS]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PGHOST", str(tmp_path))
    monkeypatch.setattr(sys, "path", sys.path[:])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, from which apps are imported."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


class CliResult:
    def __init__(self, stdout: str, stderr: str) -> None:
        self.stdout = stdout
        self.stderr = stderr


def invoke(words: tuple[str, ...], *, code: int, stdin: str | None, env: dict[str, str] | None = None) -> CliResult:
    result = CliRunner().invoke(cli, [*words], input=stdin, env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return CliResult(result.stdout, result.stderr)


class Pq:
    """Runs commands in this process, on an app in memory whose jobs outlast the command."""

    def __init__(self, module: ModuleType) -> None:
        self.name = module.__name__
        self.app: pq.App = module.app
        self.connector = self.app.connector

    def __call__(self, *words: str, code: int = 0, stdin: str | None = None) -> CliResult:
        try:
            return invoke(words, code=code, stdin=stdin, env={"PQ_APP": f"{self.name}:app"})
        finally:
            self.app.connector = self.connector
            self.app.open()


@pytest.fixture
def command(project: Path, write_module: Callable[[str], str]) -> Pq:
    name = write_module(TASKS)
    sys.path.insert(0, str(project))
    return Pq(importlib.import_module(name))


@pytest.fixture
def write_module(project: Path) -> Callable[[str], str]:
    """Write a module that no other test has imported, and return its name."""

    def write(text: str) -> str:
        name = f"app_{secrets.token_hex(6)}"
        (project / f"{name}.py").write_text(text, encoding="utf-8")
        return name

    return write


@pytest.fixture
def bare(project: Path) -> Callable[..., CliResult]:
    """Run a command in this process, without an app."""

    def run(*words: str, code: int = 0, stdin: str | None = None) -> CliResult:
        return invoke(words, code=code, stdin=stdin)

    return run
