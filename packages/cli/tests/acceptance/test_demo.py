from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

import pq_cli.demo.show as demo
from pq_cli.demo import crew
from pq_cli.errors import DemoFailed

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]

ODD = [
    b"plain",
    b"with space",
    b"back\\slash",
    b"new\nline",
    b"carriage\rreturn",
    b"end\r",
    b"quo'te\"",
    b"\xff\xfe",
    b"-c",
]


@pytest.fixture
def tree(project: Path) -> Path:
    root = project / "a tree"
    for directory in ("", "one", "one/two", "odd\nname"):
        (root / directory).mkdir(parents=True, exist_ok=True)
        for name in ODD:
            (root / directory / os.fsdecode(name)).write_bytes(directory.encode() + name)
    (root / "empty").touch()
    (root / "link").symlink_to("plain")
    (root / "away").symlink_to("/")
    os.mkfifo(root / "pipe")
    return root


def verify(command: str | bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, shell=True, capture_output=True, check=False)


def descendants(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children(recursive=True)}


def alive(pids: set[int]) -> set[int]:
    listing = psutil.process_iter(["status"])
    return pids & {each.pid for each in listing if each.info["status"] != psutil.STATUS_ZOMBIE}


def test_every_regular_file_is_in_a_manifest_that_sha256sum_accepts(shell: Any, tree: Path) -> None:
    told = shell.run("demo", str(tree))
    count = 4 * len(ODD) + 1
    assert f"{count} jobs in " in told.stdout
    assert "0 retries, 0 failures" in told.stdout
    command = told.stdout.splitlines()[-1]
    checked = verify(command.replace("--quiet ", ""))
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.count(b": OK\n") == count
    (tree / "plain").write_text("changed")
    assert verify(command).returncode == 1


def test_as_json_it_tells_the_same(shell: Any, tree: Path, project: Path) -> None:
    told = json.loads(shell.run("demo", str(tree / "one"), "--json", "--manifest", "m", "--concurrency", "2").stdout)
    assert (told["path"], told["manifest"]) == (str(tree / "one"), str(project / "m"))
    assert (told["jobs"], told["retries"], told["failures"], told["unlisted"]) == (2 * len(ODD), 0, [], [])
    assert told["jobs_per_second"] > 0
    assert verify(told["verify"]).returncode == 0


def test_a_manifest_inside_the_tree_does_not_list_itself(shell: Any, tree: Path) -> None:
    shell.cwd = tree
    for _ in range(2):
        assert verify(shell.run("demo", ".").stdout.splitlines()[-1]).returncode == 0


def test_a_directory_without_files_needs_no_server(shell: Any, project: Path) -> None:
    (project / "empty").mkdir()
    assert shell.run("demo", "empty").stdout == "0 jobs in 0.00 s, 0 jobs/s, 0 retries, 0 failures\n"


def test_a_file_that_vanishes_is_tried_again_and_reported_and_the_rest_is_hashed(
    tree: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = demo.list_files

    def list_and_remove(path: Path, *, leave_out: Any) -> Any:
        listing = real(path, leave_out=leave_out)
        (tree / "one" / "plain").unlink()
        return listing

    monkeypatch.setattr(demo, "list_files", list_and_remove)
    summary = demo.show(tree, project / "m", dsn=None, concurrency=4)
    assert (summary.jobs, summary.retries) == (4 * len(ODD) + 1, 2)
    (failure,) = summary.failures
    assert (failure.file, failure.attempts) == (os.fsencode(tree / "one" / "plain"), 3)
    assert "FileNotFoundError" in failure.error
    assert len((project / "m").read_bytes().splitlines()) == 4 * len(ODD)


def test_a_directory_that_cannot_be_read_is_reported_and_the_rest_is_hashed(shell: Any, project: Path) -> None:
    blocked = project / "blocked"
    blocked.mkdir()
    (blocked / "fine").touch()
    # What lies deeper than a path can be long cannot be read, not by root either.
    descriptor = os.open(blocked, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=descriptor)
        inner = os.open("d" * 250, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    told = json.loads(shell.run("demo", "blocked", "--json").stdout)
    assert told["jobs"] == 1
    assert len(told["unlisted"]) == 1


@pytest.fixture
def running(shell: Any, project: Path) -> tuple[subprocess.Popen[str], set[int]]:
    """A demo that has begun to work, and all processes that it started."""
    many = project / "many"
    many.mkdir()
    for number in range(3_000):  # one after the other, as they share a lock
        (many / str(number)).touch()
    process = shell.start("demo", "many", start_new_session=True)
    for line in process.stderr:
        if line.startswith("hashed"):
            break
    return process, descendants(process.pid)


@pytest.mark.parametrize("number,code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_all_that_it_started(
    running: tuple[subprocess.Popen[str], set[int]], project: Path, number: signal.Signals, code: int
) -> None:
    process, others = running
    assert len(others) >= 3
    os.killpg(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert alive(others) == set()
    assert [path.name for path in project.iterdir() if "pq-demo" in path.name] == []


def test_a_killed_demo_leaves_no_process(
    running: tuple[subprocess.Popen[str], set[int]], eventually: Callable[..., None]
) -> None:
    process, others = running
    process.kill()
    process.communicate(timeout=30)
    eventually(lambda: not alive(others))


def test_a_given_server_is_left_as_it_was(shell: Any, empty_database: str, tree: Path) -> None:
    told = shell.run("demo", str(tree), "--dsn", empty_database)
    assert verify(told.stdout.splitlines()[-1]).returncode == 0
    with psycopg.connect(empty_database) as connection:
        rows = connection.execute("select nspname from pg_namespace where nspname like 'pq%'").fetchall()
    assert rows == []


def test_the_database_of_the_environment_is_not_touched(installed: Any, database: str, tree: Path) -> None:
    installed.run("demo", str(tree / "one"))
    with psycopg.connect(database) as connection:
        rows = connection.execute("select nspname from pg_namespace where nspname like 'pq%'").fetchall()
    assert rows == [("pq",)]


def test_a_server_that_is_away_has_its_exit_code(shell: Any, tree: Path) -> None:
    assert "does not answer" in shell.run("demo", str(tree), "--dsn", "host=/nowhere", code=4).stderr


@pytest.mark.parametrize("words", [["missing"], [".", "--concurrency", "0"], [".", "--concurrency", "x"]])
def test_bad_input_is_wrong_usage(shell: Any, words: list[str]) -> None:
    shell.run("demo", *words, code=2)


def test_a_manifest_that_cannot_be_written_stops_it_before_any_work(shell: Any, tree: Path) -> None:
    assert "cannot write the manifest" in shell.run("demo", str(tree), "-o", "missing/m", code=1).stderr


def test_a_worker_that_ends_ends_the_demo_with_its_last_words(monkeypatch: pytest.MonkeyPatch, database: str) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "not a number")
    with crew.at_work(database, "pq", 1) as workers:
        workers._process.wait(30)
        with pytest.raises(DemoFailed, match=r"ended with code 1: .*PYTHONHASHSEED"):
            workers.check()


def test_a_worker_that_ends_before_it_reads_its_orders_is_told_of(
    monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    class Ended(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.wait(30)

    monkeypatch.setenv("PYTHONHASHSEED", "not a number")
    monkeypatch.setattr("pq_cli.demo.crew.subprocess.Popen", Ended)
    with crew.at_work(database, "pq", 1) as workers, pytest.raises(DemoFailed, match=r"PYTHONHASHSEED"):
        workers.check()


def test_a_worker_ends_with_the_input_that_holds_it(database: str) -> None:
    with crew.at_work(database, "pq", 1) as workers:
        workers.check()
        process = workers._process
    assert process.returncode in (0, -signal.SIGTERM)


def test_a_terminal_shows_a_bar(shell: Any, tree: Path) -> None:
    program = (
        f"import pty, sys; sys.exit(pty.spawn([{shell.start('--version').args[0]!r}, 'demo', {str(tree)!r}]) >> 8)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=shell.cwd,
        env=shell.environ | {"TERM": "xterm"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert f"{4 * len(ODD) + 1}/{4 * len(ODD) + 1}" in done.stdout
    assert "\x1b[" in done.stdout
