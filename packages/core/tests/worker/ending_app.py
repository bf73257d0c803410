"""The app of test_ending_processes.py: jobs that run once, and write down that they do before they do anything else."""

from __future__ import annotations

import os
import time
from pathlib import Path

import anyio

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector(os.environ.get("ENDING_DSN", "")))
place = Path(os.environ.get("ENDING_PLACE", "."))


def note(job: pq.Job) -> None:
    with (place / "starts").open("a") as file:
        file.write(f"{job.id}\n")


@app.task(name="charge", delivery="at_most_once", pass_context=True)
async def charge(context: pq.JobContext) -> None:
    note(context.job)
    await anyio.sleep(0.02)


@app.task(name="charge_in_a_thread", delivery="at_most_once", pass_context=True)
def charge_in_a_thread(context: pq.JobContext) -> None:
    note(context.job)
    time.sleep(0.02)


@app.task(name="count", pass_context=True)
async def count(context: pq.JobContext) -> None:
    context.progress(0.5, "half")
    while not (place / "gate").exists():  # noqa: ASYNC110 - the test is another process
        await anyio.sleep(0.01)


if __name__ == "__main__":
    app.run_worker(lease=1.0, concurrency=4, poll_interval=0.2)
