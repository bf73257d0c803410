"""The app of test_processes.py: jobs that write down when they start, and wait for a gate to open."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread

import pq_core as pq

app = pq.App(connector=pq.PsycopgConnector(os.environ.get("PROCESSES_DSN", "")))
place = Path(os.environ.get("PROCESSES_PLACE", "."))


def note(job_id: int) -> None:
    with (place / "starts").open("a") as file:
        file.write(f"{job_id} {os.getpid()}\n")


@app.task(name="wait", pass_context=True)
async def wait(context: pq.JobContext) -> int:
    note(context.job.id)
    while not (place / "gate").exists():  # noqa: ASYNC110 - the test is another process
        await anyio.sleep(0.01)
    return os.getpid()


@app.task(name="wait_in_a_thread", pass_context=True)
def wait_in_a_thread(context: pq.JobContext) -> int:
    note(context.job.id)
    while not (place / "gate").exists():
        time.sleep(0.01)
    return os.getpid()


@app.task(name="step", pass_context=True)
async def step(context: pq.JobContext) -> None:
    await anyio.sleep(0.002)
    note(context.job.id)


@app.task(name="swallow", pass_context=True)
async def swallow(context: pq.JobContext) -> None:
    note(context.job.id)
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


@app.task(name="shield", pass_context=True)
async def shield(context: pq.JobContext) -> None:
    note(context.job.id)
    inner = asyncio.ensure_future(asyncio.sleep(60))
    while not inner.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(inner)


def watch_the_gate() -> None:
    while not (place / "gate").exists():
        time.sleep(0.01)


@app.task(name="wait_for_a_thread_of_asyncio", pass_context=True)
async def wait_for_a_thread_of_asyncio(context: pq.JobContext) -> None:
    note(context.job.id)
    await asyncio.to_thread(watch_the_gate)


@app.task(name="wait_for_a_thread_of_anyio", pass_context=True)
async def wait_for_a_thread_of_anyio(context: pq.JobContext) -> None:
    note(context.job.id)
    await anyio.to_thread.run_sync(watch_the_gate)


if __name__ == "__main__":
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(action)s: %(message)s"))
    logging.getLogger("pq_core").addHandler(handler)
    logging.getLogger("pq_core").setLevel(logging.INFO)
    patience = float(sys.argv[2]) if len(sys.argv) > 2 else None
    app.run_worker(lease=float(sys.argv[1]), graceful_timeout=patience, concurrency=5, poll_interval=0.2)
    logging.getLogger("pq_core").info("run() has returned", extra={"action": "worker_returned"})
