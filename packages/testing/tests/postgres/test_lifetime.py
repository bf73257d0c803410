"""Whoever started a server may die in any way: the server and its data do not stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest

from pq_testing.postgres import Server
from pq_testing.postgres.account import Account
from pq_testing.postgres.directory import make_server_directory, sweep

pytestmark = pytest.mark.postgres

Begin = Callable[..., subprocess.Popen[str]]
Processes = Callable[[Path], list[int]]
Eventually = Callable[..., None]

OWNER = """
    from pq_testing.postgres import Server
    server = Server.start()
    print(server.directory, flush=True)
    input()
"""
FORKING_OWNER = """
    import os, time
    from pq_testing.postgres import Server
    server = Server.start()
    if os.fork() == 0:
        time.sleep(30)
        os._exit(0)
    print(server.directory, flush=True)
    input()
"""


def directory_of(owner: subprocess.Popen[str]) -> Path:
    assert owner.stdout is not None
    directory = Path(owner.stdout.readline().strip())
    assert (directory / "data" / "postmaster.pid").exists()
    return directory


def postmaster(directory: Path) -> int:
    return int((directory / "data" / "postmaster.pid").read_text().splitlines()[0])


def parent_of(pid: int) -> int:
    return psutil.Process(pid).ppid()


def test_a_server_ends_with_a_parent_that_is_killed(
    begin: Begin, eventually: Eventually, processes_of: Processes
) -> None:
    owner = begin(OWNER)
    directory = directory_of(owner)
    assert processes_of(directory)
    owner.kill()
    eventually(lambda: not processes_of(directory))
    eventually(lambda: not directory.exists())


def test_a_server_ends_with_a_parent_that_forgets_to_stop_it(
    begin: Begin, eventually: Eventually, processes_of: Processes
) -> None:
    owner = begin(OWNER.replace("input()", ""), stderr=subprocess.DEVNULL)
    written, _ = owner.communicate(timeout=30)
    assert owner.returncode == 0
    directory = Path(written.strip())
    eventually(lambda: not directory.exists())
    assert not processes_of(directory)


def test_a_server_ends_with_its_parent_though_a_fork_of_that_lives_on(
    begin: Begin, eventually: Eventually, processes_of: Processes
) -> None:
    owner = begin(FORKING_OWNER, start_new_session=True)
    directory = directory_of(owner)
    owner.kill()
    owner.wait()
    try:
        eventually(lambda: not processes_of(directory))
        eventually(lambda: not directory.exists())
    finally:
        os.killpg(owner.pid, signal.SIGKILL)


def test_a_fork_of_the_parent_that_ends_does_not_end_the_server() -> None:
    with Server.start() as server:
        pid = os.fork()
        if pid == 0:
            server.stop()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert server.running
        psycopg.connect(server.dsn()).close()


def test_a_keyboard_interrupt_in_the_terminal_does_not_end_the_server_before_its_tests(
    begin: Begin, eventually: Eventually
) -> None:
    owner = begin(
        """
        import psycopg, signal
        from pq_testing.postgres import Server
        signal.signal(signal.SIGINT, lambda *_: None)
        server = Server.start()
        print(server.directory, flush=True)
        input()
        psycopg.connect(server.dsn()).close()
        server.stop()
        """,
        start_new_session=True,
    )
    directory = directory_of(owner)
    os.killpg(owner.pid, signal.SIGINT)
    owner.communicate("go on\n", timeout=30)
    assert owner.returncode == 0
    assert not directory.exists()


def test_a_server_whose_supervisor_is_killed_too_is_swept_at_the_next_start(
    begin: Begin, eventually: Eventually, processes_of: Processes
) -> None:
    owner = begin(OWNER)
    directory = directory_of(owner)
    server = postmaster(directory)
    os.kill(parent_of(server), signal.SIGKILL)
    owner.kill()
    if (
        sys.platform == "linux"
    ):  # Elsewhere no process can ask to die with its parent; the sweep ends it within a minute.
        eventually(lambda: not processes_of(directory))
    assert directory.exists()
    with Server.start():
        assert not directory.exists()


def test_the_sweep_leaves_alone_what_is_used_and_what_is_not_its_own(
    open_path: Path, account: Account, eventually: Eventually
) -> None:
    open_path.chmod(0o777)
    mine = make_server_directory(account, [open_path])
    others = [open_path / name for name in ("pq-pg-unlocked", "pq-pg-other", "data")]
    for other in others:
        other.mkdir()
    link = open_path / "pq-pg-linklink"
    link.symlink_to(others[2])
    (others[2] / "lock").touch()
    sweep(open_path, account)
    assert all(path.exists() for path in (*others, link, mine.path))
    mine.unlock()
    sweep(open_path, account)
    assert not mine.path.exists()
    assert all(path.exists() for path in (*others, link, others[2] / "lock"))
