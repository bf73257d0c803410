"""Drains jobs on a stage, by a seed, and prints every step: run in processes of its own by test_stage."""

import asyncio
import sys
from datetime import UTC, datetime

import pq_core as pq
from pq_testing.clock import Clock
from pq_testing.disturbances import Chaos
from pq_testing.swap import using

app = pq.App(connector=pq.PsycopgConnector("host=/nowhere"))


@app.task(name="charge")
async def charge(order: int) -> None:
    """Wait as often as the order says."""
    for _ in range(order):
        await asyncio.sleep(0)
    if order > 1:
        await charge.defer_async(order=order - 1)


def main(seed: int) -> None:
    """Print the steps of one drain."""
    chaos = Chaos(crash="random", reorder=True, seed=seed)
    with using(app, clock=Clock(datetime(2026, 1, 1, tzinfo=UTC)), chaos=chaos) as run_jobs:
        app.defer_many([charge.job(order=n) for n in (1, 3, 2)])
        run_jobs()
        for stage in run_jobs.harness.conductor.stages:
            for step in stage.steps:
                job = step.job and step.job.id
                sys.stdout.write(f"{step.column} {step.hand} {step.place}: {step.action} at {step.at} with {job}\n")


main(int(sys.argv[1]))
