"""What surrounds jobs and workers in production surrounds them in tests: hooks, lifespans, middleware of defer."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import pytest

import pq_core as pq
from pq_core import events
from pq_core.defer_middleware import Passage
from pq_testing import RunJobs, RunOnceWorker
from pq_testing.swap import using


def test_hooks_are_told_of_the_jobs_of_a_drain_and_of_one_performed_alone() -> None:
    app = pq.App(connector=pq.InMemoryConnector())
    told: list[Any] = []
    app.on(events.JobEvent)(told.append)

    @app.task(name="fail")
    def fail() -> None:
        raise ValueError("no")

    with using(app) as run_jobs:
        fail.defer()
        report = run_jobs(on_error="record")
        report.failed[0].error  # noqa: B018 - the test has seen it
        run_jobs.perform(fail.job())
    assert [type(each).__name__ for each in told] == ["JobStarted", "JobFailed"] * 2
    assert [str(each.error) for each in told if isinstance(each, events.JobFailed)] == ["no", "no"]


RUNS: list[Callable[[RunJobs, Any], object]] = [
    lambda run_jobs, task: run_jobs(),
    lambda run_jobs, task: run_jobs(workers=2),
    lambda run_jobs, task: run_jobs(on_error="record"),
    lambda run_jobs, task: run_jobs.perform(task.job()),
    lambda run_jobs, task: asyncio.run(run_jobs.run_async()),
]


@pytest.mark.parametrize("run", RUNS)
def test_an_error_of_a_hook_reaches_the_test_and_the_job_has_succeeded_all_the_same(
    run: Callable[[RunJobs, Any], object],
) -> None:
    app = pq.App(connector=pq.InMemoryConnector())

    @app.on(events.JobSucceeded)
    def break_down(event: events.JobSucceeded) -> None:
        raise LookupError("the hook")

    @app.task(name="task")
    def task() -> None: ...

    with using(app) as run_jobs:
        task.defer()
        with pytest.raises(LookupError, match="the hook"):
            run(run_jobs, task)
        assert [job.state for job in run_jobs.deferred][:1] in (["succeeded"], ["ready"])


@pytest.fixture
def steps() -> list[str]:
    return []


@pytest.fixture(params=["async", "sync"])
def app(request: pytest.FixtureRequest, steps: list[str]) -> pq.App:
    @contextmanager
    def around(worker: pq.Worker) -> Iterator[str]:
        steps.append(f"enter {worker.settings.name}")
        yield "the state"
        steps.append("leave")

    @asynccontextmanager
    async def around_async(worker: pq.Worker) -> AsyncIterator[str]:
        await asyncio.sleep(0)
        with around(worker) as state:
            yield state

    chosen: Any = around if request.param == "sync" else around_async
    app = pq.App(connector=pq.InMemoryConnector(), worker_lifespan=chosen)

    @app.task(name="ask", pass_context=True)
    async def ask(context: pq.JobContext) -> Any:
        steps.append("run")
        return context.state

    return app


def test_a_drain_lives_as_a_worker_does(app: pq.App, steps: list[str]) -> None:
    with using(app) as run_jobs:
        app.tasks["ask"].defer()
        assert [run.result for run in run_jobs().succeeded] == ["the state"]
        app.tasks["ask"].defer()
        assert [run.result for run in run_jobs(until="1h", workers=2).succeeded] == ["the state"]
    assert steps == ["enter run_jobs", "run", "leave"] * 2


def test_a_test_may_give_the_state_itself_and_then_nothing_else_is_entered(app: pq.App, steps: list[str]) -> None:
    with using(app) as run_jobs:
        for state in ("a fake", None):
            app.tasks["ask"].defer()
            assert [run.result for run in run_jobs(state=state).succeeded] == [state]
    assert steps == ["run", "run"]


def test_a_job_performed_alone_has_the_state_too_and_so_may_a_context(app: pq.App, steps: list[str]) -> None:
    ask = app.tasks["ask"]
    with using(app) as run_jobs:
        assert run_jobs.perform(ask.job()).result == '"the state"'
        assert run_jobs.perform(ask.job(), state="a fake").result == '"a fake"'
        assert run_jobs.context(ask, state="a fake").state == "a fake"
        assert run_jobs.context(ask).state is None
    assert steps == ["enter run_jobs", "run", "leave", "run"]


def test_a_run_once_worker_has_its_lifespan(app: pq.App, steps: list[str]) -> None:
    number = app.tasks["ask"].defer()
    RunOnceWorker(app).run()
    assert app.jobs.get(number).result == "the state"
    assert steps == ["enter run-once", "run", "leave"]


def test_an_error_in_a_drain_passes_through_the_lifespan() -> None:
    seen: list[type[BaseException]] = []

    @contextmanager
    def around(worker: pq.Worker) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            seen.append(type(error))
            raise

    app = pq.App(connector=pq.InMemoryConnector(), worker_lifespan=around)

    @app.task(name="stop")
    def stop() -> None:
        pytest.fail("stop here")

    with using(app) as run_jobs:
        stop.defer()
        with pytest.raises(pytest.fail.Exception, match="stop here"):
            run_jobs()
    assert seen == [pytest.fail.Exception]


def test_what_middleware_of_defer_adds_is_there_to_assert_on() -> None:
    def mark(jobs: list[pq.NewJob]) -> Passage:
        yield [attrs.evolve(job, metadata={**job.metadata, "tenant": "a"}) for job in jobs]

    app = pq.App(connector=pq.InMemoryConnector(), defer_middleware=[mark])

    @app.task(name="task")
    def task() -> None: ...

    with using(app) as run_jobs:
        task.defer()
        assert [job.metadata for job in run_jobs.deferred] == [{"tenant": "a"}]


def test_a_task_for_a_process_of_its_own_runs_in_the_tests_process() -> None:
    app = pq.App(connector=pq.InMemoryConnector())

    @app.task(name="pid", executor="process")
    def pid() -> int:
        return os.getpid()

    with using(app) as run_jobs:
        pid.defer()
        assert [run.result for run in run_jobs().succeeded] == [os.getpid()]
