"""Tasks with and without options, sync and async, and one that looks at its job."""

import asyncio
from collections.abc import Callable
from typing import Any

import pq_core as pq

app = pq.App(connector=pq.InMemoryConnector())
log: list[str] = []


@app.task
def add(a: int, b: int) -> int:
    return a + b


@app.task(queue="mails", priority=5, retry=3, name="mails.send", aliases=["send_mail"])
async def send(to: str, *, subject: str = "Hello") -> None:
    await asyncio.sleep(0)
    log.append(f"{subject}, {to}")


@app.task(pass_context=True)
def report(context: pq.JobContext, day: str) -> None:
    log.append(f"{day}: run {context.job.attempt} of job {context.job.id}")


def shout(call_next: Callable[[], Any], context: pq.JobContext) -> Any:
    log.append(f"before {context.job.task}")
    return call_next()


@app.task(middleware=[shout])
def whisper() -> None:
    log.append("psst")


assert add(3, 5) == 8  # a call is a call

add_id = add.defer(3, 5)
send.defer("Ada", subject="Good morning")
report.defer("Monday")
whisper.defer()

app.run_worker(wait=False)

assert app.jobs.get(add_id).result == 8
print(*log, sep="\n")
assert sorted(log) == sorted(["Good morning, Ada", "Monday: run 1 of job 3", f"before {whisper.name}", "psst"])
