"""Hands on a stage: who goes on, who dies, what is left of the dead, and that all of it repeats."""

import asyncio
import gc
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest
import trio

import pq_core as pq
from pq_testing import RunJobs, own_loop
from pq_testing.errors import DrainError
from pq_testing.script import Action, Cue, Point, Scene, Script, Step, UsualOrder, usual
from pq_testing.staged import Staged
from pq_testing.swap import using


class At(Script):
    """Does something at some points, counted from 1, and goes on as usual at all others."""

    def __init__(self, actions: dict[int, Action]) -> None:
        self.actions = actions
        self.count = 0

    def cue(self, points: Sequence[Point], scene: Scene) -> Cue:
        self.count += 1
        return Cue(usual(points, scene), self.actions.get(self.count, "go on"))


class Drawn(Script):
    def __init__(self, seed: int) -> None:
        self.draw = Random(seed)

    def cue(self, points: Sequence[Point], scene: Scene) -> Cue:
        return Cue(self.draw.choice(points))


class Turns(Script):
    """Lets the hand go on that has not gone on for longest."""

    def cue(self, points: Sequence[Point], scene: Scene) -> Cue:
        latest = {step.column: number for number, step in enumerate(scene.steps)}
        return Cue(min(points, key=lambda point: latest.get(point.column, -1)))


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.PsycopgConnector("host=/nowhere"))


@pytest.fixture
def staged(app: pq.App) -> Iterator[Callable[..., tuple[RunJobs, Staged]]]:
    """Give a function from a script to what runs jobs by it; close what it leaves at the end."""
    left: list[Any] = []

    def put(script: Any, workers: int = 1) -> tuple[RunJobs, Staged]:
        conductor = Staged(script, workers=workers)
        context = using(app, conductor=conductor)
        left.append((context, conductor))
        return context.__enter__(), conductor

    yield put
    for context, conductor in left:
        conductor.close()
        context.__exit__(None, None, None)
    assert own_loop.settle() == []


def places(conductor: Staged, stage: int = 0) -> list[str]:
    return [f"{step.column + 1}: {step.place}" for step in conductor.stages[stage].steps]


def test_a_hand_stops_before_and_after_each_call_and_after_each_await_of_an_async_job(
    app: pq.App, staged: Callable[..., Any]
) -> None:
    run_jobs, conductor = staged(UsualOrder())

    @app.task(name="twice")
    async def twice() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    twice.defer()
    run_jobs()

    assert places(conductor) == [
        "1: before heartbeat",
        "1: after heartbeat",
        "1: before fetch",
        "1: after fetch",
        "1: await 1 of twice",
        "1: await 2 of twice",
        "1: before finish",
        "1: after finish",
        "1: before fetch",
        "1: after fetch",
        "1: before leave",
        "1: after leave",
    ]


def test_a_sync_job_has_no_points_inside(app: pq.App, staged: Callable[..., Any]) -> None:
    run_jobs, conductor = staged(UsualOrder())

    @app.task(name="sync")
    def sync() -> None:
        asyncio.run(asyncio.sleep(0))

    sync.defer()
    run_jobs()

    assert not any("await" in place for place in places(conductor))


def test_jobs_of_two_hands_are_mixed_as_the_script_says(app: pq.App, staged: Callable[..., Any]) -> None:
    seen: list[str] = []

    @app.task
    async def work(name: str) -> None:
        for n in range(3):
            seen.append(f"{name}{n}")
            await asyncio.sleep(0)

    run_jobs, _ = staged(Turns(), 2)
    work.defer("a")
    work.defer("b")
    run_jobs()
    assert seen == ["a0", "b0", "a1", "b1", "a2", "b2"]

    seen.clear()
    run_jobs, _ = staged(UsualOrder(), 2)
    work.defer("a")
    work.defer("b")
    run_jobs()
    assert seen == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_a_worker_that_dies_leaves_its_job_as_it_was_until_the_stage_is_closed(
    app: pq.App, staged: Callable[..., Any]
) -> None:
    seen: list[str] = []

    @app.task(name="work")
    async def work() -> None:
        seen.append("begins")
        try:
            await asyncio.sleep(0)
            seen.append("ends")
        finally:
            seen.append("tidies up")

    run_jobs, conductor = staged(At({5: "crash"}))
    work.defer()
    report = run_jobs()

    assert seen == ["begins", "begins", "ends", "tidies up"]
    assert [(run.kind, run.hand, run.job.attempt, run.job.losses) for run in report] == [("succeeded", 2, 2, 1)]
    assert [error["type"] for error in report.runs[0].job.errors] == ["WorkerLost"]

    conductor.close()
    assert seen == ["begins", "begins", "ends", "tidies up", "tidies up"]


@pytest.mark.parametrize("point, runs", [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2), (7, 1), (8, 1)])
def test_wherever_a_worker_dies_the_job_is_done(point: int, runs: int, app: pq.App, staged: Callable[..., Any]) -> None:
    begun: list[int] = []

    @app.task
    async def work() -> None:
        begun.append(1)
        await asyncio.sleep(0)

    run_jobs, _ = staged(At({point: "crash"}))
    work.defer()
    report = run_jobs()

    assert len(begun) == runs
    assert [run.kind for run in report] == ["succeeded"]


def test_a_timeout_does_not_wake_a_dead_worker(app: pq.App, staged: Callable[..., Any]) -> None:
    seen: list[str] = []

    @app.task
    async def first() -> None:
        try:
            async with asyncio.timeout(0.02):
                await asyncio.sleep(0)
                seen.append("first goes on")
        except TimeoutError:
            seen.append("first timed out")
        finally:
            seen.append("first tidies up")

    @app.task
    async def second() -> None:
        await asyncio.sleep(0.05)

    run_jobs, _ = staged(At({5: "crash"}))
    app.defer_many([attrs.evolve(first.job(), max_losses=1)])
    second.defer()
    run_jobs(on_error="record")

    assert seen == []


def test_the_tasks_that_a_job_has_started_stop_with_its_worker(app: pq.App, staged: Callable[..., Any]) -> None:
    seen: list[int] = []

    async def tick() -> None:
        for n in range(1000):
            seen.append(n)
            await asyncio.sleep(0)

    @app.task
    async def work() -> None:
        child = asyncio.create_task(tick())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        child.cancel()

    run_jobs, conductor = staged(At({5: "crash"}))
    app.defer_many([attrs.evolve(work.job(), max_losses=1)])
    run_jobs(on_error="record")
    assert 0 < len(seen) < 5

    conductor.close()
    assert own_loop.settle() == []


@pytest.mark.parametrize("in_a_loop", [False, True])
def test_what_is_closed_at_the_end_tells_nobody(
    in_a_loop: bool, app: pq.App, staged: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[BaseException] = []

    class Asks(pq.BaseRetryStrategy):
        def get_retry_decision(self, *, exception: BaseException, job: pq.Job) -> None:
            asked.append(exception)

    @app.task(retry=Asks())
    async def work() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)

    run_jobs, conductor = staged(At({5: "crash"}))
    work.defer()
    run_jobs()
    caplog.clear()
    before = run_jobs.connector.jobs
    if in_a_loop:

        async def close() -> None:
            conductor.close()

        asyncio.run(close())
    conductor.close()
    gc.collect()

    assert asked == []
    assert caplog.records == []
    assert run_jobs.connector.jobs == before


def test_a_worker_whose_lease_lapses_goes_on_and_its_outcome_is_lost(app: pq.App, staged: Callable[..., Any]) -> None:
    seen: list[int] = []

    @app.task(pass_context=True)
    async def work(context: pq.JobContext) -> None:
        seen.append(context.job.attempt)
        await asyncio.sleep(0)

    run_jobs, _ = staged(At({5: "lapse"}), 2)
    work.defer()
    report = run_jobs()

    assert seen == [1, 2]
    assert [(run.job.attempt, run.written) for run in report] == [(1, False), (2, True)]


def test_a_job_that_waits_for_something_real_is_not_waited_for(app: pq.App, staged: Callable[..., Any]) -> None:
    seen: list[str] = []

    @app.task
    async def sleeps() -> None:
        await asyncio.sleep(0.02)
        seen.append("has slept")

    @app.task
    async def works() -> None:
        await asyncio.sleep(0)
        seen.append("has worked")

    run_jobs, _ = staged(UsualOrder(), 2)
    sleeps.defer()
    works.defer()
    run_jobs()

    assert seen == ["has worked", "has slept"]


def test_a_hand_without_work_looks_again_when_a_job_has_ended(app: pq.App, staged: Callable[..., Any]) -> None:
    @app.task(name="parent")
    def parent() -> None:
        app.defer_many([child.job(), child.job()])

    @app.task(name="child")
    async def child() -> None:
        await asyncio.sleep(0)

    run_jobs, _ = staged(Turns(), 2)
    parent.defer()
    report = run_jobs()

    assert report.names == ["parent", "child", "child"]
    assert {run.hand for run in report.runs[1:]} == {1, 2}


class LooksTooEarly(Script):
    """Lets worker 2 look for work before worker 1 defers some, and rest after it."""

    def __init__(self) -> None:
        self.deferred = False

    def cue(self, points: Sequence[Point], scene: Scene) -> Cue:
        one, two = points[0], points[-1]
        looks = one.job is not None and two.place in ("before heartbeat", "after heartbeat", "before fetch")
        return Cue(two if looks or self.deferred else one)


def test_a_hand_does_not_rest_on_what_it_heard_before_a_job_was_deferred(
    app: pq.App, staged: Callable[..., Any]
) -> None:
    @app.task(name="parent")
    async def parent() -> None:
        await child.defer_async()
        script.deferred = True
        await asyncio.sleep(0)
        await asyncio.sleep(2)

    @app.task(name="child")
    def child() -> None: ...

    script = LooksTooEarly()
    run_jobs, _ = staged(script, 2)
    start = run_jobs.clock.now()
    parent.defer()
    report = run_jobs(until="1h")

    assert [(run.task, run.started_at - start) for run in report] == [
        ("child", timedelta(0)),
        ("parent", timedelta(0)),
    ]


def test_time_jumps_when_no_hand_has_work(app: pq.App, staged: Callable[..., Any]) -> None:
    @app.task
    def work() -> None: ...

    run_jobs, _ = staged(UsualOrder(), 2)
    start = run_jobs.clock.now()
    work.configure(schedule_in={"hours": 1}).defer()

    assert len(run_jobs()) == 0
    (run,) = run_jobs(until="2h")
    assert run.started_at == start + timedelta(hours=1)
    assert run_jobs.clock.now() == start + timedelta(hours=2)


def test_workers_that_wait_for_each_other_are_told_of(app: pq.App, staged: Callable[..., Any]) -> None:
    never = asyncio.Event()

    @app.task(name="waits")
    async def waits() -> None:
        await never.wait()

    run_jobs, _ = staged(UsualOrder())
    waits.defer()
    with pytest.raises(DrainError, match="worker 1 after 'after fetch' waits for something that nobody"):
        run_jobs()


def test_a_timer_of_a_dead_worker_is_nothing_to_wait_for(app: pq.App, staged: Callable[..., Any]) -> None:
    never = asyncio.Event()

    @app.task
    async def dies() -> None:
        async with asyncio.timeout(3600):
            await asyncio.sleep(0)

    @app.task
    async def waits() -> None:
        await never.wait()

    run_jobs, _ = staged(At({5: "crash"}))
    app.defer_many([attrs.evolve(dies.job(), max_losses=1), waits.job()])
    with pytest.raises(DrainError, match="waits for something that nobody"):
        run_jobs(on_error="record")


def test_what_a_script_raises_ends_the_drain_and_every_hand(app: pq.App, staged: Callable[..., Any]) -> None:
    class Forgetful(Script):
        def cue(self, points: Sequence[Point], scene: Scene) -> Cue:
            if len(scene.steps) == 7:
                raise LookupError("lost the thread")
            return Cue(points[-1])

    @app.task
    async def work() -> None:
        await asyncio.sleep(0)

    run_jobs, _ = staged(Forgetful(), 2)
    work.defer()
    with pytest.raises(LookupError, match="lost the thread"):
        run_jobs()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_under_any_event_loop_the_steps_are_the_same(backend: str, app: pq.App, staged: Callable[..., Any]) -> None:
    @app.task(name="work")
    async def work(n: int) -> None:
        for _ in range(n):
            await anyio.lowlevel.checkpoint()

    def drain(run_it: Callable[[RunJobs], None]) -> list[str]:
        run_jobs, conductor = staged(At({17: "crash", 3: "crash"}), 2)
        for n in range(3):
            work.defer(n)
        run_it(run_jobs)
        steps = places(conductor)
        conductor.close()
        return steps

    assert drain(lambda run_jobs: anyio.run(run_jobs.run_async, backend=backend)) == drain(lambda run_jobs: run_jobs())


def test_a_drain_that_is_cancelled_leaves_no_task(app: pq.App, staged: Callable[..., Any]) -> None:
    @app.task
    async def work() -> None:
        await asyncio.sleep(3600)

    run_jobs, _ = staged(UsualOrder(), 2)
    work.defer()

    async def test() -> set[Any]:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run_jobs.run_async(), 0.01)
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(test()) == set()


def test_a_drain_that_is_cancelled_under_trio_ends(app: pq.App, staged: Callable[..., Any]) -> None:
    @app.task
    async def work() -> None:
        await trio.sleep(3600)

    run_jobs, _ = staged(UsualOrder(), 2)
    work.defer()

    async def test() -> bool:
        with trio.move_on_after(0.01) as scope:
            await run_jobs.run_async()
        return scope.cancelled_caught

    assert trio.run(test)


PROGRAM = Path(__file__).with_name("staged_program.py")


def test_the_same_seed_gives_the_same_steps_in_every_process() -> None:
    def trace(hash_seed: int) -> str:
        done = subprocess.run(
            [sys.executable, str(PROGRAM), "11"],
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
            env={"PYTHONHASHSEED": str(hash_seed), "PATH": ""},
        )
        return done.stdout

    first = trace(1)
    assert first.count("\n") > 50
    assert "crash" in first
    assert first == trace(2) == trace(1)


def test_the_same_seed_gives_the_same_steps_again(app: pq.App, staged: Callable[..., Any]) -> None:
    @app.task(name="work")
    async def work(n: int) -> None:
        for _ in range(n):
            await asyncio.sleep(0)

    def drain(seed: int) -> list[Step]:
        run_jobs, conductor = staged(Drawn(seed), 3)
        for n in range(4):
            work.defer(n)
        run_jobs()
        return places(conductor)

    assert drain(1) == drain(1)
    assert drain(1) != drain(2)
