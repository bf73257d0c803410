"""Workers as processes on PostgreSQL: killed, paused, told to stop, and bereft of their database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import pq_core as pq
from pq_core.causes import Running
from pq_core.worker.worker import FIRM
from pq_testing.postgres import Server, server

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]
SCRIPT = Path(__file__).with_name("processes_app.py")
LEASE = 2.0
DEADLINE = 30.0


def eventually(condition: Callable[[], object], seconds: float = DEADLINE) -> float:
    """Wait until `condition` holds; return how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it did not come to pass in time"
        time.sleep(0.01)
    return time.monotonic() - began


class Scene:
    """A database, workers on it, and what they have written down."""

    def __init__(self, dsn: str, place: Path, stack: ExitStack) -> None:
        self.place = place
        self.app = pq.App(connector=pq.PsycopgConnector(dsn))
        self.app.migrate()
        stack.callback(self.app.close)
        self._environment = os.environ | {"PROCESSES_DSN": dsn, "PROCESSES_PLACE": str(place)}
        self._stack = stack

    def worker(self, lease: float = LEASE, *patience: str) -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self.place / "log").open("ab"))
        process = self._stack.enter_context(
            subprocess.Popen([sys.executable, str(SCRIPT), str(lease), *patience], env=self._environment, stderr=log)
        )
        self._stack.callback(process.kill)
        return process

    def defer(self, task: str, count: int = 1) -> list[int]:
        return self.app.defer_many([pq.NewJob(task=task)] * count)

    def starts(self) -> list[tuple[int, int]]:
        """Return the (job id, process id) of all runs so far."""
        path = self.place / "starts"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(job), int(process)) for job, process in map(str.split, lines)]

    def succeeded(self) -> int:
        """Return how many jobs have succeeded; -1 if the database does not say."""
        try:
            return self.app.jobs.count()[pq.State.SUCCEEDED]
        except pq.ConnectionFailed:
            return -1

    def open_gate(self) -> None:
        (self.place / "gate").touch()

    def log(self) -> str:
        return (self.place / "log").read_text()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        dsn = stack.enter_context(server().fresh_database())
        yield Scene(dsn, tmp_path, stack)


def test_the_job_of_a_killed_worker_runs_again_within_the_lease_and_five_seconds(scene: Scene) -> None:
    (number,) = scene.defer("wait")
    victim = scene.worker()
    eventually(scene.starts)
    heir = scene.worker()
    eventually(lambda: scene.log().count("worker_started") == 2)
    victim.kill()
    assert eventually(lambda: len(scene.starts()) == 2) < LEASE + 5
    scene.open_gate()
    eventually(lambda: scene.app.jobs.get(number).ended)
    job = scene.app.jobs.get(number)
    assert scene.starts() == [(number, victim.pid), (number, heir.pid)]
    assert (job.state, job.result, job.losses, job.attempt) == ("succeeded", heir.pid, 1, 2)
    assert [error["type"] for error in job.errors] == ["WorkerLost"]


def test_whoever_asks_is_told_where_a_job_runs_and_that_its_worker_was_lost(scene: Scene) -> None:
    (number,) = scene.defer("wait")
    (cause,) = scene.app.jobs.explain(number).causes
    assert str(cause) == "no worker is alive"
    victim = scene.worker()
    eventually(scene.starts)
    (cause,) = scene.app.jobs.explain(number).causes
    (worker,) = scene.app.workers()
    assert isinstance(cause, Running)
    assert cause.status == worker
    assert (worker.alive, worker.running, worker.info.details["pid"]) == (True, 1, victim.pid)
    assert {"wait", "step"} < set(worker.info.details["tasks"])
    victim.kill()
    eventually(lambda: not scene.app.workers()[0].alive)
    assert "has been lost since" in str(scene.app.jobs.explain(number).causes[0])
    lost = "1 worker has been lost, and no other is alive to give jobs back"
    assert scene.app.health().findings == [lost]
    heir = scene.worker()
    eventually(lambda: len(scene.starts()) == 2)
    assert [worker.info.details["pid"] for worker in scene.app.workers()] == [heir.pid]
    assert scene.app.health().findings == []
    scene.open_gate()
    eventually(lambda: scene.app.jobs.get(number).ended)


def test_the_late_finish_of_a_worker_that_was_thought_dead_changes_nothing(scene: Scene) -> None:
    (number,) = scene.defer("wait")
    sleeper = scene.worker()
    eventually(scene.starts)
    sleeper.send_signal(signal.SIGSTOP)
    heir = scene.worker()
    eventually(lambda: len(scene.starts()) == 2)
    scene.open_gate()
    eventually(lambda: scene.app.jobs.get(number).ended)
    before = scene.app.jobs.get(number)
    sleeper.send_signal(signal.SIGCONT)
    eventually(lambda: "outcome_lost" in scene.log())
    assert before.result == heir.pid
    assert scene.app.jobs.get(number) == before
    assert sleeper.poll() is None
    scene.defer("step", 20)
    eventually(lambda: scene.succeeded() == 21)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("task", ["wait", "wait_in_a_thread"])
def test_a_first_signal_lets_running_jobs_end_and_starts_no_more(scene: Scene, how: signal.Signals, task: str) -> None:
    first = scene.defer(task)
    worker = scene.worker()
    eventually(scene.starts)
    worker.send_signal(how)
    eventually(lambda: "worker_stopping" in scene.log())
    second = scene.defer(task)
    scene.open_gate()
    assert worker.wait(DEADLINE) == 0
    states = [scene.app.jobs.get(number).state for number in first + second]
    assert states == ["succeeded", "ready"]


@pytest.mark.parametrize("task", ["wait", "wait_in_a_thread"])
def test_a_second_signal_ends_the_worker_at_once_and_its_jobs_go_back(scene: Scene, task: str) -> None:
    (number,) = scene.defer(task)
    worker = scene.worker(lease=300)
    eventually(scene.starts)
    worker.terminate()
    eventually(lambda: "worker_stopping" in scene.log())
    worker.terminate()
    assert worker.wait(5) == 0
    job = scene.app.jobs.get(number)
    assert (job.state, job.attempt, job.losses) == ("ready", 0, 0)


@pytest.mark.parametrize("task", ["swallow", "shield", "wait_for_a_thread_of_asyncio", "wait_for_a_thread_of_anyio"])
def test_the_call_that_runs_a_worker_returns_whatever_its_jobs_do(scene: Scene, task: str) -> None:
    (number,) = scene.defer(task)
    worker = scene.worker(300, "0.1")
    eventually(scene.starts)
    worker.terminate()
    eventually(lambda: "worker_returned" in scene.log(), FIRM + 10)
    job = scene.app.jobs.get(number)
    assert (job.state, job.attempt, job.losses) == ("ready", 0, 0)
    scene.open_gate()
    assert worker.wait(DEADLINE) == 0


def test_a_database_that_crashes_under_a_working_worker_costs_no_job(tmp_path: Path) -> None:
    with ExitStack() as stack:
        own = stack.enter_context(Server.start())
        scene = Scene(own.dsn(), tmp_path, stack)
        numbers = scene.defer("step", 2000)
        worker = scene.worker(lease=30)
        for share in (0.2, 0.5):
            eventually(lambda share=share: len(scene.starts()) > share * len(numbers))  # type: ignore[misc]
            own.crash()
            eventually(lambda: scene.log().count("_failed") > 2)
            own.restart()
        eventually(lambda: scene.succeeded() == len(numbers), 60)
        scene.defer("step")
        eventually(lambda: scene.succeeded() == len(numbers) + 1)
        assert {job for job, _ in scene.starts()} >= set(numbers)
        worker.terminate()
        assert worker.wait(DEADLINE) == 0
