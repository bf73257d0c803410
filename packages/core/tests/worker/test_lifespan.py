"""What surrounds the life of a worker."""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
import pytest

import pq_core as pq

pytestmark = pytest.mark.anyio
Drain = Callable[..., Awaitable[None]]
Until = Callable[[Callable[[], object]], Awaitable[None]]


@pytest.fixture
def steps() -> list[str]:
    return []


@pytest.fixture(params=["async", "sync"])
def app(request: pytest.FixtureRequest, troubled: Any, steps: list[str]) -> pq.App:
    """An app whose workers write down their steps."""

    @contextmanager
    def around(worker: pq.Worker) -> Iterator[dict[str, str]]:
        steps.append(f"enter {worker.settings.name}")
        try:
            yield {"model": "loaded"}
        except BaseException as error:
            steps.append(type(error).__name__)
            raise
        finally:
            steps.append("leave")

    @asynccontextmanager
    async def around_async(worker: pq.Worker) -> AsyncIterator[dict[str, str]]:
        with around(worker) as state:
            async with anyio.create_task_group() as group:  # it must be entered and left in one task
                group.start_soon(anyio.sleep_forever)
                yield state
                group.cancel_scope.cancel()

    async def note(verb: str, *_: Any) -> None:
        steps.append(verb)

    for verb in ("fetch", "finish", "leave"):
        troubled.before[verb] = lambda *_, verb=verb: note(verb)
    return pq.App(connector=troubled, worker_lifespan=around_async if request.param == "async" else around)


async def test_it_is_entered_before_the_first_fetch_and_left_after_the_worker_has_signed_off(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, steps: list[str]
) -> None:
    @app.task(pass_context=True)
    async def ask(context: pq.JobContext) -> str:
        return str(context.state["model"])

    @app.task(pass_context=True)
    def ask_in_a_thread(context: pq.JobContext) -> str:
        return str(context.state["model"])

    numbers = [ask.defer(), ask_in_a_thread.defer()]
    await drain(name="w")
    assert steps[:2] == ["enter w", "fetch"]
    assert steps[-2:] == ["leave", "leave"]  # the store's verb, then the lifespan's end
    assert "finish" in steps
    assert [memory.jobs[number].result for number in numbers] == ["loaded", "loaded"]


async def test_it_is_left_after_the_outcomes_of_jobs_that_were_told_to_stop_are_written(
    app: pq.App, memory: pq.InMemoryConnector, running: Any, until: Until, steps: list[str]
) -> None:
    started = anyio.Event()

    @app.task
    async def wait() -> None:
        started.set()
        await anyio.sleep_forever()

    number = wait.defer()
    async with running(graceful_timeout=0):
        await started.wait()
    assert memory.jobs[number].state == "ready"
    assert steps[-2:] == ["leave", "leave"]
    assert steps.index("finish") < len(steps) - 2


async def test_a_worker_told_to_stop_beforehand_claims_nothing_and_leaves_in_order(
    app: pq.App, steps: list[str]
) -> None:
    worker = pq.Worker(app, install_signal_handlers=False)
    worker.stop()
    with anyio.fail_after(5):
        await worker.run_async()
    assert "fetch" not in steps
    assert steps[0] == "enter worker"
    assert steps[-1] == "leave"


async def test_a_worker_that_cannot_use_the_store_leaves_it_and_says_why(
    app: pq.App, troubled: Any, steps: list[str]
) -> None:
    troubled.faults["heartbeat"] = [pq.SchemaMissing("not installed")]
    with pytest.raises(pq.SchemaMissing, match="not installed"), anyio.fail_after(5):
        await pq.Worker(app, install_signal_handlers=False).run_async()
    assert steps == ["enter worker", "leave"]


async def test_a_lifespan_that_cannot_begin_ends_the_worker_with_its_own_error(troubled: Any) -> None:
    @asynccontextmanager
    async def around(worker: pq.Worker) -> AsyncIterator[None]:
        raise FileNotFoundError("model.bin")
        yield

    with pytest.raises(FileNotFoundError, match=r"model\.bin"):
        await pq.Worker(pq.App(connector=troubled, worker_lifespan=around)).run_async()
    assert troubled.calls["heartbeat"] == []


async def test_each_run_of_a_worker_has_a_lifespan_of_its_own(app: pq.App, drain: Drain, steps: list[str]) -> None:
    worker = pq.Worker(app, wait=False, install_signal_handlers=False)
    with anyio.fail_after(5):
        await worker.run_async()
        await worker.run_async()
    assert steps.count("enter worker") == 2


async def test_a_second_signal_cuts_off_a_lifespan_that_does_not_end(troubled: Any, until: Until) -> None:
    entered = threading.Event()

    @asynccontextmanager
    async def around(worker: pq.Worker) -> AsyncIterator[None]:
        entered.set()
        await anyio.sleep_forever()
        yield

    worker = pq.Worker(pq.App(connector=troubled, worker_lifespan=around))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(worker.run_async)
            await until(entered.is_set)
            signal.raise_signal(signal.SIGTERM)
            await until(lambda: worker._stop_request.made)
            signal.raise_signal(signal.SIGTERM)


async def _no_manager(worker: Any) -> None: ...


def _generator(worker: Any) -> Iterator[None]:
    yield


async def _async_generator(worker: Any) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("lifespan", [_no_manager, _generator, _async_generator, 5])
def test_what_makes_no_context_manager_is_refused_where_it_is_given(
    memory: pq.InMemoryConnector, lifespan: Any
) -> None:
    with pytest.raises(pq.InvalidOption, match=r"worker_lifespan .* contextlib\.asynccontextmanager"):
        pq.App(connector=memory, worker_lifespan=lifespan)


async def test_a_function_that_returns_no_context_manager_is_told_so(memory: pq.InMemoryConnector) -> None:
    app = pq.App(connector=memory, worker_lifespan=lambda worker: "state")  # type: ignore[arg-type, return-value]
    with pytest.raises(pq.InvalidOption, match="returned 'state', which is no context manager"):
        await pq.Worker(app, wait=False).run_async()
