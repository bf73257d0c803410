from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pq_testing.postgres import DatabaseServer, Server
from pq_testing.postgres.account import Account, server_account


@pytest.fixture(scope="session")
def account() -> Account:
    return server_account()


@pytest.fixture(scope="session")
def shared() -> Iterator[DatabaseServer]:
    with Server.start() as server:
        yield server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server.start() as server:
        yield server


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that other users can reach, which pytest's own are not."""
    path = Path(tempfile.mkdtemp(prefix="pq-test-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def cold_cache(open_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for caches in which there is none yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(open_path))
    return open_path


@pytest.fixture
def begin() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a Python process that runs a script; it is killed when the test ends."""
    begun: list[subprocess.Popen[str]] = []

    def start(script: str, **options: object) -> subprocess.Popen[str]:
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, **options}
        process = subprocess.Popen([sys.executable, "-W", "error", "-c", textwrap.dedent(script)], **options)  # type: ignore[call-overload]
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def eventually(condition: Callable[[], bool], *, within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.005)


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., None]:
    return eventually


@pytest.fixture
def processes_of() -> Callable[[Path], list[int]]:
    """The live processes of the server in a directory, found by what they run."""

    def find(directory: Path) -> list[int]:
        listing = subprocess.run(["ps", "-A", "-o", "pid=,stat=,args="], check=True, capture_output=True, text=True).stdout
        rows = (line.split(None, 2) for line in listing.splitlines())
        return [int(pid) for pid, state, *command in rows if str(directory) in "".join(command) and state[0] != "Z"]

    return find


@pytest.fixture
def other_user() -> dict[str, object]:
    """Options for a process of a user who is not root."""
    return {"user": "nobody", "group": server_account("nobody").gid, "extra_groups": []} if os.geteuid() == 0 else {}
