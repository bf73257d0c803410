"""Runs that take too long: an async one is cancelled, a sync one told."""

import asyncio
import time

import pq_core as pq

app = pq.App(connector=pq.InMemoryConnector())


@app.task(timeout=0.05, retry=pq.RetryStrategy(max_attempts=2, retry_exceptions=TimeoutError))
async def ask_elsewhere() -> str:
    await asyncio.sleep(3600)
    return "never said"


@app.task(timeout={"milliseconds": 50}, pass_context=True)
def count_all(context: pq.JobContext) -> str | None:
    while not context.should_stop():
        time.sleep(0.001)  # the work
    return context.stop_reason  # "timeout"; or "cancel", or "shutdown"


@app.task(timeout=0.05)
def never_ask() -> str:
    time.sleep(0.1)
    return "all of it"


asked, counted, stubborn = app.defer_many([ask_elsewhere.job(), count_all.job(), never_ask.job()])
app.run_worker(wait=False)

job = app.jobs.get(asked)
assert (job.state, job.attempt) == (pq.State.FAILED, 2)
assert {error["type"] for error in job.errors} == {"pq_core.errors.TaskTimedOut"}
job = app.jobs.get(counted)
assert (job.state, job.errors[0]["type"]) == (pq.State.FAILED, "pq_core.errors.TaskTimedOut")
# Nobody can end a thread: the task has done its work, so its result stands. The log says how late it was.
assert app.jobs.get(stubborn).result == "all of it"
