"""Tasks that run in a process of their own."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import psutil  # type: ignore[import-untyped]
import pytest

import pq_core as pq
from pq_core.worker import processes
from pq_testing.postgres import server

PLACE = Path(__file__).parent
DEADLINE = 20.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(PLACE)
    return importlib.import_module("own_process_app")


@pytest.fixture
def memory(module: Any) -> Iterator[pq.InMemoryConnector]:
    with module.app.replace_connector(pq.InMemoryConnector()) as memory:
        yield memory


Run = Callable[..., list[pq.Job]]


@pytest.fixture
def run(module: Any, memory: pq.InMemoryConnector) -> Run:
    """Run jobs, given by the names of their tasks or as new jobs, one after the other; return what became of them."""

    def run(*jobs: str | pq.NewJob, **options: Any) -> list[pq.Job]:
        new = [pq.NewJob(task=job) if isinstance(job, str) else job for job in jobs]
        ids = module.app.defer_many(new)
        module.app.run_worker(**{"wait": False, "concurrency": 1, "install_signal_handlers": False, **options})
        return [memory.jobs[number] for number in ids]

    return run


def result(job: pq.Job) -> Any:
    assert job.state == "succeeded", job.errors
    return job.result["result"]


def eventually(condition: Callable[[], object]) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < DEADLINE, "it did not come to pass in time"
        time.sleep(0.01)


def is_gone(number: int) -> bool:
    try:
        return bool(psutil.Process(number).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_jobs_run_in_one_other_process_with_their_middleware_and_it_ends_with_the_worker(run: Run) -> None:
    first, second, own, older = run("pid", "pid", "lib:own", "lib:older")
    assert result(first) == result(second) == first.result["middleware"] != os.getpid()
    assert (result(own), result(older)) == ("blueprint", "blueprint")
    assert is_gone(result(first))


def test_arguments_context_and_result_are_those_of_any_task(run: Run, module: Any) -> None:
    given = {"big": 10**40, "text": "a\u2028\U0001f600", "float": 1e22, "none": None}
    (job,) = run(module.add.job(3, b=given), name="w")
    assert result(job) == {"a": 3, "b": given, "job": job.id, "worker": "w", "task": "add"}


def test_an_error_keeps_its_class_and_what_it_holds_so_that_the_retry_strategy_decides(run: Run, module: Any) -> None:
    errors: list[Any] = []
    module.app.on(pq.events.JobFailed)(lambda event: errors.append(event.error))
    (job,) = run("refuse")
    assert (job.state, job.attempt) == ("failed", 2)
    assert [(each["type"], each["message"]) for each in job.errors] == [("own_process_app.Refused", "7: full")] * 2
    (error,) = errors
    assert (type(error), error.code, error.reason, error.args) == (module.Refused, 7, "full", ("7: full",))
    trace = job.errors[0]["traceback"]
    assert 'raise Refused(7, reason="full") from LookupError("no room")' in trace
    assert "LookupError: no room" in trace


def test_an_error_that_cannot_be_carried_keeps_its_name_and_words(run: Run) -> None:
    locked, local, quitted = run("lock_up", "local", "quit")
    assert locked.errors[0]["type"] == "own_process_app.Locked"
    assert locked.errors[0]["message"].startswith("('held by', '<unlocked _thread.lock")
    assert (local.errors[0]["type"], local.errors[0]["message"]) == (
        "own_process_app.local.<locals>.Local",
        "inside",
    )
    assert (quitted.errors[0]["type"], quitted.errors[0]["message"]) == ("SystemExit", "4")


def test_a_process_that_dies_fails_the_attempt_and_the_next_has_a_fresh_one(run: Run, module: Any) -> None:
    jobs = run("pid", module.leave.job("exit"), "pid", module.leave.job("kill"), "leave_once")
    before, exited, after, killed, once = jobs
    assert result(before) != result(after)
    assert (exited.state, exited.attempt) == (killed.state, killed.attempt) == ("failed", 2)
    assert (once.state, once.attempt) == ("failed", 1)
    assert {each["type"] for job in (exited, killed, once) for each in job.errors} == {"pq_core.errors.ProcessDied"}
    assert exited.errors[0]["message"] == f"the process in which job {exited.id} ran ended with exit code 3"
    assert killed.errors[0]["message"] == f"the process in which job {killed.id} ran was killed by SIGKILL"


def test_a_process_whose_child_lives_on_has_died_all_the_same(run: Run, module: Any, tmp_path: Path) -> None:
    (job,) = run(module.leave_a_child.job(str(tmp_path)))
    child = psutil.Process(int((tmp_path / "child").read_text()))
    assert child.is_running()
    child.kill()
    assert job.errors[0]["message"].endswith("ended with exit code 5")


def test_a_result_that_json_cannot_carry_fails_the_job_without_a_retry_unless_it_is_not_wanted(run: Run) -> None:
    opaque, unstored = run("opaque", "opaque_unstored")
    assert (opaque.state, opaque.attempt) == ("failed", 1)
    assert opaque.errors[0]["type"] == "pq_core.errors.InvalidResult"
    assert (unstored.state, unstored.result) == ("succeeded", None)


def test_progress_and_verdicts_reach_the_worker(run: Run) -> None:
    (job,) = run("tell")
    assert (job.state, job.attempt, job.progress["fraction"], job.progress["message"]) == ("scheduled", 0, 0.5, "half")


def test_a_task_that_takes_too_long_is_killed(run: Run, module: Any, tmp_path: Path) -> None:
    began = time.monotonic()
    (job,) = run(module.hold_briefly.job(str(tmp_path)))
    assert 1.4 < time.monotonic() - began < 10
    assert job.errors[0]["type"] == "pq_core.errors.TaskTimedOut"
    assert is_gone(int((tmp_path / "began").read_text()))


def test_the_time_of_a_job_begins_when_its_process_has_begun(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_PROCESS_IMPORT_SECONDS", "0.8")
    (job,) = run("quick")
    assert result(job) == "in time"


def test_a_process_that_does_not_come_to_begin_is_killed_all_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LONGEST_START", 0.6)
    monkeypatch.setenv("OWN_PROCESS_IMPORT_SECONDS", "60")
    (job,) = run("quick")
    assert job.errors[0]["type"] == "pq_core.errors.TaskTimedOut"


@pytest.mark.parametrize("how, state", [("cancel", "cancelled"), ("shutdown", "ready")])
def test_a_task_that_is_cancelled_or_outlasts_its_worker_is_killed(
    module: Any, memory: pq.InMemoryConnector, tmp_path: Path, how: str, state: str
) -> None:
    number = module.hold.defer(str(tmp_path))
    worker = pq.Worker(module.app, lease=0.5, graceful_timeout=0, install_signal_handlers=False)
    thread = threading.Thread(target=worker.run)
    thread.start()
    eventually((tmp_path / "began").exists)
    if how == "cancel":
        module.app.jobs.cancel([number])
        eventually(lambda: memory.jobs[number].ended)
    worker.stop()
    thread.join(DEADLINE)
    job = memory.jobs[number]
    assert (job.state, job.attempt, job.errors) == (state, 1 if how == "cancel" else 0, [])
    assert is_gone(int((tmp_path / "began").read_text()))


@pytest.mark.anyio
async def test_a_worker_that_waits_no_longer_kills_its_processes(
    module: Any, memory: pq.InMemoryConnector, tmp_path: Path
) -> None:
    number = module.hold.defer(str(tmp_path))
    worker = pq.Worker(module.app, install_signal_handlers=False)
    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group:
            group.start_soon(worker.run_async)
            while not (tmp_path / "began").exists():  # noqa: ASYNC110 - it is another process that makes it
                await anyio.sleep(0.01)
            group.cancel_scope.cancel()
    assert memory.jobs[number].state == "ready"
    eventually(lambda: is_gone(int((tmp_path / "began").read_text())))


def test_processes_that_nobody_has_needed_for_long_end_while_the_worker_goes_on(
    module: Any, memory: pq.InMemoryConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "LONGEST_IDLE", 0.2)

    def run_one_and_wait_for_the_end_of_its_process() -> int:
        number = module.pid.defer()
        eventually(lambda: memory.jobs[number].ended)
        process: int = result(memory.jobs[number])
        eventually(lambda: is_gone(process))
        return process

    worker = pq.Worker(module.app, concurrency=1, install_signal_handlers=False)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        first, second = [run_one_and_wait_for_the_end_of_its_process() for _ in range(2)]
        assert first != second
    finally:
        worker.stop()
        thread.join(DEADLINE)


def test_jobs_in_memory_are_out_of_reach_and_the_error_says_so(run: Run, memory: pq.InMemoryConnector) -> None:
    (job,) = run("defer_another")
    assert job.errors[0]["type"] == "pq_core.errors.Unsupported"
    assert "leave out executor='process', or use PostgreSQL" in job.errors[0]["message"]
    assert len(memory.jobs) == 1


@pytest.mark.postgres
def test_jobs_are_deferred_to_where_the_worker_has_its_own(module: Any) -> None:
    with server().fresh_database() as dsn:
        connector = pq.PsycopgConnector(dsn, schema="elsewhere")
        with module.app.replace_connector(connector), module.app:
            module.app.migrate()
            number = module.defer_another.defer()
            module.app.run_worker(wait=False, concurrency=1, install_signal_handlers=False)
            another = result(module.app.jobs.get(number))
            assert (another, module.app.jobs.get(another).state) == (number + 1, "scheduled")


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start a worker as a program, in a group of processes of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        words = [sys.executable, "-W", "error", str(PLACE / "own_process_app.py")]
        process = subprocess.Popen(words, start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.postgres
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_no_process_outlives_its_worker_and_signals_to_the_group_are_the_workers_to_obey(
    module: Any, worker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    with server().fresh_database() as dsn:
        monkeypatch.setenv("OWN_PROCESS_DSN", dsn)
        with module.app.replace_connector(pq.PsycopgConnector(dsn)), module.app:
            module.app.migrate()
            number = module.hold.defer(str(tmp_path))
            process = worker()
            eventually((tmp_path / "began").exists)
            if how == "SIGKILL":
                process.kill()
            else:
                os.killpg(process.pid, getattr(signal, how))
                (tmp_path / "go").touch()
                assert process.wait(DEADLINE) == 0
                assert result(module.app.jobs.get(number)) == "held"
            child = int((tmp_path / "began").read_text())
            eventually(lambda: is_gone(child))


def test_an_app_that_no_other_process_could_import_is_refused_when_its_worker_starts(tmp_path: Path) -> None:
    app = pq.App(connector=pq.InMemoryConnector())

    @app.task(name="task", executor="process")
    def task() -> None: ...

    number = task.defer()
    with pytest.raises(pq.InvalidOption, match=r"'task' has executor='process'.* no global of a module"):
        app.run_worker(wait=False)
    assert app.jobs.get(number).attempt == 0


def test_a_program_that_runs_its_worker_while_it_is_imported_is_told_so(tmp_path: Path) -> None:
    program = tmp_path / "unguarded.py"
    program.write_text(
        "import pq_core as pq\n"
        "app = pq.App(connector=pq.InMemoryConnector())\n"
        "@app.task(name='task', executor='process')\n"
        "def task(): pass\n"
        "task.defer()\n"
        "app.run_worker(wait=False)\n"
        "print(app.jobs.get(1).errors[0]['message'])\n"
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert "move that below `if __name__ == '__main__':`" in done.stdout, done.stderr


def test_async_and_transactional_tasks_cannot_have_a_process() -> None:
    app = pq.App(connector=pq.InMemoryConnector())
    with pytest.raises(pq.InvalidOption, match="'a' is async, and executor='process' is for sync tasks"):

        @app.task(name="a", executor="process")
        async def a() -> None: ...

    with pytest.raises(pq.InvalidOption, match="'b': delivery 'transactional' needs the connection of the worker"):

        @app.task(name="b", executor="process", delivery="transactional")
        def b() -> None: ...

    with pytest.raises(pq.InvalidOption, match="'c': executor 'fork' is neither 'process' nor None"):

        @app.task(name="c", executor="fork")  # type: ignore[call-overload, untyped-decorator]
        def c() -> None: ...
