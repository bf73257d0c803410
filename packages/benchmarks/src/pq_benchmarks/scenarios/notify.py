"""What notifications cost when many enqueue at once: PostgreSQL lets those who notify commit one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import psycopg

from pq_benchmarks.contender import Contender
from pq_benchmarks.figures import Target
from pq_benchmarks.scenarios.scenario import Scenario
from pq_benchmarks.stage import Stage

ENQUEUERS = 16
_SECONDS = 3.0
_WAYS = {
    "alone": "select pq.defer('t', '{}', alone => true)",
    "notifying": "select pq.defer('t', '{}')",
    "silent": (
        "insert into pq.jobs (queue, task, args, priority, lock_mode, state, scheduled_at, created_at, max_losses,"
        " metadata) values ('default', 't', '{}', 0, 'ordered', 'ready', now(), now(), 3, '{}')"
    ),
}
"""As pq's connector does it by itself; as one does who has more in the transaction; a row, and no word of it."""


def measure(stage: Stage, contender: Contender) -> Mapping[str, float]:
    """Let 16 connections enqueue one by one for a while, in each way in turn."""
    rates = {}
    with stage.database(contender, "nothing", lambda _: None) as dsn:
        for way, statement in _WAYS.items():
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("truncate pq.jobs")
            rates[f"{way}_per_s"] = _rate(dsn, statement)
    rates["of_silent"] = rates["alone_per_s"] / rates["silent_per_s"]
    rates["times_notifying"] = rates["alone_per_s"] / rates["notifying_per_s"]
    return rates


def _rate(dsn: str, statement: str) -> float:
    counts = [0] * ENQUEUERS
    barrier = threading.Barrier(ENQUEUERS)

    def enqueue(number: int) -> None:
        with psycopg.connect(dsn, autocommit=True, prepare_threshold=0) as connection:
            connection.execute(statement.encode())
            barrier.wait()
            until = time.monotonic() + _SECONDS
            while time.monotonic() < until:
                connection.execute(statement.encode())
                counts[number] += 1

    threads = [threading.Thread(target=enqueue, args=(number,)) for number in range(ENQUEUERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / _SECONDS


NOTIFY = Scenario(
    name="notify",
    title=f"{ENQUEUERS} connections that enqueue one by one: what a notification costs",
    measure=measure,
    targets=(Target(value="of_silent", at_least=0.5),),
)
