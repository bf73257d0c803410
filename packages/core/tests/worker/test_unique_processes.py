"""Unique keys under fire: processes that defer the same keys at once, while workers run, fail and retry them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

import pq_core as pq
from pq_core.states import LIVE
from pq_testing.postgres import server

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]
SCRIPT = Path(__file__).with_name("unique_app.py")
DEFERRERS, WORKERS, ROUNDS = 4, 2, 60
DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


def test_many_processes_defer_the_same_keys_and_none_sees_an_error_or_a_twin(tmp_path: Path) -> None:
    seed = random.randrange(2**31)
    print(f"seed {seed}")  # noqa: T201 - shown if the test fails
    with ExitStack() as stack:
        dsn = stack.enter_context(server().fresh_database())
        app = pq.App(connector=pq.PsycopgConnector(dsn))
        stack.callback(app.close)
        app.migrate()
        environment = os.environ | {"UNIQUE_DSN": dsn, "UNIQUE_PLACE": str(tmp_path)}

        def start(*arguments: object, log: str) -> subprocess.Popen[str]:
            command = [sys.executable, str(SCRIPT), *map(str, arguments)]
            err = stack.enter_context((tmp_path / log).open("a"))
            process = stack.enter_context(
                subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=err, text=True)
            )
            stack.callback(process.kill)
            return process

        workers = [start("work", log="workers") for _ in range(WORKERS)]
        deferrers = [start("defer", seed + 3 * n, ROUNDS, log="deferrers") for n in range(DEFERRERS)]
        counts = sum((Counter(json.loads(each.communicate(timeout=60)[0])) for each in deferrers), Counter[str]())
        until = time.monotonic() + 30
        while sum(app.jobs.count(state=[*LIVE]).values()) and time.monotonic() < until:
            time.sleep(0.02)
        for worker in workers:
            worker.terminate()
            assert worker.wait(30) == 0
        ended = app.jobs.count()
        failures = app.jobs.find(state="failed", task="alone", limit=5)
        with psycopg.connect(dsn) as connection:
            deadlocks = connection.execute(DEADLOCKS).fetchone()

    assert set(counts) <= {"new", "skipped", "replaced", "refused"}, counts
    assert min(counts[kind] for kind in ("new", "skipped", "replaced", "refused")) > 0, counts
    assert failures == []
    assert sum(ended.values()) == counts["new"]
    assert sum(ended[state] for state in (pq.State.SUCCEEDED, pq.State.FAILED, pq.State.CANCELLED)) == counts["new"]
    assert deadlocks == (0,)
    log = (tmp_path / "workers").read_text()
    # A worker that has waited 200 ms for a key says so, and comes again: on a loaded machine that may be.
    assert not [word for word in ("unique", "deadlock", "refuses") if word in log.replace("unique_app", "")], log
    assert (tmp_path / "deferrers").read_text() == ""
