"""One server for all workers of pytest-xdist, for real: started once, gone with the run however that ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

CONFTEST = """
    import json, os
    from pathlib import Path

    import psycopg
    import pytest

    from pq_testing.backends.discovery import Databases


    @pytest.fixture(scope="session")
    def databases(tmp_path_factory):
        databases = Databases(run=tmp_path_factory.getbasetemp().parent)
        yield databases
        databases.close()


    @pytest.fixture
    def backend(databases):
        backend = databases.backend(databases.dsn())
        backend.reset()
        yield backend
        backend.close_test()


    @pytest.fixture
    def note(backend):
        with psycopg.connect(backend.dsn) as connection:
            query = "select current_database(), current_setting('data_directory')"
            database, directory = connection.execute(query).fetchone()
        worker = os.environ["PYTEST_XDIST_WORKER"]
        note = {"worker": worker, "database": database, "directory": directory}
        unread = Path(os.environ["NOTES"], f"{worker}.unread")
        unread.write_text(json.dumps(note))
        unread.rename(unread.with_suffix(".json"))  # whole, for whoever looks in between
        return note
"""

TESTS = """
    import time
    from pathlib import Path
    import os
    import pytest
    from pq_core.job import NewJob


    @pytest.mark.parametrize("number", range(20))
    def test_ids_begin_at_1(backend, note, number):
        assert backend.connector().sync.defer([NewJob(task="t")])[0].id == 1
        {then}
"""


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes"
    path.mkdir()
    return path


@pytest.fixture
def begin(tmp_path: Path, notes: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    begun: list[subprocess.Popen[str]] = []
    (tmp_path / "conftest.py").write_text(textwrap.dedent(CONFTEST), encoding="utf-8")

    def start(then: str = "pass") -> subprocess.Popen[str]:
        (tmp_path / "test_jobs.py").write_text(textwrap.dedent(TESTS).format(then=then), encoding="utf-8")
        off = [
            word for name in ("asyncio", "django", "flask", "randomly", "postgresql") for word in ("-p", f"no:{name}")
        ]
        environ = {name: value for name, value in os.environ.items() if name != "PQ_TEST_DSN"} | {"NOTES": str(notes)}
        command = [
            sys.executable,
            "-W",
            "error",
            "-m",
            "pytest",
            "-q",
            "-n",
            "2",
            *off,
            "--basetemp",
            str(tmp_path / "t"),
        ]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate(timeout=30)  # its pipes end with the last that it has started


def read(notes: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(notes.glob("*.json"))]


def eventually(condition: Callable[[], bool], within: float = 20.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.005)


def processes_of(directory: str) -> list[int]:
    server = str(Path(directory).parent)
    return [
        each.pid
        for each in psutil.process_iter(["cmdline", "status"])
        if server in " ".join(each.info["cmdline"] or ()) and each.info["status"] != psutil.STATUS_ZOMBIE
    ]


def gone(directory: str) -> bool:
    return not processes_of(directory) and not Path(directory).parent.exists()


def test_two_workers_share_one_server_and_have_a_database_each(
    begin: Callable[[str], subprocess.Popen[str]], notes: Path
) -> None:
    process = begin("pass")
    output, _ = process.communicate(timeout=50)
    assert process.returncode == 0, output
    first, second = read(notes)
    assert first["directory"] == second["directory"]
    assert first["database"] != second["database"]
    eventually(lambda: gone(first["directory"]))


def test_nothing_is_left_when_the_run_is_killed(begin: Callable[[str], subprocess.Popen[str]], notes: Path) -> None:
    process = begin("time.sleep(0.2)")
    eventually(lambda: len(read(notes)) == 2)
    directory = read(notes)[0]["directory"]
    assert processes_of(directory)
    process.send_signal(signal.SIGKILL)
    eventually(lambda: gone(directory))


def test_the_server_outlives_the_worker_that_started_it(
    begin: Callable[[str], subprocess.Popen[str]], notes: Path
) -> None:
    process = begin("number == 3 and os.kill(os.getpid(), 9)")
    output, _ = process.communicate(timeout=50)
    assert "1 failed, 19 passed" in output, output
    assert len({note["directory"] for note in read(notes)}) == 1
    assert len({note["database"] for note in read(notes)}) >= 2
    eventually(lambda: gone(read(notes)[0]["directory"]))


KILL = "number == 3 and os.kill(int(Path(note['directory'], 'postmaster.pid').read_text().split()[0]), 9)"


def test_a_server_that_is_killed_is_there_again_for_the_next_test(
    begin: Callable[[str], subprocess.Popen[str]], notes: Path
) -> None:
    process = begin(KILL)
    output, _ = process.communicate(timeout=50)
    hurt = sum(int(number) for number in re.findall(r"(\d+) (?:failed|errors?)\b", output.splitlines()[-1]))
    assert hurt <= 2, output  # those that ran just then, one in each worker
    assert "passed" in output.splitlines()[-1], output
    eventually(lambda: gone(read(notes)[0]["directory"]))
