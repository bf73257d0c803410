"""What a project gets for one line in its ini file, six times; each in a fresh project, in a process of its own."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TEMPLATE = Path(__file__).parent / "six"
INI = "[pytest]\npq_app = shop:app\n"

pytestmark = pytest.mark.timeout(300)
Run = Callable[..., str]


class Doorbell:
    """Listens where a real database would, counts who connects, and lets nobody in."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.rung = 0
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            try:
                visitor, _ = self._socket.accept()
            except OSError:
                return
            visitor.close()
            self.rung += 1

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def real_database() -> Iterator[Doorbell]:
    doorbell = Doorbell()
    yield doorbell
    doorbell.close()


@pytest.fixture
def run(tmp_path: Path, real_database: Doorbell) -> Run:
    """Run one file of the template as the only test file of a project, and return what pytest printed."""

    def run_pytest(name: str, *arguments: str, ini: str = INI) -> str:
        (tmp_path / "pytest.ini").write_text(ini)
        for path in tmp_path.glob("test_*.py"):
            path.unlink()
        shutil.copy(TEMPLATE / "shop.py", tmp_path)
        shutil.copy(TEMPLATE / f"{name}.py", tmp_path / f"test_{name}.py")
        options = ("-p", "pq_testing.plugin", "-p", "no:cacheprovider", "-W", "error", "--strict-markers")
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *arguments],
            cwd=tmp_path,
            env=_environment(f"postgresql://shop:secret@127.0.0.1:{real_database.port}/shop?connect_timeout=2"),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        return done.stdout + done.stderr

    return run_pytest


def _environment(dsn: str) -> dict[str, str]:
    foreign = ("PG", "PYTEST_", "PQ_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return inherited | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "SHOP_DSN": dsn}


def counts(output: str) -> dict[str, int]:
    """Return how many tests passed, failed and so on, as the last line says."""
    last = output.rstrip().splitlines()[-1]
    return {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)", last)}


def test_what_a_request_defers_for_now_and_for_later_can_be_asserted(run: Run) -> None:
    output = run("web")
    assert counts(output) == {"passed": 1}, output


def test_a_chain_of_jobs_runs_to_its_end(run: Run) -> None:
    output = run("chain")
    assert counts(output) == {"passed": 1}, output


def test_the_third_attempt_in_vain_raises_what_the_task_raised(run: Run) -> None:
    output = run("retries")
    assert counts(output) == {"passed": 1}, output


@pytest.mark.postgres
def test_a_drain_inside_of_the_tests_transaction_is_rolled_back_with_it(run: Run) -> None:
    output = run("transaction")
    assert counts(output) == {"passed": 2}, output


@pytest.mark.postgres
def test_a_double_charge_is_found_on_both_engines_by_redelivering_jobs(run: Run) -> None:
    output = run("redelivery")
    assert counts(output) == {"failed": 2}, output
    for engine in ("memory", "postgres"):
        _, _, report = output.partition(f" test_an_order_is_charged_once[{engine}] ")
        report = report.partition(" test_an_order_is_charged_once[")[0]
        assert re.search(r"^E .*charge\(order=7\) is not idempotent: redelivered", report, re.MULTILINE), output
        assert re.search(r"^E +gateway\.charged\[7\] 1 → 2$", report, re.MULTILINE), output
        assert re.search(r"^pq replay: pytest .*test_an_order_is_charged_once", report, re.MULTILINE), output


def test_a_suite_that_never_mentions_pq_stays_green_and_reaches_no_database(run: Run, real_database: Doorbell) -> None:
    output = run("legacy")
    assert counts(output) == {"passed": 203}, output
    assert real_database.rung == 0


def test_without_the_line_it_reaches_no_database_either_and_says_what_to_write(
    run: Run, real_database: Doorbell
) -> None:
    output = run("legacy", "-x", ini="[pytest]\n")
    assert counts(output) == {"failed": 1}, output
    assert "pq will not touch a real database from a test: set pq_app, or pq_allow_real = true" in output
    assert real_database.rung == 0


def test_the_real_database_hears_of_whom_is_let_through(run: Run, real_database: Doorbell) -> None:
    """Else the two tests above would show nothing."""
    run("legacy", "-x", ini="[pytest]\npq_allow_real = true\n")
    assert real_database.rung > 0
