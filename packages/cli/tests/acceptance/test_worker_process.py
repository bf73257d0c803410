from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pq_core as pq

pytestmark = pytest.mark.postgres

Eventually = Callable[..., None]


@pytest.fixture
def app(database: str) -> Any:
    with pq.App(connector=pq.PsycopgConnector(database)) as app:
        yield app


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_jobs_end(
    installed: Any, app: pq.App, project: Path, eventually: Eventually, number: signal.Signals
) -> None:
    began, go = project / "began", project / "go"
    job = app.configure_task("hold").defer(began=str(began), go=str(go))
    worker = installed.start("worker")
    eventually(began.exists)
    worker.send_signal(number)
    later = app.configure_task("add").defer(a=1, b=2)
    go.touch()
    assert worker.wait(30) == 0, worker.stderr.read()
    assert app.jobs.get(job).result == "held"
    assert app.jobs.get(later).state == "ready"


def test_a_second_signal_does_not_wait_and_gives_the_job_back(
    installed: Any, app: pq.App, project: Path, eventually: Eventually
) -> None:
    began = project / "began"
    job = app.configure_task("hold_on").defer(began=str(began))
    worker = installed.start("worker", "--graceful-timeout", "forever")
    eventually(began.exists)
    worker.send_signal(signal.SIGTERM)
    for line in worker.stderr:
        if "claims no more jobs" in line:
            break
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=30)
    assert app.jobs.get(job).state in {"ready", "succeeded"}


@pytest.mark.parametrize("task, code", [("hold_a_thread", 6), ("hold_the_loop", 0)])
def test_a_worker_ends_whatever_its_jobs_do(
    installed: Any, app: pq.App, eventually: Eventually, task: str, code: int
) -> None:
    began = installed.cwd / "began"
    job = app.configure_task(task).defer(began=str(began))
    worker = installed.start("worker", "--graceful-timeout", "0.1s")
    eventually(began.exists)
    worker.send_signal(signal.SIGTERM)
    _, log = worker.communicate(timeout=30)
    assert worker.returncode == code, log
    assert ("ended by force" in log) is (code == 6)
    assert (app.jobs.get(job).state, app.jobs.get(job).attempt, app.jobs.get(job).losses) == ("ready", 0, 0)


def test_the_pool_keeps_as_many_connections_as_asked(installed: Any, database: str, eventually: Eventually) -> None:
    def connections() -> int:
        with psycopg.connect(database) as connection:
            row = connection.execute(
                "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            ).fetchone()
            return 0 if row is None else int(row[0])

    worker = installed.start("worker", "--no-listen", "--min-size", "7", "--max-size", "7")
    eventually(lambda: connections() >= 7)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    eventually(lambda: connections() == 0)


@pytest.mark.parametrize("words", [["--min-size", "3", "--max-size", "2"], ["--max-size", "0"]])
def test_a_pool_that_cannot_be_is_refused(installed: Any, words: list[str]) -> None:
    assert "min_size" in installed.run("worker", *words, code=2).stderr


def test_arguments_are_logged_only_if_asked(installed: Any, app: pq.App) -> None:
    app.configure_task("add").defer(a=12345, b=2)
    assert "12345" not in installed.run("worker", "--once").stderr
    app.configure_task("add").defer(a=12345, b=2)
    assert "12345" in installed.run("worker", "--once", "--log-arguments").stderr


def test_a_quiet_worker_says_nothing(installed: Any, app: pq.App) -> None:
    app.configure_task("add").defer(a=1, b=2)
    done = installed.run("worker", "--once", "--log-level", "warning")
    assert (done.stdout, done.stderr) == ("", "")


def test_a_worker_that_has_run_its_jobs_starts_anew_says_why_and_goes_on_under_the_same_process_id(
    installed: Any, app: pq.App, eventually: Eventually
) -> None:
    ids = app.defer_many([pq.NewJob(task="add", args={"a": 1, "b": number}) for number in range(5)])
    worker = installed.start("worker", "--max-jobs", "3", "--concurrency", "1")
    eventually(lambda: app.jobs.count()[pq.State.SUCCEEDED] == len(ids))
    worker.send_signal(signal.SIGTERM)
    _, log = worker.communicate(timeout=30)
    assert worker.returncode == 0, log
    assert log.count("pq: the worker starts anew: it has run 3 jobs") >= 1
    assert log.count("serves all queues") == 1 + log.count("starts anew")
    assert all(app.jobs.get(number).losses == 0 for number in ids)


def test_a_worker_that_is_told_to_stop_while_it_ends_to_start_anew_does_not_start(
    installed: Any, app: pq.App, project: Path, eventually: Eventually
) -> None:
    began, go = project / "began", project / "go"
    worker = installed.start("worker", "--max-jobs", "1", "--concurrency", "2")
    app.configure_task("hold").defer(began=str(began), go=str(go))
    eventually(began.exists)
    app.configure_task("add").defer(a=1, b=2)
    for line in worker.stderr:
        if "claims no more jobs" in line:
            break
    worker.send_signal(signal.SIGTERM)
    go.touch()
    _, log = worker.communicate(timeout=30)
    assert worker.returncode == 0
    assert "starts anew" not in log


def test_a_worker_starts_anew_when_it_uses_too_much_memory(installed: Any, app: pq.App, eventually: Eventually) -> None:
    app.configure_task("add").defer(a=1, b=2)
    worker = installed.start("worker", "--max-memory", "1")
    for line in worker.stderr:
        if "starts anew: it uses" in line:
            break
    eventually(lambda: app.jobs.count()[pq.State.SUCCEEDED] == 1)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=30)


def test_workers_that_start_anew_in_the_midst_of_a_queue_lose_no_job_and_run_none_twice(
    installed: Any, app: pq.App, eventually: Eventually
) -> None:
    ids = app.defer_many([pq.NewJob(task="add", args={"a": 1, "b": number}) for number in range(60)])
    words = ("worker", "--max-jobs", "20", "--concurrency", "2", "--log-level", "warning")
    workers = [installed.start(*words) for _ in range(2)]
    eventually(lambda: app.jobs.count()[pq.State.SUCCEEDED] == len(ids))
    log = ""
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
        log += worker.communicate(timeout=30)[1]
    assert log.count("starts anew") >= 1
    jobs = [app.jobs.get(number) for number in ids]
    assert {(job.attempt, job.losses) for job in jobs} == {(1, 0)}
    assert [job.result for job in jobs] == [1 + number for number in range(60)]
