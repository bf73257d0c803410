"""Hooks that are told of events, middleware around defer, and what surrounds the life of a worker."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager

import attrs

import pq_core as pq
from pq_core.connector import Deferred
from pq_core.events import JobFailed, RunEnded

seconds: dict[str, float] = {}
reported: list[str] = []
stored: list[int] = []


def for_the_tenant(jobs: list[pq.NewJob]) -> Generator[list[pq.NewJob], list[Deferred], None]:
    deferred = yield [attrs.evolve(job, metadata={**job.metadata, "tenant": "acme"}) for job in jobs]
    stored.extend(each.id for each in deferred)


@asynccontextmanager
async def lifespan(worker: pq.Worker) -> AsyncGenerator[dict[str, int]]:
    prices = {"apple": 30, "pear": 40}  # a model, a pool, a client: made once, before the first job
    yield prices
    prices.clear()  # after the last outcome is written


app = pq.App(connector=pq.InMemoryConnector(), defer_middleware=[for_the_tenant], worker_lifespan=lifespan)


@app.on(JobFailed)
def report(event: JobFailed) -> None:
    # Here an error tracker would be given event.error, which is the exception itself.
    reported.append(f"{event.job.task} failed after {event.job.attempt} runs: {event.error!r}")


@app.on(RunEnded)
def measure(event: RunEnded) -> None:
    seconds[event.job.task] = seconds.get(event.job.task, 0.0) + event.seconds


@app.task(name="price", pass_context=True)
async def price(context: pq.JobContext, fruit: str) -> int:
    return int(context.state[fruit])


@app.task(name="charge", retry=2)
def charge() -> None:
    raise ConnectionError("no bank answers")


apple = price.defer("apple")
charge.batch_defer([{}])
app.run_worker(wait=False)

assert app.jobs.get(apple).result == 30
assert app.jobs.get(apple).metadata == {"tenant": "acme"}
assert stored == [1, 2]
assert reported == ["charge failed after 2 runs: ConnectionError('no bank answers')"]
assert seconds.keys() == {"price", "charge"}
