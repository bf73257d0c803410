"""Workers as processes: killed under jobs that run at most once, and telling others of progress and of ends."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import pq_core as pq
from pq_testing.postgres import server

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]
SCRIPT = Path(__file__).with_name("ending_app.py")
DEADLINE = 60.0
JOBS = 400
KILLS = 6


class Scene:
    """A database, workers on it, and what they have written down."""

    def __init__(self, dsn: str, place: Path, stack: ExitStack) -> None:
        self.place = place
        self.app = pq.App(connector=pq.PsycopgConnector(dsn))
        self.app.migrate()
        stack.callback(self.app.close)
        self._environment = os.environ | {"ENDING_DSN": dsn, "ENDING_PLACE": str(place)}
        self._stack = stack

    def worker(self) -> subprocess.Popen[bytes]:
        process = self._stack.enter_context(
            subprocess.Popen([sys.executable, str(SCRIPT)], env=self._environment, stderr=subprocess.DEVNULL)
        )
        self._stack.callback(process.kill)
        return process

    def starts(self) -> Counter[int]:
        """Return how often each job has started."""
        path = self.place / "starts"
        return Counter(map(int, path.read_text().split())) if path.exists() else Counter()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        dsn = stack.enter_context(server().fresh_database())
        yield Scene(dsn, tmp_path, stack)


def eventually(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < DEADLINE, "it did not come to pass in time"
        time.sleep(0.01)


def test_a_job_of_one_life_runs_at_most_once_and_ends_whatever_becomes_of_its_workers(scene: Scene) -> None:
    seed = random.randrange(10**6)
    choose = random.Random(seed)
    tasks = ["charge", "charge_in_a_thread"]
    jobs = [pq.NewJob(task=choose.choice(tasks), delivery="at_most_once") for _ in range(JOBS)]
    scene.app.defer_many(jobs)
    workers = [scene.worker() for _ in range(3)]
    for kill in range(1, KILLS + 1):
        begun = kill * JOBS // (2 * KILLS)
        eventually(lambda begun=begun: len(scene.starts()) >= begun or not living(scene))  # type: ignore[misc]
        place = choose.randrange(len(workers))
        workers[place].kill()
        workers[place] = scene.worker()
    eventually(lambda: not living(scene))
    ended = scene.app.jobs.find(limit=JOBS + 1)
    starts = scene.starts()
    assert len(ended) == JOBS, f"seed {seed}"
    assert set(starts.values()) == {1}, f"seed {seed}: {starts.most_common(3)}"
    assert {job.state for job in ended} <= {"succeeded", "failed"}, f"seed {seed}"
    for job in ended:
        if job.state == "succeeded":
            assert (starts[job.id], job.attempt, job.errors) == (1, 1, []), f"seed {seed}: {job}"
        else:
            assert [error["type"] for error in job.errors] == ["WorkerLost"], f"seed {seed}: {job}"
            assert job.losses == 1, f"seed {seed}: {job}"
    assert any(job.state == "failed" for job in ended), f"seed {seed}: no kill hit a job"


def living(scene: Scene) -> int:
    """Return how many jobs have not ended."""
    counts = scene.app.jobs.count()
    return sum(n for state, n in counts.items() if state not in {"succeeded", "failed", "cancelled"})


def test_progress_and_end_of_a_job_are_known_to_who_waits_in_another_process(scene: Scene) -> None:
    (number,) = scene.app.defer_many([pq.NewJob(task="count")])
    scene.worker()
    handle = scene.app.jobs.handle(number)
    eventually(lambda: handle.get().progress)
    progress = handle.get().progress
    assert (progress["fraction"], progress["message"]) == (0.5, "half")
    (scene.place / "gate").touch()
    assert handle.wait(timeout=DEADLINE).state == "succeeded"
