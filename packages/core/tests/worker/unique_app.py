"""The app of test_unique_processes.py: jobs of few keys, deferred by many at once, that notice a twin beside them."""

from __future__ import annotations

import json
import logging
import os
import random
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector(os.environ.get("UNIQUE_DSN", ""), max_size=3))
place = Path(os.environ.get("UNIQUE_PLACE", "."))
KEYS = [f"key {number}" for number in range(8)]


@app.task(name="alone", pass_context=True)
def alone(context: pq.JobContext) -> None:
    """Fail for good if another job of the key runs."""
    mine = place / f"{context.job.unique_key} runs"
    try:
        mine.touch(exist_ok=False)
    except FileExistsError:
        context.fail(f"two jobs of {context.job.unique_key} run at once", no_retry=True)
    mine.unlink()


@app.task(name="stumble", retry=pq.RetryStrategy(max_attempts=3, wait=0), pass_context=True)
def stumble(context: pq.JobContext) -> None:
    """Come back to wait, so that a twin may have the key by then."""
    if random.random() < 0.5:
        raise ValueError("once more")


def jobs(chance: random.Random) -> list[pq.NewJob]:
    """Return one job, or a batch of several, in any order of keys."""
    chosen: list[pq.NewJob] = []
    for _ in range(chance.choice((1, 1, 3, 6))):
        task, scope = chance.choice(((alone, "live"), (stumble, "waiting")))
        on_conflict = chance.choice(("skip", "replace", "skip", "replace", "raise"))
        period = {"seconds": 0.05} if chance.random() < 0.1 else None
        terms = pq.Unique(key=chance.choice(KEYS), scope=scope, on_conflict=on_conflict, period=period)
        chosen.append(task.configure(unique=terms).job())
    return chosen


def defer(seed: int) -> Counter[str]:
    """Defer over and over; count what came of it."""
    chance, counts = random.Random(seed), Counter[str]()
    for _ in range(int(sys.argv[3])):
        batch = jobs(chance)
        try:
            answers = app.defer_many(batch, results=True)
        except pq.AlreadyDeferred:
            counts["refused"] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is to show it
            counts[f"{type(error).__name__}: {error}"] += 1
        else:
            counts.update(answer.status for answer in answers)
    return counts


if __name__ == "__main__":
    if sys.argv[1] == "work":
        logging.basicConfig(level=logging.WARNING)
        app.run_worker(concurrency=4)
    else:
        with ThreadPoolExecutor(3) as threads:
            counts = sum(threads.map(defer, range(int(sys.argv[2]), int(sys.argv[2]) + 3)), Counter[str]())
        json.dump(counts, sys.stdout)
