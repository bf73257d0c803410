"""When the worker fetches, how many, and when not."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import anyio
import attrs
import pytest

import pq_core as pq
from pq_core.connector import Fetched, WorkerInfo
from pq_core.worker import dispatcher, rooms, slots

pytestmark = pytest.mark.anyio
Until = Callable[[Callable[[], object]], Awaitable[None]]
Drain = Callable[..., Awaitable[None]]


def states(memory: pq.InMemoryConnector) -> list[str]:
    return [str(job.state) for job in memory.jobs.values()]


async def test_a_drained_worker_has_run_children_and_retries_and_written_all(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task(retry=3)
    async def child() -> None:
        if child_runs.append(1) or len(child_runs) < 3:
            raise ValueError

    @app.task
    async def parent() -> None:
        await child.defer_async()

    child_runs: list[int] = []
    parent.defer()
    await drain(listen=False, poll_interval=3600)
    assert states(memory) == ["succeeded", "succeeded"]
    assert memory.jobs[2].attempt == 3


async def test_a_drained_worker_leaves_later_jobs_alone(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    @app.task
    async def task() -> None: ...

    task.configure(schedule_in={"hours": 1}).defer()
    await drain()
    assert states(memory) == ["scheduled"]


async def test_an_ordered_lock_is_worked_off_without_news(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain
) -> None:
    order: list[int] = []

    @app.task(lock="l")
    async def task(n: int) -> None:
        order.append(n)

    task.batch_defer([{"n": n} for n in range(50)])
    await drain(listen=False, poll_interval=3600)
    assert order == list(range(50))


async def test_new_jobs_are_fetched_at_once_when_the_store_tells_of_them(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector, troubled: Any
) -> None:
    @app.task
    async def task() -> None: ...

    async with running(poll_interval=3600):
        await until(lambda: troubled.calls["fetch"])
        await task.defer_async()
        await until(lambda: states(memory) == ["succeeded"])
        thread = threading.Thread(target=task.defer)
        thread.start()
        await until(lambda: states(memory) == ["succeeded"] * 2)
        thread.join()


async def test_without_listening_the_worker_polls(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector, troubled: Any
) -> None:
    @app.task
    async def task() -> None: ...

    async with running(poll_interval=0.02, listen=False):
        await until(lambda: troubled.calls["fetch"])
        task.defer()
        await until(lambda: states(memory) == ["succeeded"])
    assert not troubled.calls["listen"]


async def test_a_scheduled_job_runs_when_it_is_due_and_not_at_the_next_poll(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector
) -> None:
    @app.task
    async def task() -> None: ...

    task.configure(schedule_in={"milliseconds": 100}).defer()
    async with running(poll_interval=3600, listen=False):
        await until(lambda: states(memory) == ["succeeded"])


@pytest.mark.parametrize("verb", ["fetch", "rescue"])
async def test_a_statement_that_is_never_answered_is_tried_again(
    app: pq.App, running: Any, until: Until, troubled: Any, monkeypatch: pytest.MonkeyPatch, *, verb: str
) -> None:
    async def hang_at_first(*_: object) -> None:
        if len(troubled.calls[verb]) == 1:
            await anyio.sleep_forever()

    monkeypatch.setattr(rooms, "LEAST_PATIENCE", 0.1)
    troubled.before[verb] = hang_at_first
    async with running(lease=0.3):
        await until(lambda: len(troubled.calls[verb]) > 1)


async def test_a_broken_listener_is_opened_again(app: pq.App, running: Any, until: Until, troubled: Any) -> None:
    troubled.faults["listen"] = [pq.ConnectionFailed("cut off"), RuntimeError("odd")]
    async with running():
        await until(lambda: len(troubled.calls["listen"]) == 3)


@pytest.mark.parametrize("fault", [pq.ConnectionFailed("away"), RuntimeError("odd"), pq.SchemaMissing("migrating")])
async def test_a_failed_fetch_is_tried_again(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, troubled: Any, fault: Exception
) -> None:
    @app.task
    async def task() -> None: ...

    task.defer()
    troubled.faults["fetch"] = [fault] * 3
    await drain()
    assert states(memory) == ["succeeded"]


async def test_jobs_of_a_fetch_whose_answer_was_lost_go_back_and_run(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, troubled: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @app.task
    async def task() -> None: ...

    task.batch_defer([{}] * 3)
    troubled.answers_lost["fetch"] = [pq.ConnectionFailed("cut off")]
    await drain()
    assert [(job.state, job.attempt, job.claim) for job in memory.jobs.values()] == [("succeeded", 1, 2)] * 3
    assert sum(record.action == "fetch_lost" for record in caplog.records) == 3


async def test_a_lost_fetch_costs_the_jobs_that_do_run_nothing(
    app: pq.App, memory: pq.InMemoryConnector, running: Any, until: Until, troubled: Any
) -> None:
    may_end = anyio.Event()

    @app.task
    async def wait() -> None:
        await may_end.wait()

    wait.defer()
    async with running(concurrency=5):
        await until(lambda: states(memory) == ["running"])
        troubled.answers_lost["fetch"] = [pq.ConnectionFailed("cut off")]
        await wait.defer_async()
        await until(lambda: states(memory) == ["running", "running"] and memory.jobs[2].claim == 2)
        may_end.set()
        await until(lambda: states(memory) == ["succeeded", "succeeded"])
    assert memory.jobs[1].claim == 1


async def test_a_lost_fetch_does_not_touch_what_other_workers_run(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, troubled: Any
) -> None:
    @app.task
    async def task() -> None: ...

    task.defer()
    await memory.heartbeat(WorkerInfo(id=1), timedelta(hours=1))
    await memory.fetch(1, None, 1)
    task.defer()
    troubled.answers_lost["fetch"] = [pq.ConnectionFailed("cut off")]
    await drain()
    assert [(job.state, job.claim) for job in memory.jobs.values()] == [("running", 1), ("succeeded", 2)]


async def test_a_lost_lease_is_taken_up_again_and_work_goes_on(
    app: pq.App, running: Any, until: Until, troubled: Any, caplog: pytest.LogCaptureFixture
) -> None:
    memory = troubled.inner

    @app.task
    async def task() -> None: ...

    async with running(lease=300):
        await until(lambda: troubled.calls["fetch"])
        await memory.leave(troubled.calls["heartbeat"][0][0].id)
        await task.defer_async()
        await until(lambda: states(memory) == ["succeeded"])
    assert any(record.action == "lease_lost" for record in caplog.records)


async def test_before_durations_are_known_only_free_slots_are_filled(
    app: pq.App, memory: pq.InMemoryConnector, running: Any, until: Until, troubled: Any
) -> None:
    @app.task
    async def forever() -> None:
        await anyio.sleep_forever()

    forever.batch_defer([{}] * 20)
    async with running(concurrency=3, graceful_timeout=0):
        await until(lambda: states(memory).count("running") == 3)
        assert {limit for _, _, limit in troubled.calls["fetch"]} == {3}


async def test_short_jobs_are_claimed_ahead_in_batches(app: pq.App, drain: Drain, troubled: Any) -> None:
    @app.task
    async def noop() -> None: ...

    noop.batch_defer([{}] * 2000)
    await drain(concurrency=10, batch=100)
    assert max(limit for _, _, limit in troubled.calls["fetch"]) == 100
    assert len(troubled.calls["fetch"]) < 40


async def test_jobs_claimed_ahead_that_cannot_start_are_given_back(
    app: pq.App, memory: pq.InMemoryConnector, running: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "LONGEST_WAIT", 0.05)

    @app.task
    async def noop() -> None: ...

    @app.task
    async def forever() -> None:
        await anyio.sleep_forever()

    noop.batch_defer([{}] * 200)
    forever.batch_defer([{}] * 100)
    async with running(concurrency=2, graceful_timeout=0):
        await until(lambda: states(memory)[200:].count("running") > 2)
        await until(lambda: states(memory)[200:].count("running") == 2)
        given_back = [job for job in memory.jobs.values() if job.claim and job.state == "ready"]
        assert given_back
        assert {job.attempt for job in given_back} == {0}


async def test_a_worker_told_to_stop_gives_back_what_has_not_started(
    app: pq.App, memory: pq.InMemoryConnector, running: Any, until: Until
) -> None:
    may_end = anyio.Event()
    started: list[int] = []

    @app.task
    async def noop() -> None: ...

    @app.task
    async def wait() -> None:
        started.append(1)
        await may_end.wait()

    noop.batch_defer([{}] * 200)
    wait.batch_defer([{}] * 100)
    async with running(concurrency=2) as worker:
        await until(lambda: len(started) == 2 and states(memory)[200:].count("running") > 2)
        worker.stop()
        await until(lambda: states(memory)[200:].count("running") == 2)
        may_end.set()
    assert states(memory)[200:] == ["succeeded"] * 2 + ["ready"] * 98


async def in_last_life(memory: pq.InMemoryConnector, task: Any) -> int:
    number = (await memory.defer([attrs.evolve(task.job(), max_losses=2)]))[0].id
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    await memory.heartbeat(WorkerInfo(id=1), timedelta(seconds=1), now=long_ago)
    await memory.fetch(1, None, 1, now=long_ago)
    await memory.rescue(now=long_ago + timedelta(seconds=2))
    assert memory.jobs[number].losses == 1
    return number


async def test_a_job_in_its_last_life_runs_alone_and_nothing_is_fetched_meanwhile(
    app: pq.App, running: Any, until: Until, troubled: Any
) -> None:
    memory = troubled.inner
    company: list[set[str]] = []
    together: set[str] = set()
    fetched_meanwhile: list[int] = []

    @app.task
    async def other() -> None:
        together.add("other")
        await anyio.sleep(0.01)
        company.append(set(together))
        together.discard("other")

    @app.task
    async def last() -> None:
        together.add("last")
        before = len(troubled.calls["fetch"])
        await other.defer_async()
        await anyio.sleep(0.2)
        fetched_meanwhile.append(len(troubled.calls["fetch"]) - before)
        company.append(set(together))
        together.discard("last")

    await in_last_life(memory, last)
    await memory.defer([other.job()] * 20)
    async with running(concurrency=5):
        await until(lambda: set(states(memory)) == {"succeeded"})
    assert {"last"} in company
    assert {"last", "other"} not in company
    assert fetched_meanwhile == [0]


async def test_a_busy_worker_makes_way_for_a_job_in_its_last_life(
    app: pq.App, memory: pq.InMemoryConnector, running: Any, until: Until
) -> None:
    stop_more = False

    @app.task
    async def spawn() -> None:
        await anyio.sleep(0.005)
        if not stop_more:
            await memory.defer([spawn.job()])

    @app.task
    async def last() -> None: ...

    for _ in range(10):
        spawn.defer()
    async with running(concurrency=5):
        await until(lambda: "succeeded" in states(memory))
        number = (await memory.defer([attrs.evolve(last.job(), max_losses=1)]))[0].id
        await until(lambda: memory.jobs[number].state == "succeeded")
        stop_more = True
        await until(lambda: set(states(memory)) == {"succeeded"})


async def test_a_worker_makes_way_for_a_while_and_not_again_soon(
    app: pq.App, memory: pq.InMemoryConnector, running: Any, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "LONGEST_HOLD", 1.0)
    may_end = anyio.Event()

    @app.task
    async def wait() -> None:
        await may_end.wait()

    @app.task
    async def other() -> None: ...

    @app.task(max_losses=1)
    async def last() -> None: ...

    wait.defer()
    async with running(concurrency=5):
        await until(lambda: states(memory) == ["running"])
        await last.defer_async()
        await other.defer_async()
        await until(lambda: states(memory).count("succeeded") == 1)
        with anyio.fail_after(5):
            for count in range(2, 12):
                await other.defer_async()
                await until(lambda count=count: states(memory).count("succeeded") == count)
        assert memory.jobs[2].state == "ready"
        may_end.set()
        await until(lambda: set(states(memory)) == {"succeeded"})


async def test_a_store_that_takes_no_outcomes_gives_no_more_jobs(
    app: pq.App, memory: pq.InMemoryConnector, running: Any, until: Until, troubled: Any
) -> None:
    ended = 0
    away = anyio.Event()

    @app.task
    async def noop() -> None:
        nonlocal ended
        ended += 1

    async def hang(*_: object) -> None:
        await away.wait()

    noop.batch_defer([{}] * 500)
    troubled.before["finish"] = hang
    async with running(concurrency=5, batch=10):
        await until(lambda: ended > 20)
        fetches = 0
        while fetches != len(troubled.calls["fetch"]):
            fetches = len(troubled.calls["fetch"])
            await anyio.sleep(0.1)
        assert ended <= 20 + 10 + 5 + 20
        away.set()
        await until(lambda: set(states(memory)) == {"succeeded"})


async def test_a_store_may_give_fewer_and_say_that_there_are_more(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, troubled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task
    async def noop() -> None: ...

    noop.batch_defer([{}] * 10)
    fetch = memory.fetch
    reluctant = iter([True, False] * 100)

    async def stingy(*args: Any, **kwargs: Any) -> Fetched:
        return Fetched(jobs=[], again=True) if next(reluctant) else await fetch(*args, **kwargs)

    monkeypatch.setattr(memory, "fetch", stingy)
    await drain(listen=False, poll_interval=3600, concurrency=2)
    assert set(states(memory)) == {"succeeded"}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # trio lets what is ready run in any order
async def test_few_jobs_start_before_the_store_is_asked_again(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []

    @app.task
    async def noop() -> None:
        events.append("job")

    noop.defer()
    fetch = memory.fetch

    async def noted(*args: Any, **kwargs: Any) -> Fetched:
        events.append("fetch")
        await anyio.sleep(0.01)  # a store takes longer than runners to begin
        fetched = await fetch(*args, **kwargs)
        return attrs.evolve(fetched, again=bool(fetched.jobs))

    monkeypatch.setattr(memory, "fetch", noted)
    await drain(listen=False, poll_interval=3600, concurrency=2)
    assert events[:3] == ["fetch", "job", "fetch"]


async def test_a_store_that_says_again_and_gives_nothing_is_not_asked_without_a_pause(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, troubled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task
    async def noop() -> None: ...

    noop.defer()
    fetch = memory.fetch
    asked = 0
    decided = anyio.Event()

    async def undecided(*args: Any, **kwargs: Any) -> Fetched:
        nonlocal asked
        asked += 1
        return await fetch(*args, **kwargs) if decided.is_set() else Fetched(jobs=[], again=True)

    async def decide() -> None:
        await anyio.sleep(0.05)
        decided.set()

    monkeypatch.setattr(memory, "fetch", undecided)
    async with anyio.create_task_group() as group:
        group.start_soon(decide)
        await drain(listen=False, poll_interval=3600)
    assert set(states(memory)) == {"succeeded"}
    assert 5 < asked < 50


async def test_a_store_that_sets_jobs_aside_is_asked_again_at_once(
    app: pq.App, memory: pq.InMemoryConnector, drain: Drain, troubled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    @app.task
    async def noop() -> None: ...

    noop.defer()
    fetch = memory.fetch
    behind_many = iter([*[Fetched(jobs=[], again=True, set_aside=1000)] * 20])

    async def slow_to_come(*args: Any, **kwargs: Any) -> Fetched:
        return next(behind_many, None) or await fetch(*args, **kwargs)

    monkeypatch.setattr(memory, "fetch", slow_to_come)
    monkeypatch.setattr(dispatcher, "SHORTEST_NAP", 3600)
    monkeypatch.setattr(dispatcher, "LONGEST_NAP", 3600)
    await drain(listen=False, poll_interval=3600)
    assert set(states(memory)) == {"succeeded"}


@pytest.mark.parametrize(
    "held", [Fetched(jobs=[], again=True), Fetched(jobs=[], again=False, next_in=0.0)], ids=["again", "overdue"]
)
async def test_the_longer_others_hold_what_is_due_the_less_often_it_is_asked_for(
    running: Any, until: Until, memory: pq.InMemoryConnector, monkeypatch: pytest.MonkeyPatch, *, held: Fetched
) -> None:
    moments: list[float] = []

    async def fetch(*_: object, **__: object) -> Fetched:
        moments.append(anyio.current_time())
        return held

    monkeypatch.setattr(memory, "fetch", fetch)
    monkeypatch.setattr(dispatcher, "LONGEST_NAP", 0.08)
    async with running(listen=False, poll_interval=3600):
        await until(lambda: len(moments) == 12)
    pauses = [after - before for before, after in pairwise(moments)]
    assert pauses[5] > 2 * dispatcher.SHORTEST_NAP
    assert all(pause > 0.07 for pause in pauses[-3:])
    assert sum(pauses) < 5


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dispatcher.Dispatcher]:
    """Give the dispatchers of workers that are run."""
    made: list[dispatcher.Dispatcher] = []

    class Caught(dispatcher.Dispatcher):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            made.append(self)

    monkeypatch.setattr(rooms, "Dispatcher", Caught)
    return made


async def test_an_idle_worker_offers_its_room_once_and_fetches_for_it(
    running: Any, until: Until, troubled: Any, made: list[dispatcher.Dispatcher]
) -> None:
    async with running(poll_interval=3600, concurrency=3):
        await until(lambda: made and made[0].offer())
        await until(lambda: made[0]._room)
        fetches = len(troubled.calls["fetch"])
        assert (made[0].offer() >= 3, made[0].offer()) == (True, 0)
        await until(lambda: len(troubled.calls["fetch"]) > fetches)
        await until(lambda: made[0]._room)


async def test_what_was_claimed_for_an_offer_is_fetched_though_the_worker_closes_and_is_given_back(
    app: pq.App, running: Any, until: Until, memory: pq.InMemoryConnector, made: list[dispatcher.Dispatcher]
) -> None:
    @app.task
    async def task() -> None: ...

    async with running(listen=False, poll_interval=3600):
        await until(lambda: made and made[0]._room)
        task.defer()
        assert made[0].offer()
        made[0].close()
        await until(lambda: memory.jobs[1].claim)
        await until(lambda: states(memory) == ["ready"])
        assert made[0].offer() == 0


async def test_no_job_is_thought_lost_that_was_claimed_for_an_offer(
    running: Any, until: Until, troubled: Any, made: list[dispatcher.Dispatcher]
) -> None:
    async with running(listen=False, poll_interval=3600):
        await until(lambda: made and made[0]._room)
        fetches = len(troubled.calls["fetch"])
        assert made[0].offer()
        made[0]._inventory.suspect()
        await until(lambda: len(troubled.calls["fetch"]) == fetches + 1)
        assert not troubled.calls["find"]
        made[0].look()
        await until(lambda: troubled.calls["find"])


async def test_a_worker_that_has_to_look_for_lost_jobs_offers_nothing(
    running: Any, until: Until, made: list[dispatcher.Dispatcher]
) -> None:
    async with running(listen=False, poll_interval=3600):
        await until(lambda: made and made[0]._room)
        made[0]._inventory.suspect()
        made[0].nudge()
        await until(lambda: not made[0]._room)
        assert made[0].offer() == 0


async def test_a_worker_that_has_closed_offers_nothing(
    running: Any, until: Until, made: list[dispatcher.Dispatcher]
) -> None:
    async with running(listen=False, poll_interval=3600):
        await until(lambda: made and made[0]._room)
        made[0].close()
        assert made[0].offer() == 0
