"""Other legal orders: drawn from a seed, and never one that the queue's rules forbid."""

import asyncio

import pytest

import pq_core as pq
from pq_testing.disturbances import Chaos
from pq_testing.staged import Staged
from pq_testing.swap import using

USUAL = list(range(6))


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.PsycopgConnector("host=/nowhere"))


@pytest.fixture
def begun(app: pq.App) -> list[int]:
    """Give the jobs in the order in which they began: the app's task `work` writes it."""
    begun: list[int] = []

    @app.task(name="work")
    async def work(n: int) -> None:
        begun.append(n)
        await asyncio.sleep(0)

    return begun


def drain(app: pq.App, begun: list[int], seed: int, **options: str) -> list[int]:
    begun.clear()
    with using(app, chaos=Chaos(reorder=True, seed=seed)) as run_jobs:
        for n in USUAL:
            app.configure_task("work", **options).defer(n=n)
        run_jobs()
    return list(begun)


def test_jobs_begin_in_other_orders_than_the_usual_one(app: pq.App, begun: list[int]) -> None:
    orders = [drain(app, begun, seed) for seed in range(20)]

    assert all(sorted(order) == USUAL for order in orders)
    assert len({tuple(order) for order in orders}) > 10


def test_the_same_seed_gives_the_same_order(app: pq.App, begun: list[int]) -> None:
    assert drain(app, begun, 5) == drain(app, begun, 5)


def test_jobs_of_one_lock_keep_their_order(app: pq.App, begun: list[int]) -> None:
    for seed in range(10):
        assert drain(app, begun, seed, lock="one") == USUAL, seed


def test_jobs_are_not_stopped_inside(app: pq.App) -> None:
    seen: list[str] = []

    @app.task
    async def work(name: str) -> None:
        seen.append(f"{name} begins")
        await asyncio.sleep(0)
        seen.append(f"{name} ends")

    for seed in range(10):
        seen.clear()
        with using(app, chaos=Chaos(reorder=True, seed=seed)) as run_jobs:
            work.defer("a")
            work.defer("b")
            run_jobs()
        assert [line.split()[0] for line in seen] in (list("aabb"), list("bbaa")), seed


def test_a_limit_of_jobs_holds(app: pq.App, begun: list[int]) -> None:
    for seed in range(10):
        begun.clear()
        with using(app, chaos=Chaos(reorder=True, seed=seed)) as run_jobs:
            for n in USUAL:
                app.configure_task("work").defer(n=n)
            assert len(run_jobs(limit=2)) == 2
        assert len(begun) == 2, seed


def test_the_order_is_told(app: pq.App) -> None:
    @app.task(name="work")
    def work(n: int) -> None: ...

    with using(app, chaos=Chaos(reorder=True, seed=1)) as run_jobs:
        work.defer(1)
        work.defer(2)
        run_jobs()
        conductor = run_jobs.harness.conductor
    assert isinstance(conductor, Staged)
    assert sorted(line.partition(" ")[2].partition(" ")[2] for line in conductor.lines) == [
        "ends work[1](n=1)",
        "ends work[2](n=2)",
        "runs work[1](n=1)",
        "runs work[2](n=2)",
    ]
