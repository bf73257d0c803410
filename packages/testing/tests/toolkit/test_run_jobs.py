"""What a drain runs, in which order, and what it tells the test of it."""

import asyncio
import traceback
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import trio
import trio.lowlevel

import pq_core as pq
from pq_testing import RunJobs
from pq_testing.errors import AsyncTaskInSyncDrain, EndlessJobs, WrongBackend
from pq_testing.swap import using


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.PsycopgConnector("host=/nowhere"))


@pytest.fixture
def run_jobs(app: pq.App) -> Iterator[RunJobs]:
    with using(app) as run_jobs:
        yield run_jobs


def test_what_is_due_runs_in_the_order_of_a_worker(app: pq.App, run_jobs: RunJobs) -> None:
    seen = []

    @app.task(name="work")
    def work(n: int) -> None:
        seen.append(n)

    work.defer(n=1)
    work.configure(priority=5).defer(n=2)
    work.configure(schedule_in={"seconds": 1}).defer(n=3)
    work.defer(n=4)

    report = run_jobs()

    assert seen == [2, 1, 4]
    assert report.names == ["work"] * 3
    assert report.count(work) == report.count("work") == report.count() == len(report) == 3
    assert [run.kind for run in report] == ["succeeded"] * 3
    assert report.duration == timedelta(0)


def test_jobs_that_jobs_defer_run_in_the_same_drain(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="count_down")
    async def count_down(n: int) -> Any:
        if n:
            await count_down.defer_async(n=n - 1)
        return n

    count_down.defer(n=3)

    assert [run.result for run in run_jobs().succeeded] == [3, 2, 1, 0]


def test_what_nobody_could_start_has_expired_when_the_time_is_over(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="notify", expires_in={"minutes": 5})
    def notify() -> None: ...

    number = notify.defer()
    app.jobs.pause(task=notify)
    assert len(run_jobs(until="4m")) == 0
    assert app.jobs.get(number).state == "blocked"
    assert len(run_jobs(until="1m")) == 0
    assert (app.jobs.get(number).state, app.jobs.get(number).reason) == ("cancelled", "expired")


def test_time_stands_still_without_until(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="later")
    def later() -> None: ...

    before = run_jobs.clock.now()
    later.configure(schedule_in={"hours": 1}).defer()

    assert len(run_jobs()) == 0
    assert run_jobs.clock.now() == before


def test_until_jumps_from_one_due_time_to_the_next_and_ends_there(app: pq.App, run_jobs: RunJobs) -> None:
    moments = []

    @app.task(name="note")
    def note(again: int = 0) -> None:
        moments.append(run_jobs.clock.now())
        if again:
            note.configure(schedule_in={"minutes": 10}).defer(again=again - 1)

    start = run_jobs.clock.now()
    note.configure(schedule_in={"minutes": 30}).defer(again=1)
    note.configure(schedule_in={"hours": 2, "microseconds": 1}).defer()

    report = run_jobs(until="2h")

    assert [moment - start for moment in moments] == [timedelta(minutes=30), timedelta(minutes=40)]
    assert run_jobs.clock.now() == start + timedelta(hours=2)
    assert report.duration == timedelta(hours=2)
    assert len(run_jobs(until=timedelta(seconds=1))) == 1


def test_back_off_is_real_back_off(app: pq.App, run_jobs: RunJobs) -> None:
    moments = []

    @app.task(name="flaky", retry=pq.RetryStrategy(max_attempts=4, wait=10, exponential_wait=2))
    def flaky() -> None:
        moments.append(run_jobs.clock.now())
        if len(moments) < 3:
            raise ConnectionError("not yet")

    start = run_jobs.clock.now()
    flaky.defer()
    report = run_jobs(until="1h")

    waits = [run.outcome.delay for run in report.retried]
    assert [moment - start for moment in moments] == [timedelta(0), waits[0], waits[0] + waits[1]]
    assert all(waits)
    assert [type(run.error) for run in report.retried] == [ConnectionError] * 2
    assert [run.job.attempt for run in report] == [1, 2, 3]


def test_a_retry_without_a_wait_runs_in_the_same_drain(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="flaky", retry=3, pass_context=True)
    def flaky(context: pq.JobContext) -> None:
        if context.job.attempt < 3:
            raise ConnectionError("not yet")

    flaky.defer()

    assert [run.kind for run in run_jobs()] == ["retried", "retried", "succeeded"]


def test_a_final_failure_raises_the_jobs_own_error_with_its_own_traceback(app: pq.App, run_jobs: RunJobs) -> None:
    error = KeyError("order 7")

    def charge() -> None:
        raise error

    @app.task(name="pay")
    def pay() -> None:
        charge()

    pay.defer()
    with pytest.raises(KeyError) as raised:
        run_jobs()

    assert raised.value is error
    frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert frames[-2:] == ["pay", "charge"]
    assert not [frame for frame in traceback.extract_tb(error.__traceback__) if "pq_core" in frame.filename]
    assert run_jobs.harness.ledger.unseen_failures() == []


def test_a_failure_ends_the_drain_and_the_next_one_goes_on(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work")
    def work(n: int) -> None:
        if n == 1:
            raise ValueError(n)

    work.batch_defer([{"n": 0}, {"n": 1}, {"n": 2}])
    with pytest.raises(ValueError, match="1"):
        run_jobs()

    assert [run.job.args["n"] for run in run_jobs()] == [2]


def test_errors_that_are_recorded_are_not_raised(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work")
    def work(n: int) -> None:
        if n == 1:
            raise ValueError(n)

    work.batch_defer([{"n": 0}, {"n": 1}, {"n": 2}])
    report = run_jobs(on_error="record")

    assert run_jobs.harness.ledger.unseen_failures() == [report.runs[1]]
    assert [str(run.error) for run in report.failed] == ["1"]
    assert run_jobs.harness.ledger.unseen_failures() == []
    assert report.count("work") == 3
    assert "job work" in repr(report)
    assert "ValueError: 1" in repr(report)


def test_a_drain_that_leaves_a_job_waiting_for_its_retry_raises_its_error(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="flaky", retry=pq.RetryStrategy(max_attempts=3, wait=15))
    def flaky() -> None:
        raise ConnectionError("refused")

    flaky.defer()
    with pytest.raises(ConnectionError, match="refused") as raised:
        run_jobs()
    assert "until" in raised.value.__notes__[0]

    assert len(run_jobs(until="14s")) == 0
    assert len(run_jobs(until="1s")) == 1
    with pytest.raises(ConnectionError):
        run_jobs(until="15s")
    assert run_jobs.harness.jobs()[0].state == pq.State.FAILED


def test_a_retry_that_another_job_has_cancelled_is_not_waited_for(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="flaky", retry=pq.RetryStrategy(max_attempts=3, wait=15))
    def flaky() -> None:
        raise ConnectionError("refused")

    @app.task(name="give_up")
    def give_up() -> None:
        app.jobs.cancel([job_id])

    job_id = flaky.defer()
    give_up.defer()

    assert [run.kind for run in run_jobs()] == ["retried", "succeeded"]


def test_a_retry_that_a_drain_inside_a_job_has_run_is_not_waited_for(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="flaky", retry=pq.RetryStrategy(max_attempts=3, wait=15), pass_context=True)
    def flaky(context: pq.JobContext) -> None:
        if context.job.attempt == 1:
            raise ConnectionError("refused")

    @app.task(name="patient")
    def patient() -> None:
        run_jobs(until="15s")

    flaky.defer()
    patient.defer()

    assert run_jobs().names == ["flaky", "patient"]


class Frozen(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


def test_an_error_that_bears_no_notes_is_raised_as_it_is(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="flaky", retry=pq.RetryStrategy(max_attempts=2, wait=15))
    def flaky() -> None:
        raise Frozen

    flaky.defer()
    with pytest.raises(Frozen):
        run_jobs()


def test_an_error_that_is_raised_again_and_again_says_once_what_it_waits_for(app: pq.App, run_jobs: RunJobs) -> None:
    error = ConnectionError("refused")
    error.add_note("is the printer on?")

    @app.task(name="flaky", retry=pq.RetryStrategy(max_attempts=9, wait=15))
    def flaky() -> None:
        raise error

    flaky.defer()
    for _ in range(3):
        with pytest.raises(ConnectionError):
            run_jobs()
        run_jobs.clock.advance("15s")

    mine, ours = error.__notes__
    assert mine == "is the printer on?"
    assert "attempt 3" in ours


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_a_report_shows_errors_that_cannot_be_shown(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work")
    def work() -> None:
        raise Unspeakable

    work.defer()

    assert "Unspeakable: (no message: RuntimeError in __str__)" in repr(run_jobs(on_error="record"))


def test_limit_ends_a_drain_after_so_many_runs(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work")
    def work() -> None: ...

    work.batch_defer([{}] * 3)

    assert len(run_jobs(limit=2)) == 2
    assert len(run_jobs()) == 1


def test_only_the_queues_that_are_named_are_served(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work")
    def work() -> None: ...

    work.configure(queue="a").defer()
    work.configure(queue="b").defer()

    assert [run.job.queue for run in run_jobs(queues=["b"])] == ["b"]
    assert [run.job.queue for run in run_jobs()] == ["a"]


def test_async_jobs_of_several_workers_run_side_by_side(app: pq.App, run_jobs: RunJobs) -> None:
    events = []

    @app.task(name="work")
    async def work(n: int) -> None:
        events.append(f"{n} begins")
        await asyncio.sleep(0)
        events.append(f"{n} ends")

    work.batch_defer([{"n": 1}, {"n": 2}])
    report = run_jobs(workers=2)

    assert events == ["1 begins", "2 begins", "1 ends", "2 ends"]
    assert sorted(run.hand for run in report) == [1, 2]


def test_a_worker_with_nothing_to_do_takes_what_the_job_of_another_defers(app: pq.App, run_jobs: RunJobs) -> None:
    child_ran = asyncio.Event()

    @app.task(name="child")
    async def child() -> None:
        child_ran.set()

    @app.task(name="parent")
    async def parent() -> None:
        for _ in range(3):
            await child.defer_async()

    parent.defer()

    assert run_jobs(workers=3).names == ["parent", "child", "child", "child"]


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_that_feed_themselves_are_stopped(app: pq.App, run_jobs: RunJobs, workers: int) -> None:
    run_jobs.harness.max_runs = 50

    @app.task(name="again")
    def again() -> None:
        again.defer()

    again.defer()
    with pytest.raises(EndlessJobs, match=r"50 jobs have run.*again"):
        run_jobs(workers=workers)


def test_a_job_of_an_unknown_task_is_no_silence(app: pq.App, run_jobs: RunJobs) -> None:
    app.configure_task("elsewhere").defer()

    with pytest.raises(pq.TaskNotFound, match="'elsewhere'"):
        run_jobs()


def test_a_sync_drain_in_a_running_loop_runs_sync_tasks(app: pq.App, run_jobs: RunJobs) -> None:
    seen = []

    @app.task(name="work")
    def work() -> None:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        seen.append(asyncio.run(asyncio.sleep(0, "result")))

    async def test() -> None:
        await work.defer_async()
        run_jobs()
        await asyncio.sleep(0)

    asyncio.run(test())

    assert seen == ["result"]


def test_a_sync_drain_in_a_running_loop_says_what_to_write_for_async_tasks(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work")
    async def work() -> Any:
        return "ran"

    async def test() -> Any:
        await work.defer_async()
        with pytest.raises(AsyncTaskInSyncDrain, match=r"await run_jobs\.run_async"):
            run_jobs()
        return await run_jobs.run_async()

    (run,) = asyncio.run(test())

    assert (run.result, run.job.attempt) == ("ran", 1)


def test_a_drain_runs_under_trio(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="work")
    async def work() -> None:
        await trio.lowlevel.checkpoint()

    @app.task(name="sync_work")
    def sync_work() -> None: ...

    async def test() -> Any:
        await work.defer_async()
        sync_work.defer()
        return await run_jobs.run_async(workers=2)

    assert sorted(trio.run(test).names) == ["sync_work", "work"]


def test_a_job_that_is_cancelled_while_it_runs_is_told_at_once(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="long", pass_context=True)
    def long(context: pq.JobContext) -> None:
        assert not context.should_stop()
        app.jobs.cancel([context.job.id])
        assert context.should_stop()

    long.defer()
    (run,) = run_jobs()

    assert run_jobs.harness.jobs()[0].state == pq.State.CANCELLED
    assert run.kind == "released"


def test_jobs_of_which_no_history_is_kept_are_known_all_the_same(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="secret", keep="none")
    def secret(n: int) -> Any:
        return n

    secret.defer(n=1)
    run_jobs()

    (job,) = run_jobs.harness.jobs()
    assert run_jobs.connector.jobs == {}
    assert (job.state, job.result, job.args) == (pq.State.SUCCEEDED, 1, {"n": 1})


def test_a_connection_is_refused_in_memory(app: pq.App, run_jobs: RunJobs) -> None:
    with pytest.raises(WrongBackend, match=r"@pytest.mark.pq\(backend=\"postgres\"\)"):
        run_jobs(connection=object())


@pytest.mark.parametrize(
    "options",
    [{"workers": 0}, {"limit": True}, {"on_error": "ignore"}, {"queues": "a"}, {"until": "soon"}, {"till": 1}],
)
def test_bad_options_are_refused_by_name(run_jobs: RunJobs, options: dict[str, Any]) -> None:
    with pytest.raises(pq.InvalidOption, match=next(iter(options))):
        run_jobs(**options)


def test_the_app_has_its_own_connector_back_after_the_block(app: pq.App) -> None:
    before = app.connector
    with using(app) as run_jobs:
        assert app.connector is run_jobs.connector is not before
    assert app.connector is before


def test_what_is_no_app_is_refused() -> None:
    with pytest.raises(pq.InvalidOption, match="not an App"), using(object()):
        pass


def test_an_app_that_was_opened_and_closed_in_the_test_can_be_drained_all_the_same(
    app: pq.App, run_jobs: RunJobs
) -> None:
    @app.task(name="work")
    def work() -> None:
        work_more.defer()

    @app.task(name="work_more")
    async def work_more() -> None: ...

    async def lifespan() -> None:
        async with app.open_async():
            await work.defer_async()

    with app:
        work.defer()
    asyncio.run(lifespan())

    assert run_jobs().names == ["work", "work", "work_more", "work_more"]
