"""Explores a test, and prints each schedule: run in processes of its own by test_explore."""

import asyncio
import sys

import pq_core as pq
from pq_testing.explore import Exploration
from pq_testing.explore.course import Course, schedule
from pq_testing.explore.search import run_test
from pq_testing.swap import using

app = pq.App(connector=pq.PsycopgConnector("host=/nowhere"))


@app.task(name="charge")
async def charge(order: int) -> None:
    """Wait once."""
    await asyncio.sleep(0)


with using(app) as run_jobs:

    def test() -> None:
        """Run two jobs."""
        charge.defer(order=1)
        charge.defer(order=2)
        run_jobs()
        course = run_jobs.harness.conductor.script
        assert isinstance(course, Course)
        sys.stdout.write(f"{schedule(course.choices)}\n")

    run_test(test, run_jobs.harness, Exploration(crashes=1))
