"""What of `pq worker --processes N` needs no database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pq_core as pq
from pq_cli import processors
from pq_cli.fleet import assignment, launch
from pq_cli.fleet.ears import listening
from pq_cli.fleet.parent import Parent
from pq_cli.fleet.place import EARLY, ENOUGH, FIRST_WAIT, Place

ORPHAN = """
import os, time, types
from pq_cli.fleet import leash
leash.FAREWELL = 0.0
reading, writing = os.pipe()
settings = types.SimpleNamespace(graceful_timeout=0.0)
worker = types.SimpleNamespace(stop=lambda now: print(now, flush=True), settings=settings)
hanging = leash.Leash(reading)
hanging.hold(worker)
os.close(writing)
time.sleep(30)
"""


class Replaced(Exception):
    """In place of the end of this process."""


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines by which this process would have been replaced."""
    seen: list[list[str]] = []

    def replace(program: str, words: list[str]) -> None:
        seen.append(words)
        raise Replaced

    monkeypatch.setattr(os, "execv", replace)
    monkeypatch.setattr(launch, "InMemoryConnector", type("None of these", (), {}))
    monkeypatch.setenv(assignment.VARIABLE, "")
    return seen


@pytest.mark.parametrize("number", ["0", "-1", "1.5", "many", "", "1001", "9" * 5000, "²"])
def test_a_number_of_processes_that_cannot_be_is_refused(command: Any, number: str) -> None:
    assert "neither a whole number from 1 to 1000 nor 'auto'" in " ".join(
        command("worker", f"--processes={number}", code=2).stderr.split()
    )


def test_jobs_in_memory_are_not_for_several_processes(command: Any) -> None:
    assert "those in memory belong to one" in command("worker", "--processes", "2", code=2).stderr


def test_a_system_without_such_processes_is_refused(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "POSIX", False)
    assert "--processes needs a POSIX system" in command("worker", "--processes", "2", code=2).stderr


def test_a_name_that_leaves_no_room_for_the_number_is_refused(command: Any, replaced: list[list[str]]) -> None:
    assert "has 502 characters" in command("worker", "--processes", "2", "--name", "w" * 500, code=2).stderr
    assert replaced == []


def test_the_parent_is_told_what_it_needs_and_its_children_find_the_rest(
    command: Any, replaced: list[list[str]]
) -> None:
    command.app.worker_defaults = {"name": "mailer"}
    with pytest.raises(Replaced):
        command("worker", "mail", "--processes", "3", "--concurrency", "7", "--retention", "failed=1d", "--once")
    assert replaced[0][-7:] == ["-P", "-m", "pq_cli.fleet", "mailer", "3", "info", "once"]
    found = assignment.Assignment.take()
    assert found.options == {
        "queues": ["mail"],
        "concurrency": 7,
        "wait": False,
        "retention": {"failed": pq.Worker(command.app).settings.retention / 30},
    }
    assert assignment.VARIABLE not in os.environ


def test_auto_is_one_process_per_processor(
    command: Any, replaced: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processors, "usable_processors", lambda: 12)
    with pytest.raises(Replaced):
        command("worker", "--processes", "auto")
    assert replaced[0][-3:] == ["worker", "12", "info"]


@pytest.mark.parametrize(
    "own,above,most",
    [
        ("max 100000", "max 100000", 64),
        ("150000 100000", "max 100000", 2),
        ("400000 100000", "100000 100000", 1),
        ("1000 100000", None, 1),
        (None, None, 64),
        ("nonsense", None, 64),
    ],
)
def test_the_limit_of_a_container_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str | None, above: str | None, most: int
) -> None:
    group = tmp_path / "groups" / "kubepods" / "pod"
    group.mkdir(parents=True)
    for directory, limit in ((group, own), (group.parent, above)):
        if limit is not None:
            (directory / "cpu.max").write_text(f"{limit}\n", encoding="ascii")
    (tmp_path / "cgroup").write_text("1:name=systemd:/\n0::/kubepods/pod\n", encoding="ascii")
    monkeypatch.setattr(processors, "CONTROL_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(processors, "OWN_GROUP", tmp_path / "cgroup")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert processors.usable_processors() == most


def test_without_control_groups_the_processors_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "OWN_GROUP", tmp_path / "nowhere")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert processors.usable_processors() == 3


def test_who_dies_early_again_and_again_is_waited_for_twice_as_long_each_time_until_a_long_life() -> None:
    place = Place(1, "worker")
    waits = []
    for life in (0.0, 0.0, 0.0, EARLY + 1, 0.0):
        place.note_end(life)
        waits.append(place.wait_for_next())
    assert waits == [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT, 0.0, FIRST_WAIT]
    assert place.early_ends == 1 < ENOUGH


def test_a_python_that_is_not_there_any_more_is_looked_for_again_and_then_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "pq_cli.fleet"])
    monkeypatch.setattr("pq_cli.fleet.place.FIRST_WAIT", 0.001)
    opened = len([*Path("/dev/fd").iterdir()])
    with listening() as ears:
        assert Parent("worker", 1, once=False, ears=ears).run() == 1
    assert len([*Path("/dev/fd").iterdir()]) == opened
    assert [record.levelname for record in caplog.records] == [*["WARNING"] * 4, "ERROR"]
    assert "Worker worker#1 has no process: [Errno 2] No such file" in caplog.text
    assert "takes its place in 0.0 s" in caplog.text


def test_ctrl_c_while_a_worker_process_still_imports_ends_it_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    early = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    (tmp_path / "sitecustomize.py").write_text(early, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "pq_cli.fleet"])
    place = Place(1, "worker")
    _, status = os.waitpid(place.start(), 0)
    place.bury()
    assert os.waitstatus_to_exitcode(status) == -signal.SIGINT
    assert capfd.readouterr() == ("", "")


def test_a_worker_that_hangs_does_not_outlive_its_parent_for_ever() -> None:
    done = subprocess.run([sys.executable, "-c", ORPHAN], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (70, "False\n", "")


def test_the_parent_imports_next_to_nothing() -> None:
    code = "import sys; from pq_cli.fleet import __main__; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    imported = {name.partition(".")[0] for name in done.stdout.split()}
    assert imported & {"anyio", "asyncio", "attr", "pq_core", "psycopg", "pydantic", "subprocess", "typer"} == set()


def test_the_worker_processes_do_without_the_command_line() -> None:
    code = "import sys; from pq_cli.fleet import member; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=True)
    imported = {name.partition(".")[0] for name in done.stdout.split()}
    assert imported & {"pydantic", "pq_testing", "rich", "typer"} == set()
    assert "pq_core.memory" not in done.stdout.split()
