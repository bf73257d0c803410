from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pq_core import PsycopgConnector
from pq_core.postgres.schema import script
from pq_testing.postgres import fresh_database, server

PQ = str(Path(sys.executable).with_name("pq"))

TASKS = """
import asyncio
import os
import time
from pathlib import Path

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector())

@app.task(name="add")
def add(a: int, b: int) -> int:
    return a + b

@app.task(name="fail")
def fail() -> None:
    raise RuntimeError("it broke")

@app.task(name="hold")
def hold(began: str, go: str) -> str:
    Path(began).write_text(str(os.getpid()))
    while not Path(go).exists():
        time.sleep(0.01)
    return "held"

@app.task(name="meet")
def meet(place: str, guests: int) -> int:
    Path(place, str(os.getpid())).touch()
    while len(os.listdir(place)) < guests:
        time.sleep(0.01)
    return os.getpid()

@app.task(name="look_around")
def look_around() -> list:
    return [name for name in os.environ if name.startswith("PQ_")]

@app.task(name="hold_on", pass_context=True)
def hold_on(context, began: str) -> None:
    Path(began).touch()
    while not context.should_stop():
        time.sleep(0.01)

@app.task(name="hold_a_thread")
async def hold_a_thread(began: str) -> None:
    Path(began).touch()
    await asyncio.to_thread(time.sleep, 120)

@app.task(name="hold_the_loop")
async def hold_the_loop(began: str) -> None:
    Path(began).touch()
    while True:
        try:
            await asyncio.sleep(120)
        except asyncio.CancelledError:
            pass
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The directory in which commands run; it holds an app."""
    (tmp_path / "mycode.py").write_text(TASKS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def empty_database() -> Iterator[str]:
    with fresh_database() as dsn:
        yield dsn


@pytest.fixture
def database() -> Iterator[str]:
    """A database with pq in it."""
    template = server().template(f"cli {script('pq')}", lambda dsn: PsycopgConnector(dsn).sync.migrate())
    with fresh_database(template=template) as dsn:
        yield dsn


class Shell:
    """Runs the installed `pq` in the project."""

    def __init__(self, project: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PQ_"))}
        self.cwd = project
        self.environ = kept | {"PQ_APP": "mycode.app", "PGHOST": str(project), "PYTHONWARNINGS": "error"}
        for name in ("PQ_POSTGRES_BIN", "PQ_POSTGRES_USER"):
            if name in os.environ:
                self.environ[name] = os.environ[name]
        self.started: list[subprocess.Popen[str]] = []

    def run(self, *words: str, code: int = 0, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [PQ, *words],
            cwd=self.cwd,
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [PQ, *words],
            cwd=self.cwd,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        self.started.append(process)
        return process


@pytest.fixture
def shell(project: Path) -> Iterator[Shell]:
    shell = Shell(project)
    yield shell
    for process in shell.started:
        process.kill()
        process.communicate(timeout=30)  # its pipes end with the last that it has started


@pytest.fixture
def installed(shell: Shell, database: str) -> Shell:
    """A shell whose `pq` finds a database with pq in it."""
    shell.environ["PQ_DSN"] = database
    return shell


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Wait until a condition holds."""

    def wait(condition: Callable[[], object], *, within: float = 30.0) -> None:
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, "the condition never became true"
            time.sleep(0.01)

    return wait
