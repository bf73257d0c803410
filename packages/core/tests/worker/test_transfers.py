"""The proof of transactional delivery: workers are killed and paused at random; no transfer is lost or made twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

import pq_core as pq
from pq_testing.postgres import server

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]
SCRIPT = Path(__file__).with_name("transfers_app.py")
TRANSFERS = 2_000
ACCOUNTS = 40
WORKERS = 3
LEASE = 0.6
KILLS, PAUSES = 7, 2
DEADLINE = 90.0
SCHEMA = """
    create table accounts (id int primary key, balance bigint not null);
    create table transfers (number bigint generated always as identity, job bigint not null, pid int not null);
    insert into accounts select n, 1000 from generate_series(0, %s - 1) n;
"""


@pytest.fixture
def dsn() -> Iterator[str]:
    with server().fresh_database() as dsn:
        yield dsn


def transfers(draw: random.Random) -> list[pq.NewJob]:
    """Return jobs of both kinds in turn, between accounts that are drawn."""
    jobs: list[pq.NewJob] = []
    for number in range(TRANSFERS):
        source, target = draw.sample(range(ACCOUNTS), 2)
        args = {"source": source, "target": target, "amount": draw.randint(1, 100)}
        jobs.append(pq.NewJob(task=("move", "move_async")[number % 2], args=args, max_losses=1_000))
    return jobs


def start(dsn: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(LEASE)], env=os.environ | {"TRANSFERS_DSN": dsn}, stderr=subprocess.DEVNULL
    )


def disturb(dsn: str, draw: random.Random, session: psycopg.Connection) -> None:
    """Let workers work, be killed, and stall for longer than their lease, until nothing is left to do."""
    blows = sorted((draw.randrange(TRANSFERS // 10, TRANSFERS), blow) for blow in ["kill"] * KILLS + ["pause"] * PAUSES)
    workers = [start(dsn) for _ in range(WORKERS)]
    deadline = time.monotonic() + DEADLINE
    try:
        while left := count(session, "select count(*) from pq.jobs"):
            assert time.monotonic() < deadline, f"{left} jobs are left"
            busy = [place for place, worker in enumerate(workers) if worker.pid in pids_at_work(session)]
            if blows and left <= blows[-1][0] and busy:
                place = draw.choice(busy)
                if blows.pop()[1] == "kill":
                    workers[place].kill()
                    workers[place].wait()
                    workers[place] = start(dsn)
                else:  # it is taken for dead, and goes on with jobs that others have by then
                    workers[place].send_signal(signal.SIGSTOP)
                    time.sleep(2 * LEASE)
                    workers[place].send_signal(signal.SIGCONT)
            time.sleep(0.01)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def pids_at_work(session: psycopg.Connection) -> set[int]:
    """Return the processes whose workers run jobs, as the database knows it."""
    rows = session.execute("select details->>'pid' from pq.workers where id in (select worker from pq.jobs)").fetchall()
    return {int(pid) for (pid,) in rows}


def count(session: psycopg.Connection, question: LiteralString) -> int:
    ((number,),) = session.execute(question).fetchall()
    return int(number)


def test_of_two_thousand_transfers_none_is_lost_or_made_twice_though_workers_are_killed(dsn: str) -> None:
    seed = random.randrange(2**32)
    draw = random.Random(seed)
    app = pq.App(connector=pq.PsycopgConnector(dsn))
    app.migrate()
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute(SCHEMA.replace("%s", str(ACCOUNTS)))
        ids = app.defer_many(transfers(draw))
        disturb(dsn, draw, session)
        entries = [job for (job,) in session.execute("select job from transfers").fetchall()]
        total = count(session, "select sum(balance) from accounts")
        expected = dict.fromkeys(range(ACCOUNTS), 1000)
        lost = 0
        for page in (ids[:1000], ids[1000:]):
            for job in app.jobs.find(ids=page, limit=1000):
                assert job.state == "succeeded", (seed, job)
                lost += job.losses
                expected[job.args["source"]] -= job.args["amount"]
                expected[job.args["target"]] += job.args["amount"]
        balances: dict[int, int] = dict(session.execute("select id, balance from accounts").fetchall())
    app.close()
    print(f"seed {seed}: {lost} runs were lost")  # noqa: T201 - for who looks at a failure
    assert sorted(entries) == ids, seed
    assert total == 1000 * ACCOUNTS, seed
    assert balances == expected, seed
    assert lost >= 1, seed
