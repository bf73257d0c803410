"""Writers of one lock take turns, in order, over four worker processes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from pq_core.job import NewJob
from pq_core.postgres import PsycopgConnector

LINES = 100
SCRIPT = Path(__file__).with_name("letters_app.py")


@pytest.fixture
def four_workers(dsn: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    with ExitStack() as stack:
        workers = [
            stack.enter_context(subprocess.Popen([sys.executable, str(SCRIPT)], env=os.environ | {"LETTERS_DSN": dsn}))
            for _ in range(4)
        ]
        for worker in workers:
            stack.callback(worker.kill)
        yield workers
        for worker in workers:
            worker.send_signal(signal.SIGTERM)
        assert [worker.wait(20) for worker in workers] == [0, 0, 0, 0]


def test_four_writers_of_one_lock_write_abcd_a_hundred_times_out_of_a_hundred(
    dsn: str, session: psycopg.Connection, four_workers: list[subprocess.Popen[bytes]]
) -> None:
    session.execute("create table public.lines (line integer primary key, letters text not null default '')")
    session.execute("insert into lines (line) select generate_series(1, %s)", [LINES])
    connector = PsycopgConnector(dsn).sync
    order = list(range(1, LINES + 1))
    random.shuffle(order)
    for letter in "abcd":
        connector.defer(
            [
                NewJob(task="letters_app.write", args={"line": line, "letter": letter}, lock=f"line {line}")
                for line in order
            ]
        )
    connector.close()

    deadline = time.monotonic() + 50
    left: list[tuple[object, ...]] = [()]
    while left and time.monotonic() < deadline:
        assert [worker.poll() for worker in four_workers] == [None] * 4
        left = session.execute("select id, state, worker from jobs").fetchall()
        time.sleep(0.05)
    assert left == []
    assert session.execute("select letters, count(*) from lines group by 1").fetchall() == [("abcd", LINES)]
    (by,) = session.execute("select count(distinct worker) from finished_jobs").fetchone() or (0,)
    assert by == len(four_workers), "not every worker had a part in it"
