"""A trace that goes on from the request that defers a job to the run of the job, with OpenTelemetry."""

from collections.abc import Awaitable, Callable, Generator
from typing import Any

import attrs
from opentelemetry import propagate, trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import pq_core as pq
from pq_core.connector import Deferred

tracer = trace.get_tracer("pq")


def carry_trace(jobs: list[pq.NewJob]) -> Generator[list[pq.NewJob], list[Deferred], None]:
    carrier: dict[str, str] = {}
    propagate.inject(carrier)  # traceparent and tracestate, as in the headers of a request
    yield [attrs.evolve(job, metadata={**job.metadata, **carrier}) for job in jobs]


async def follow_trace(call_next: Callable[[], Awaitable[Any]], context: pq.JobContext) -> Any:
    parent = propagate.extract(context.job.metadata)
    with tracer.start_as_current_span(context.task.name, context=parent):
        return await call_next()


def follow_trace_sync(call_next: Callable[[], Any], context: pq.JobContext) -> Any:
    parent = propagate.extract(context.job.metadata)
    with tracer.start_as_current_span(context.task.name, context=parent):
        return call_next()


app = pq.App(
    connector=pq.InMemoryConnector(), middleware=[follow_trace, follow_trace_sync], defer_middleware=[carry_trace]
)


def trace_id() -> str:
    return f"{trace.get_current_span().get_span_context().trace_id:032x}"


@app.task(name="pack")
async def pack() -> str:
    await send.defer_async()  # a job that a job defers is part of the trace, too
    return trace_id()


@app.task(name="send")
def send() -> str:
    return trace_id()


# In place of a request, whose span an instrumented web framework would have begun:
request = SpanContext(trace_id=0xABC, span_id=0x1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
with trace.use_span(NonRecordingSpan(request)):
    pack.defer()
app.run_worker(wait=False)

assert app.jobs.get(1).metadata["traceparent"].startswith(f"00-{0xABC:032x}-")
assert [job.result for job in app.jobs.find()] == [f"{0xABC:032x}"] * 2
