"""Workers that die, at each point or at random: what is counted, what is spared, and that every test ends."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from time import sleep
from typing import Any

import anyio.to_thread
import attrs
import pytest

import pq_core as pq
from pq_testing import RunJobs
from pq_testing.chaos.conducting import staged
from pq_testing.disturbances import Chaos
from pq_testing.staged import Staged
from pq_testing.swap import using

Test = Callable[[RunJobs], None]


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.PsycopgConnector("host=/nowhere"))


def conductor_of(run_jobs: RunJobs) -> Staged:
    conductor = run_jobs.harness.conductor
    assert isinstance(conductor, Staged)
    return conductor


def crash_everywhere(app: pq.App, test: Test) -> list[str]:
    """Run a test as the plugin does: once to count, then once for each point; return what was done each time."""
    points, done = run(app, test, 0)
    assert done == []
    lines: list[str] = []
    for point in range(1, points + 1):
        seen, done = run(app, test, point)
        assert seen == point
        lines += done
    return lines


def run(app: pq.App, test: Test, crash_at: int) -> tuple[int, list[str]]:
    with using(app, chaos=Chaos(crash="everywhere", crash_at=crash_at)) as run_jobs:
        test(run_jobs)
        conductor = conductor_of(run_jobs)
        return conductor.points, conductor.lines


def test_everywhere_is_each_point_of_all_drains_of_a_test(app: pq.App) -> None:
    @app.task(name="charge")
    async def charge(order: int) -> None:
        await asyncio.sleep(0)

    def test(run_jobs: RunJobs) -> None:
        charge.defer(order=7)
        run_jobs()
        run_jobs()

    assert crash_everywhere(app, test) == [
        f"a worker died at point {number}: {place}"
        for number, place in enumerate(
            [
                "before heartbeat",
                "after heartbeat",
                "before fetch",
                "after fetch of charge[1](order=7)",
                "await 1 of charge[1](order=7)",
                "before finish of charge[1](order=7)",
                "after finish of charge[1](order=7)",
                "before fetch",
                "after fetch",
                "before leave",
                "after leave",
                "before heartbeat",
                "after heartbeat",
                "before fetch",
                "after fetch",
                "before leave",
                "after leave",
            ],
            start=1,
        )
    ]


def test_a_job_that_is_not_idempotent_fails_at_the_points_after_its_effect(app: pq.App) -> None:
    charged: list[int] = []

    @app.task
    async def charge(order: int) -> None:
        await asyncio.sleep(0)
        charged.append(order)
        await asyncio.sleep(0)

    def charged_once(crash_at: int) -> bool:
        charged.clear()
        run(app, lambda run_jobs: (charge.defer(7), run_jobs(), None)[-1], crash_at)
        return charged == [7]

    assert [point for point in range(1, 13) if not charged_once(point)] == [6, 7]


@pytest.mark.parametrize("inside", [False, True], ids=["the job", "a task of the job"])
def test_a_worker_that_dies_gives_back_the_threads_that_its_job_has_borrowed(app: pq.App, inside: bool) -> None:
    borrowed: list[int] = []

    @app.task(name="hash")
    async def hash_() -> None:
        borrowed.append(anyio.to_thread.current_default_thread_limiter().borrowed_tokens)
        if inside:
            async with asyncio.TaskGroup() as group:
                group.create_task(anyio.to_thread.run_sync(sleep, 0.001))
        else:
            await anyio.to_thread.run_sync(int)

    def test(run_jobs: RunJobs) -> None:
        hash_.defer()
        run_jobs()

    crash_everywhere(app, test)

    assert len(borrowed) > 10
    assert set(borrowed) == {0}


@pytest.mark.parametrize(
    "terms", [{"max_losses": 1}, {"delivery": "at_most_once"}], ids=lambda terms: next(iter(terms))
)
def test_a_job_that_one_loss_would_end_is_left_alone(app: pq.App, terms: dict[str, Any]) -> None:
    @app.task(name="once")
    async def once() -> None:
        await asyncio.sleep(0)

    def test(run_jobs: RunJobs) -> None:
        app.defer_many([attrs.evolve(once.job(), **terms)])
        assert [found.kind for found in run_jobs()] == ["succeeded"]

    lines = crash_everywhere(app, test)
    assert [line for line in lines if "of once" in line] == ["a worker died at point 4: after finish of once[1]()"]
    for seed in range(30):
        with using(app, chaos=Chaos(crash="random", seed=seed)) as run_jobs:
            test(run_jobs)


def test_crashes_at_random_never_end_a_job_and_never_the_test(app: pq.App) -> None:
    @app.task(name="work")
    async def work(n: int) -> None:
        for _ in range(n):
            await asyncio.sleep(0)

    hit = 0
    for seed in range(60):
        with using(app, chaos=Chaos(crash="random", seed=seed)) as run_jobs:
            for n in (0, 1, 20):
                work.defer(n)
            report = run_jobs()
            assert sorted(found.job.id for found in report) == [1, 2, 3], seed
            assert {found.kind for found in report} == {"succeeded"}, seed
            assert all(job.losses <= 2 for job in run_jobs.harness.jobs()), seed
            lines = conductor_of(run_jobs).lines
            hit += bool(lines)
            for before, after in pairwise(lines):
                assert "[" not in after or before.partition(": ")[2] != after.partition(": ")[2], seed
    assert hit > 45


def test_the_same_seed_crashes_at_the_same_points(app: pq.App) -> None:
    @app.task(name="work")
    async def work() -> None:
        await asyncio.sleep(0)

    def lines(seed: int) -> list[str]:
        with using(app, chaos=Chaos(crash="random", seed=seed)) as run_jobs:
            for _ in range(5):
                work.defer()
            run_jobs()
            return conductor_of(run_jobs).lines

    assert lines(3) == lines(3) != lines(4)


def test_a_crash_at_random_is_replayed_by_its_number(app: pq.App) -> None:
    @app.task(name="work")
    def work() -> None: ...

    with using(app, chaos=Chaos(crash="random", crash_at=4)) as run_jobs:
        work.defer()
        run_jobs()
        assert conductor_of(run_jobs).lines == ["a worker died at point 4: after fetch of work[1]()"]


def test_a_retry_goes_on_counting_its_attempts_over_a_crash(app: pq.App) -> None:
    attempts: list[int] = []

    @app.task(retry=pq.RetryStrategy(max_attempts=3, wait=60), pass_context=True)
    async def flaky(context: pq.JobContext) -> None:
        attempts.append(context.job.attempt)
        await asyncio.sleep(0)
        if context.job.attempt < 3:
            raise ConnectionError

    def test(run_jobs: RunJobs) -> None:
        attempts.clear()
        flaky.defer()
        run_jobs(until="1h")
        (job,) = run_jobs.harness.jobs()
        assert job.state == "succeeded"
        assert job.attempt == attempts[-1]
        assert job.attempt in (3, 4)  # a lost run spends its attempt, and never the last one
        assert attempts == sorted(set(attempts))

    assert len(crash_everywhere(app, test)) > 20


def test_no_chaos_means_no_stage() -> None:
    assert staged(Chaos()) is None
    assert staged(Chaos(redeliver=True)) is None


def test_what_a_dead_worker_left_is_closed_with_the_test(app: pq.App) -> None:
    closed: list[int] = []

    @app.task
    async def work() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(1)

    with using(app, chaos=Chaos(crash="everywhere", crash_at=5)) as run_jobs:
        work.defer()
        run_jobs()
        assert len(closed) == 1
    assert len(closed) == 2


def test_crash_and_reorder_go_together(app: pq.App) -> None:
    @app.task(name="work")
    async def work(n: int) -> None:
        await asyncio.sleep(0)

    def ended(**chaos: Any) -> list[int]:
        with using(app, chaos=Chaos(crash="random", reorder=True, **chaos)) as run_jobs:
            for n in range(4):
                work.defer(n)
            return [found.job.args["n"] for found in run_jobs()]

    orders = {tuple(ended(seed=seed)) for seed in range(10)}
    assert len(orders) > 5
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
