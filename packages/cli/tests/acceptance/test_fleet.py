"""`pq worker --processes N`, on real processes, signals and a real database."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

import pq_core as pq

pytestmark = pytest.mark.postgres

Eventually = Callable[..., None]

SHORT_LIVES = """
import os
from contextlib import contextmanager

import pq_core as pq

@contextmanager
def too_short(worker):
    os._exit(7)
    yield

app = pq.App(connector=pq.PsycopgConnector(), worker_lifespan=too_short)
"""


@pytest.fixture
def app(database: str) -> Any:
    with pq.App(connector=pq.PsycopgConnector(database)) as app:
        yield app


@pytest.fixture
def fleet(installed: Any, app: pq.App, eventually: Eventually) -> Any:
    """Start two processes of one job each, and wait until both are at work. What it has started, it ends."""
    started: list[psutil.Process] = []

    def start(*words: str, **options: Any) -> subprocess.Popen[str]:
        parent = installed.start("worker", "--processes", "2", "--concurrency", "1", *words, **options)
        eventually(lambda: len(at_work(app)) == 2)
        started.extend(psutil.Process(parent.pid).children())
        return parent

    yield start
    for process in started:
        if process.is_running():
            process.kill()


def at_work(app: pq.App) -> dict[str, int]:
    """The workers, by name, and their process ids."""
    return {worker.info.name: worker.info.details["pid"] for worker in app.workers() if worker.alive}


def hold(app: pq.App, project: Path, eventually: Eventually, jobs: int) -> list[int]:
    """Start jobs that go on until the file `go` is there; wait until they run, return their ids."""
    places = [project / f"began{number}" for number in range(jobs)]
    ids = [app.configure_task("hold").defer(began=str(place), go=str(project / "go")) for place in places]
    eventually(lambda: all(place.exists() and place.read_text() for place in places))
    return ids


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # nobody may be there to bury an orphan
    except psutil.NoSuchProcess:
        return True


def test_two_processes_run_jobs_at_the_same_time_and_each_job_once(
    fleet: Any, app: pq.App, project: Path, eventually: Eventually
) -> None:
    parent = fleet()
    workers = at_work(app)
    (project / "place").mkdir()
    guests = [app.configure_task("meet").defer(place=str(project / "place"), guests=2) for _ in range(2)]
    sums = app.defer_many([pq.NewJob(task="add", args={"a": 1, "b": number}) for number in range(100)])
    eventually(lambda: app.jobs.count()[pq.State.SUCCEEDED] == 102)
    parent.send_signal(signal.SIGTERM)
    _, log = parent.communicate(timeout=30)
    assert parent.returncode == 0, log
    assert workers.keys() == {"worker#1", "worker#2"}
    assert {app.jobs.get(number).result for number in guests} == {*workers.values()} != {parent.pid}
    jobs = [app.jobs.get(number) for number in sums]
    assert ({job.attempt for job in jobs}, {job.losses for job in jobs}) == ({1}, {0})
    assert [line for line in log.splitlines() if "Worker worker#2 serves all queues" in line and " #2 " in line]


def test_another_process_takes_the_place_of_one_that_was_killed_and_its_jobs_run_again(
    fleet: Any, app: pq.App, project: Path, eventually: Eventually
) -> None:
    parent = fleet("--lease", "1s")
    before = at_work(app)
    (job,) = hold(app, project, eventually, 1)
    pid = int((project / "began0").read_text())
    os.kill(pid, signal.SIGKILL)
    (project / "go").touch()
    eventually(lambda: app.jobs.get(job).state == "succeeded")
    eventually(lambda: len({*at_work(app).values()} - {*before.values()}) == 1 and len(at_work(app)) == 2)
    assert (app.jobs.get(job).result, app.jobs.get(job).losses) == ("held", 1)
    parent.send_signal(signal.SIGTERM)
    _, log = parent.communicate(timeout=30)
    assert parent.returncode == 0, log
    assert f"process {pid}, was killed by SIGKILL; another one takes its place" in log


def test_a_process_that_was_asked_to_stop_by_itself_is_replaced_too(
    fleet: Any, app: pq.App, eventually: Eventually
) -> None:
    parent = fleet()
    before = at_work(app)
    os.kill(before["worker#1"], signal.SIGTERM)
    eventually(lambda: at_work(app).get("worker#1", before["worker#1"]) != before["worker#1"])
    assert at_work(app)["worker#2"] == before["worker#2"]
    parent.send_signal(signal.SIGTERM)
    _, log = parent.communicate(timeout=30)
    assert (parent.returncode, "has ended with exit code 0; another one takes its place" in log) == (0, True), log


@pytest.mark.parametrize(
    "send,number",
    [(os.kill, signal.SIGTERM), (os.killpg, signal.SIGINT), (os.killpg, signal.SIGTERM)],
    ids=["as Kubernetes", "as a terminal", "as systemd"],
)
def test_a_signal_lets_the_jobs_of_all_processes_end_even_if_they_have_it_from_others_too(  # noqa: PLR0917 - fixtures
    fleet: Any, app: pq.App, project: Path, eventually: Eventually, send: Any, number: signal.Signals
) -> None:
    parent = fleet("--graceful-timeout", "forever", start_new_session=True)
    ids = hold(app, project, eventually, 2)
    send(parent.pid, number)
    heard: set[str] = set()
    for line in parent.stderr:
        heard |= {word for word in ("worker#1 stops", "worker#2 stops", "All worker processes stop") if word in line}
        if len(heard) == 3:
            break
    later = app.configure_task("add").defer(a=1, b=2)
    (project / "go").touch()
    assert parent.wait(30) == 0, parent.stderr.read()
    assert [app.jobs.get(job).result for job in ids] == ["held", "held"]
    assert app.jobs.get(later).state == "ready"


def test_a_second_signal_does_not_wait_and_gives_the_jobs_of_all_processes_back(
    fleet: Any, app: pq.App, project: Path, eventually: Eventually
) -> None:
    began = [project / "began0", project / "began1"]
    parent = fleet("--graceful-timeout", "forever")
    ids = [app.configure_task("hold_on").defer(began=str(place)) for place in began]
    eventually(lambda: all(place.exists() for place in began))
    parent.send_signal(signal.SIGTERM)
    for line in parent.stderr:
        if "All worker processes stop" in line:
            break
    parent.send_signal(signal.SIGTERM)
    _, log = parent.communicate(timeout=30)
    assert parent.returncode == 0, log
    assert {app.jobs.get(job).state for job in ids} <= {"ready", "succeeded"}
    assert at_work(app) == {}


def test_the_processes_of_a_parent_that_was_killed_end_their_jobs_and_then_themselves(
    fleet: Any, app: pq.App, project: Path, eventually: Eventually
) -> None:
    parent = fleet()
    processes = at_work(app).values()
    ids = hold(app, project, eventually, 2)
    parent.kill()
    for line in parent.stderr:
        if "claims no more jobs" in line:
            break
    (project / "go").touch()
    eventually(lambda: all(map(gone, processes)))
    assert [app.jobs.get(job).result for job in ids] == ["held", "held"]
    assert at_work(app) == {}


def test_processes_that_die_as_soon_as_they_live_end_the_fleet_with_their_exit_code(installed: Any) -> None:
    (installed.cwd / "short.py").write_text(SHORT_LIVES, encoding="utf-8")
    log = installed.run("worker", "--app", "short.app", "--processes", "1", code=7).stderr
    assert log.count("has process") == 5
    assert log.count("another one takes its place") == 4
    assert "has ended with exit code 7, the 5th in a row that did not live for 10 s: all worker processes stop" in log


def test_with_once_the_fleet_ends_when_nothing_is_left_to_run(installed: Any, app: pq.App) -> None:
    ids = app.defer_many([pq.NewJob(task="add", args={"a": 1, "b": number}) for number in range(20)])
    log = installed.run("worker", "--processes", "2", "--once").stderr
    assert [app.jobs.get(number).result for number in ids] == [*range(1, 21)]
    assert log.count("has ended with exit code 0") == 2


def test_with_once_the_death_of_a_process_is_told_by_the_exit_code(installed: Any) -> None:
    (installed.cwd / "short.py").write_text(SHORT_LIVES, encoding="utf-8")
    log = installed.run("worker", "--app", "short.app", "--processes", "2", "--once", code=7).stderr
    assert log.count("has process") == 2


def test_what_the_workers_are_told_stands_on_no_command_line_and_reaches_no_task(
    fleet: Any, app: pq.App, database: str, eventually: Eventually
) -> None:
    parent = fleet()
    family = [psutil.Process(parent.pid), *psutil.Process(parent.pid).children()]
    assert len(family) == 3
    assert [process.cmdline() for process in family if any("host=" in word for word in process.cmdline())] == []
    job = app.configure_task("look_around").defer()
    eventually(lambda: app.jobs.get(job).state == "succeeded")
    assert [name for name in app.jobs.get(job).result or () if "FLEET" in name] == []
    parent.send_signal(signal.SIGTERM)
    parent.communicate(timeout=30)


def test_processes_that_start_anew_under_load_lose_no_job_and_run_none_twice(
    fleet: Any, app: pq.App, eventually: Eventually
) -> None:
    parent = fleet("--max-jobs", "100", "--log-level", "warning")
    processes = at_work(app)
    ids = app.defer_many([pq.NewJob(task="add", args={"a": 1, "b": number}) for number in range(400)])
    eventually(lambda: app.jobs.count()[pq.State.SUCCEEDED] == len(ids))
    parent.send_signal(signal.SIGTERM)
    _, log = parent.communicate(timeout=30)
    assert parent.returncode == 0, log
    assert log.count("starts anew: it has run") >= 2
    assert "takes its place" not in log
    assert all(map(gone, processes.values()))
    jobs = [app.jobs.get(number) for number in ids]
    assert {(job.attempt, job.losses) for job in jobs} == {(1, 0)}
    assert [job.result for job in jobs] == [1 + number for number in range(400)]


def test_an_app_that_cannot_be_imported_is_refused_before_a_process_is_started(installed: Any) -> None:
    log = installed.run("worker", "--app", "nowhere.app", "--processes", "2", code=3).stderr
    assert log.count("nowhere") >= 1
    assert "has process" not in log
