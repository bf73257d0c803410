"""Middleware of the app around every task, and of one task around that task."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pq_core as pq

seconds: dict[str, float] = {}


async def measure(call_next: Callable[[], Awaitable[Any]], context: pq.JobContext) -> Any:
    began = time.perf_counter()
    try:
        return await call_next()
    finally:
        seconds[context.task.name] = time.perf_counter() - began


def measure_sync(call_next: Callable[[], Any], context: pq.JobContext) -> Any:
    began = time.perf_counter()
    try:
        return call_next()
    finally:
        seconds[context.task.name] = time.perf_counter() - began


app = pq.App(connector=pq.InMemoryConnector(), middleware=[measure, measure_sync])


def only_on_weekdays(call_next: Callable[[], Any], context: pq.JobContext) -> Any:
    if context.job.metadata.get("weekend"):
        return "skipped"
    return call_next()


@app.task(name="fetch")
async def fetch(page: int) -> str:
    return f"page {page}"


@app.task(name="report", middleware=[only_on_weekdays])
def report() -> str:
    return "sent"


ids = app.defer_many([fetch.job(7), report.job(), report.configure(metadata={"weekend": True}).job()])
app.run_worker(wait=False)

assert [app.jobs.get(number).result for number in ids] == ["page 7", "sent", "skipped"]
assert seconds.keys() == {"fetch", "report"}
