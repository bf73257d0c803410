"""Exploration: what is wrong on some schedule is found, and what is right is right on all of them."""

import asyncio
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

import pq_core as pq
from pq_core.connector import Fetched
from pq_core.errors import InvalidOption
from pq_core.outcome import Outcome
from pq_core.states import State
from pq_testing import RunJobs, pq_explore
from pq_testing.clock import Clock
from pq_testing.disturbances import Chaos
from pq_testing.errors import WrongBackend
from pq_testing.explore import Exploration
from pq_testing.explore.course import NotDeterministic
from pq_testing.explore.search import Explored, run_test
from pq_testing.explore.sleep import Sleep
from pq_testing.script import Cue, Point, Scene, Script
from pq_testing.staged import Staged
from pq_testing.swap import using

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.PsycopgConnector("host=/nowhere"))


def explore(app: pq.App, test: Callable[[RunJobs], object], connector: type[Any] | None = None, **options: Any) -> Any:
    """Explore a test of jobs in memory; return what was explored."""
    clock = Clock(START)
    store = None if connector is None else connector(clock=clock.now)
    with using(app, clock=clock, connector=store) as run_jobs:
        return run_test(lambda: test(run_jobs), run_jobs.harness, Exploration(**options))


def notes(found: pytest.ExceptionInfo[BaseException]) -> str:
    return "\n".join(found.value.__notes__)


def deposits(app: pq.App, **options: Any) -> Callable[[RunJobs], None]:
    """Return a test of two jobs that read, wait and write."""
    balance = 0

    @app.task(name="deposit")
    async def deposit(amount: int) -> None:
        nonlocal balance
        seen = balance
        await asyncio.sleep(0)
        balance = seen + amount

    def test(run_jobs: RunJobs) -> None:
        nonlocal balance
        balance = 0
        deposit.configure(**options).defer(amount=1)
        deposit.configure(**options).defer(amount=2)
        run_jobs()
        assert balance == 3

    return test


def test_a_race_is_found_and_shown_in_its_simplest_form(app: pq.App) -> None:
    with pytest.raises(AssertionError) as found:
        explore(app, deposits(app))

    assert notes(found) == (
        "pq_explore: schedule 3 is the first that fails, with 1 switch:\n"
        "\n"
        "time       worker 1                     worker 2\n"
        "+0:00:00   takes deposit[1](amount=1)\n"
        "           runs it to await 1\n"
        "                                        takes deposit[2](amount=2)\n"
        "                                        runs it to await 1\n"
        "                                        goes on after await 1\n"
        "                                        ends deposit[2](amount=2)\n"
        "           goes on after await 1\n"
        "           ends deposit[1](amount=1)\n"
        "\n"
        "Replay it alone: @pq_explore(replay='1.2')"
    )


@pytest.mark.parametrize("mode", ["ordered", "mutex"])
def test_a_race_that_a_lock_ends_is_on_no_schedule(app: pq.App, mode: str) -> None:
    done = explore(app, deposits(app, lock="account", lock_mode=mode))

    assert done.exhaustive
    assert done.schedules > 1


def test_a_race_that_only_a_crash_brings_out_is_found_with_one(app: pq.App) -> None:
    charged: list[int] = []

    @app.task(name="charge")
    async def charge(order: int) -> None:
        charged.append(order)
        await asyncio.sleep(0)

    def test(run_jobs: RunJobs) -> None:
        charged.clear()
        charge.defer(order=7)
        run_jobs()
        assert charged == [7]

    assert explore(app, test).exhaustive
    with pytest.raises(AssertionError) as found:
        explore(app, test, crashes=1)

    lines = [line.strip() for line in notes(found).splitlines()]
    assert lines[0].endswith("with 1 crash:")
    assert "x dies await 1, with charge[1](order=7)" in lines
    assert lines.count("takes charge[1](order=7), attempt 2") == 1
    assert lines[-1] == "Replay it alone: @pq_explore(crashes=1, replay='1.1x')"


def test_a_task_that_survives_crashes_does_so_on_every_schedule(app: pq.App) -> None:
    charged: set[int] = set()

    @app.task
    async def charge(order: int) -> None:
        await asyncio.sleep(0)
        charged.add(order)
        await asyncio.sleep(0)

    def test(run_jobs: RunJobs) -> None:
        charged.clear()
        charge.defer(order=7)
        charge.defer(order=8)
        assert len(run_jobs()) == 2
        assert charged == {7, 8}

    assert explore(app, test, crashes=1).exhaustive


class HasNoFence(pq.InMemoryConnector):
    """Writes an outcome whoever has the job meanwhile."""

    async def finish(self, outcomes: Sequence[Outcome], *, now: datetime | None = None) -> list[int]:
        store = self._engine.store
        claims = {number: record.claim for number, record in store.live.items() if record.state is State.RUNNING}
        return await super().finish(
            [attrs.evolve(each, claim=claims.get(each.job_id, each.claim)) for each in outcomes], now=now
        )


class KnowsNoLocks(pq.InMemoryConnector):
    """Runs jobs of one lock side by side."""

    async def fetch(self, worker: int, queues: Sequence[str] | None, limit: int, **options: Any) -> Fetched:
        store = self._engine.store
        for record in store.live.values():
            if record.state in (State.READY, State.BLOCKED):
                with store.changing(record):
                    record.state, record.lock = State.READY, None
        return await super().fetch(worker, queues, limit, **options)


class GivesTwice(pq.InMemoryConnector):
    """Gives a running job to whoever asks next, as a fetch does that reads before it locks."""

    async def fetch(self, worker: int, queues: Sequence[str] | None, limit: int, **options: Any) -> Fetched:
        fetched = await super().fetch(worker, queues, limit, **options)
        running = [record for record in self._engine.store.live.values() if record.state is State.RUNNING]
        if not fetched.jobs and running:
            return attrs.evolve(fetched, jobs=[running[0].as_job()])
        return fetched


def claims_are_fenced(app: pq.App) -> Callable[[RunJobs], None]:
    """Return a test of a job that must not be ended by a worker that has lost it."""

    @app.task(name="alone")
    async def alone() -> None:
        await asyncio.sleep(0)

    def test(run_jobs: RunJobs) -> None:
        alone.defer()
        report = run_jobs()
        ended = [run.job.id for run in report if run.written]
        assert ended == [1]
        claims = {job.id: job.claim for job in run_jobs.harness.jobs()}
        assert all(run.job.claim == claims[run.job.id] for run in report if run.written), "an old claim was written"

    return test


def test_a_store_that_writes_outcomes_of_lost_claims_is_found(app: pq.App) -> None:
    test = claims_are_fenced(app)

    assert explore(app, test, lapses=1).exhaustive
    with pytest.raises(AssertionError, match="an old claim was written") as found:
        explore(app, test, HasNoFence, lapses=1)
    assert "~ its lease runs out, with alone[1]()" in notes(found)


def test_a_store_that_knows_no_locks_is_found(app: pq.App) -> None:
    test = deposits(app, lock="account")

    assert explore(app, test).exhaustive
    with pytest.raises(AssertionError) as found:
        explore(app, test, KnowsNoLocks)
    assert "with 1 switch" in notes(found)


def test_a_store_that_gives_a_job_twice_is_found(app: pq.App) -> None:
    @app.task(name="work")
    async def work() -> None:
        await asyncio.sleep(0)

    def test(run_jobs: RunJobs) -> None:
        work.defer()
        assert len(run_jobs()) == 1

    assert explore(app, test).exhaustive
    with pytest.raises(AssertionError) as found:
        explore(app, test, GivesTwice)
    assert notes(found).count("takes work[1]()") == 2


def test_a_schedule_can_be_replayed_alone(app: pq.App) -> None:
    test = deposits(app)

    with pytest.raises(AssertionError) as found:
        explore(app, test, replay="1.2")
    assert "pq_explore: replayed, with 1 switch:" in notes(found)
    assert str(explore(app, test, replay="")) == "replayed one schedule"
    with pytest.raises(NotDeterministic, match="choice 2 of replay= is 2x, and what can happen there is 1 "):
        explore(app, test, replay="1.2x")


@pytest.mark.parametrize("replay", ["a", "1..2", "0", "1,2", "x", "-1"])
def test_a_text_that_is_no_schedule_is_refused(replay: str, app: pq.App) -> None:
    with pytest.raises(InvalidOption, match="is no schedule"):
        explore(app, deposits(app), replay=replay)


def walks(app: pq.App) -> tuple[Callable[[RunJobs], None], set[tuple[Any, ...]]]:
    """Return a test of jobs that write down what they do and see, and the set of all that was written."""
    seen: list[str] = []
    found: set[tuple[Any, ...]] = set()

    @app.task(name="walk", pass_context=True)
    async def walk(context: pq.JobContext) -> None:
        seen.append(f"{context.job.id} begins its attempt {context.job.attempt}")
        await asyncio.sleep(0)
        seen.append(f"{context.job.id} ends")

    @app.task(name="look", pass_context=True)
    def look(context: pq.JobContext) -> None:
        seen.extend(f"{job.id} is {job.state}" for job in app.connector.jobs.values())  # type: ignore[attr-defined]

    def test(run_jobs: RunJobs) -> None:
        seen.clear()
        walk.defer()
        look.defer()
        report = run_jobs()
        found.add((*seen, *(run.job.id for run in report)))

    return test, found


class AnythingGoes(Script):
    """Draws what happens next from all that can, and leaves nothing out."""

    def __init__(self, seed: int, crashes: int) -> None:
        self.draw = random.Random(seed)
        self.crashes = crashes

    def cue(self, points: Sequence[Point], scene: Scene) -> Cue:
        point = self.draw.choice(points)
        if self.crashes and self.draw.random() < 0.1:
            self.crashes -= 1
            return Cue(point, "crash")
        return Cue(point)


@pytest.mark.parametrize("crashes", [0, 1])
def test_what_exploration_leaves_out_shows_nothing_new(crashes: int, app: pq.App) -> None:
    test, found = walks(app)
    assert explore(app, test, crashes=crashes).exhaustive
    explored = set(found)
    assert len(explored) > 5

    found.clear()
    for seed in range(600):
        conductor = Staged(AnythingGoes(seed, crashes), workers=2)
        with using(app, conductor=conductor) as run_jobs:
            test(run_jobs)
            conductor.close()

    assert found <= explored
    assert len(found) > len(explored) / 2


@pytest.mark.parametrize("crashes", [0, 1])
def test_steps_that_touch_nothing_in_common_are_played_in_one_order_and_nothing_is_missed(
    crashes: int, app: pq.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    test, found = walks(app)
    fewer = explore(app, test, crashes=crashes)
    explored = set(found)

    found.clear()
    monkeypatch.setattr(Sleep, "holds", lambda self, cue: False)
    more = explore(app, test, crashes=crashes)

    assert fewer.exhaustive
    assert more.exhaustive
    assert found == explored
    assert fewer.schedules < more.schedules * 0.7


@pytest.mark.parametrize("shortcut", [True, False])
def test_the_failure_shown_has_the_fewest_deviations(
    shortcut: bool, app: pq.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    @app.task(pass_context=True)
    async def walk(context: pq.JobContext) -> None:
        me = f"{context.job.id}.{context.job.attempt}"
        seen.append(f"{me} begins")
        await asyncio.sleep(0)
        seen.append(f"{me} ends")

    def test(run_jobs: RunJobs) -> None:
        seen.clear()
        walk.defer()
        walk.defer()
        run_jobs()
        assert seen != ["1.1 begins", "2.1 begins", "2.1 ends", "1.1 ends", "2.2 begins", "2.2 ends"]

    if not shortcut:
        monkeypatch.setattr(Sleep, "holds", lambda self, cue: False)
    with pytest.raises(AssertionError) as found:
        explore(app, test, crashes=1)
    assert "with 1 switch, 1 crash:" in notes(found)


def test_a_test_that_fails_in_the_usual_order_is_called_once(app: pq.App) -> None:
    calls: list[RunJobs] = []

    def test(run_jobs: RunJobs) -> None:
        calls.append(run_jobs)
        raise ValueError

    with pytest.raises(ValueError) as found:  # noqa: PT011 - it says nothing
        explore(app, test)
    assert len(calls) == 1
    assert notes(found).startswith("pq_explore: schedule 1 is the first that fails, with workers that go on in their")


def test_each_schedule_is_run_once(app: pq.App) -> None:
    traces: list[tuple[Any, ...]] = []

    @app.task
    async def work() -> None:
        await asyncio.sleep(0)

    def test(run_jobs: RunJobs) -> None:
        work.defer()
        work.defer()
        run_jobs()
        (stage,) = run_jobs.harness.conductor.stages  # type: ignore[union-attr]
        traces.append(tuple((step.hand, step.place, step.action) for step in stage.steps))

    done = explore(app, test, crashes=1)
    assert done.schedules == len(set(traces)) > 100
    assert len(traces) == done.schedules


def test_a_job_that_one_loss_would_end_loses_no_worker(app: pq.App) -> None:
    @app.task
    async def once() -> None:
        await asyncio.sleep(0)

    def test(run_jobs: RunJobs) -> None:
        app.defer_many([attrs.evolve(once.job(), max_losses=1)])
        assert [run.kind for run in run_jobs()] == ["succeeded"]

    assert str(explore(app, test, crashes=1, lapses=1)) == "there is but one schedule"


def test_each_schedule_begins_alike(app: pq.App) -> None:
    begun: set[Any] = set()

    @app.task
    def work(n: int) -> None: ...

    def test(run_jobs: RunJobs) -> None:
        harness = run_jobs.harness
        begun.add((run_jobs.clock.now(), len(harness.jobs()), len(harness.ledger.runs), random.random()))
        work.configure(schedule_in={"hours": 1}).defer(1)
        work.defer(2)
        assert len(run_jobs(until="2h")) == 2

    assert explore(app, test, crashes=1).schedules > 3
    assert len(begun) == 1


def test_jobs_that_were_there_before_are_there_in_each_schedule(app: pq.App) -> None:
    @app.task
    def work() -> None: ...

    with using(app) as run_jobs:
        work.defer()

        def test() -> None:
            assert len(run_jobs()) == 1

        done = run_test(test, run_jobs.harness, Exploration(crashes=1))
        assert done.schedules > 1
        assert done.exhaustive


def test_a_test_that_is_not_the_same_each_time_is_refused(app: pq.App) -> None:
    calls: list[int] = []

    @app.task
    async def work() -> None:
        await asyncio.sleep(0)

    def test(run_jobs: RunJobs) -> None:
        calls.append(1)
        for _ in range(1 + len(calls) % 2):
            work.defer()
        run_jobs()

    with pytest.raises(NotDeterministic, match="something in it is left over from the call before"):
        explore(app, test)


def test_a_limit_ends_the_search_and_what_is_left_is_told(app: pq.App) -> None:
    @app.task
    async def work() -> None:
        await asyncio.sleep(0)

    def test(run_jobs: RunJobs) -> None:
        for _ in range(4):
            work.defer()
        run_jobs()

    done = explore(app, test, max_schedules=20)
    assert done.schedules == 20
    assert not done.exhaustive
    assert str(done) == f"explored 20 of at least {20 + done.known} schedules; not exhaustive"

    done = explore(app, test, seconds=0.05)
    assert 1 <= done.schedules < 10_000
    assert not done.exhaustive


def test_jobs_that_wait_for_each_other_in_a_loop_come_to_their_end(app: pq.App) -> None:
    ready: list[int] = []

    @app.task
    async def waits() -> None:
        while not ready:  # noqa: ASYNC110 - what some jobs do
            await asyncio.sleep(0)

    @app.task
    async def comes() -> None:
        ready.append(1)

    def test(run_jobs: RunJobs) -> None:
        ready.clear()
        waits.defer()
        comes.defer()
        assert len(run_jobs()) == 2

    assert explore(app, test, max_schedules=10).schedules == 10


def test_several_drains_are_parts_of_one_schedule(app: pq.App) -> None:
    test = deposits(app)

    def twice(run_jobs: RunJobs) -> None:
        run_jobs.app.tasks["deposit"].defer(amount=0)
        run_jobs()
        test(run_jobs)

    with pytest.raises(AssertionError) as found:
        explore(app, twice)
    assert [line for line in notes(found).splitlines() if line.startswith("run_jobs()")] == [
        "run_jobs() 1",
        "run_jobs() 2",
    ]


def test_chaos_leaves_an_explored_test_alone(app: pq.App) -> None:
    runs: list[int] = []

    @app.task
    def work() -> None:
        runs.append(1)

    def test(run_jobs: RunJobs) -> None:
        runs.clear()
        work.defer()
        run_jobs()
        assert len(runs) == 1

    chaos = Chaos(redeliver=True, crash="random", reorder=True)
    with using(app, chaos=chaos) as run_jobs:
        before = run_jobs.harness.conductor
        assert run_test(lambda: test(run_jobs), run_jobs.harness, Exploration()).exhaustive
        assert run_jobs.harness.chaos is chaos
        assert run_jobs.harness.conductor is before


def test_only_jobs_in_memory_are_explored(app: pq.App) -> None:
    with (
        using(app, connector=pq.PsycopgConnector("host=/nowhere")) as run_jobs,
        pytest.raises(WrongBackend, match="which only jobs in memory allow"),
    ):
        run_test(lambda: None, run_jobs.harness, Exploration())


def test_a_skip_ends_the_search(app: pq.App) -> None:
    calls: list[int] = []

    def test(run_jobs: RunJobs) -> None:
        calls.append(1)
        pytest.skip("not today")

    with pytest.raises(pytest.skip.Exception):
        explore(app, test)
    assert len(calls) == 1


def test_the_decorator_only_leaves_a_note() -> None:
    @pq_explore
    def bare() -> None: ...

    @pq_explore(workers=3, crashes=1)
    def with_options() -> None: ...

    assert bare.pq_explore == Exploration(workers=2, crashes=0, lapses=0, max_schedules=10_000)  # type: ignore[attr-defined]
    assert with_options.pq_explore == Exploration(workers=3, crashes=1)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 0},
        {"workers": 1.5},
        {"crashes": -1},
        {"crashes": True},
        {"lapses": "1"},
        {"max_schedules": 0},
        {"seconds": 0},
        {"seconds": float("nan")},
        {"replay": 12},
        {"worker": 2},
    ],
)
def test_an_option_that_cannot_be_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption, match=next(iter(options))):
        pq_explore(**options)


def test_an_async_test_is_refused() -> None:
    async def test() -> None: ...

    with pytest.raises(InvalidOption, match="write `def` and run_jobs"):
        pq_explore(test)
    with pytest.raises(InvalidOption, match="is for a test function, not for 3"):
        pq_explore(3)  # type: ignore[call-overload]


def test_the_clock_of_a_schedule_shows_in_its_timeline(app: pq.App) -> None:
    @app.task(name="late")
    def late() -> None: ...

    def test(run_jobs: RunJobs) -> None:
        late.configure(schedule_in=timedelta(minutes=90)).defer()
        run_jobs(until="2h")
        raise LookupError

    with pytest.raises(LookupError) as found:
        explore(app, test)
    assert "+1:30:00   takes late[1]()\n           runs it\n           ends late[1]()" in notes(found)


PROGRAM = Path(__file__).with_name("explored_program.py")


def test_the_same_schedules_come_in_the_same_order_in_every_process() -> None:
    def trace(hash_seed: int) -> str:
        done = subprocess.run(
            [sys.executable, str(PROGRAM)],
            capture_output=True,
            text=True,
            check=True,
            timeout=50,
            env={"PYTHONHASHSEED": str(hash_seed), "PATH": ""},
        )
        return done.stdout

    first = trace(1)
    assert first.count("\n") > 100
    assert first == trace(2)


def test_what_was_explored_says_so() -> None:
    assert str(Explored(12_345, 0, 1.0)) == "explored all 12,345 schedules"
    assert str(Explored(1, 0, 1.0)) == "there is but one schedule"
