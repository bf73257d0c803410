"""Tasks whose arguments and names change while jobs of before wait, and workers of before run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import pq_core as pq

pytestmark = pytest.mark.anyio
Args = dict[str, Any]
Drain = Callable[..., Awaitable[None]]


def name_to_names(args: Args) -> Args:
    return {"names": [args.pop("name")]}


def names_to_people(args: Args) -> Args:
    return {"people": args["names"], "polite": True}


@pytest.fixture
def greet(app: pq.App) -> Any:
    """Give a task whose arguments have changed twice."""

    @app.task(name="greet", version=3, upcast={1: name_to_names, 2: names_to_people}, retry=5)
    async def greet(people: list[str], polite: bool) -> str:
        return f"{'dear' if polite else 'hey'} {', '.join(people)}"

    return greet


async def run(app: pq.App, drain: Drain, version: int, args: Args) -> pq.Job:
    (number,) = app.defer_many([pq.NewJob(task="greet", args=args, version=version)])
    await drain()
    return app.jobs.get(number)


@pytest.mark.parametrize(
    "version,args",
    [(1, {"name": "ada"}), (2, {"names": ["ada"]}), (3, {"people": ["ada"], "polite": True})],
)
async def test_jobs_of_every_version_run_with_the_arguments_of_today(
    app: pq.App, greet: Any, drain: Drain, version: int, args: Args
) -> None:
    job = await run(app, drain, version, args)
    assert (job.state, job.result) == ("succeeded", "dear ada")
    assert (job.version, job.args) == (version, args), "what is stored stays as it was deferred"


async def test_the_context_shows_the_arguments_as_they_were_deferred(app: pq.App, drain: Drain) -> None:
    @app.task(name="greet", version=2, upcast={1: name_to_names}, pass_context=True)
    async def greet(context: pq.JobContext, names: list[str]) -> Any:
        return [names, context.job.args]

    assert (await run(app, drain, 1, {"name": "ada"})).result == [["ada"], {"name": "ada"}]


async def test_a_job_is_deferred_with_the_version_of_its_task(app: pq.App, greet: Any) -> None:
    assert greet.job(people=[], polite=False).version == 3
    assert app.jobs.get(greet.configure(priority=1).defer(people=[], polite=False)).version == 3


async def test_who_knows_only_the_name_of_a_task_says_the_version_of_the_arguments(app: pq.App, greet: Any) -> None:
    elsewhere = pq.App(connector=app.connector)
    number = elsewhere.configure_task("greet", version=2).defer(names=["ada"])
    assert app.jobs.get(number).version == 2
    with pytest.raises(pq.InvalidOption, match="version 2 of task 'greet': that of its arguments is 3"):
        app.configure_task("greet", version=2)


async def test_a_job_of_a_later_version_rests_and_is_not_failed(
    app: pq.App, greet: Any, drain: Drain, caplog: pytest.LogCaptureFixture
) -> None:
    before = datetime.now(UTC)
    job = await run(app, drain, 4, {"whom": "ada"})
    assert (job.state, job.attempt, job.errors) == ("scheduled", 0, [])
    assert timedelta(seconds=9) < job.scheduled_at - before < timedelta(seconds=20)
    (record,) = [record for record in caplog.records if record.action == "version_unknown"]
    assert "version 4, and the task of this worker takes version 3" in record.getMessage()


@pytest.mark.parametrize(
    "upcast,words",
    [
        ({2: names_to_people}, "are of version 1, and upcast leads to version 3 only from 2"),
        ({1: lambda args: None, 2: names_to_people}, r"upcast\[1\] returned None, which is not a dict"),
        ({1: lambda args: {1: 2}, 2: names_to_people}, r"upcast\[1\] returned {1: 2}, which is not a dict"),
        ({1: lambda args: args["nom"], 2: names_to_people}, "'nom'"),
    ],
)
async def test_arguments_that_cannot_be_brought_up_to_date_fail_the_job_without_a_retry(
    app: pq.App, drain: Drain, upcast: Any, words: str
) -> None:
    @app.task(name="greet", version=3, upcast=upcast, retry=5)
    async def greet(people: list[str], polite: bool) -> None: ...

    job = await run(app, drain, 1, {"name": "ada"})
    assert (job.state, job.attempt) == ("failed", 1)
    with pytest.raises(ValueError, match=words):
        raise ValueError(job.errors[0]["message"])


async def test_arguments_of_today_that_do_not_fit_fail_the_job_without_a_retry(
    app: pq.App, greet: Any, drain: Drain
) -> None:
    job = await run(app, drain, 2, {"names": ["ada"], "polite": "x"})
    assert job.state == "succeeded"
    app.task(name="other", version=2, upcast={1: lambda _: {"x": 1}}, retry=5)(lambda y: None)
    (number,) = app.defer_many([pq.NewJob(task="other", args={}, version=1)])
    await drain()
    job = app.jobs.get(number)
    assert (job.state, job.attempt, job.errors[0]["type"]) == ("failed", 1, "TypeError")


async def test_a_task_that_was_renamed_runs_the_jobs_of_its_former_name_from_their_version_on(
    app: pq.App, drain: Drain
) -> None:
    @app.task(name="welcome", aliases=["greet"], version=2, upcast={1: name_to_names})
    async def welcome(names: list[str]) -> str:
        return f"welcome {names}"

    job = await run(app, drain, 1, {"name": "ada"})
    assert (job.state, job.task, job.result) == ("succeeded", "greet", "welcome ['ada']")


async def test_the_task_of_a_blueprint_keeps_its_terms(app: pq.App, drain: Drain) -> None:
    blueprint = pq.Blueprint()

    @blueprint.task(name="greet", version=2, upcast={1: name_to_names}, timeout=60, store_result=False)
    async def greet(names: list[str]) -> str:
        return f"hello {names}"

    app.add_tasks_from(blueprint)
    job = await run(app, drain, 1, {"name": "ada"})
    assert (job.state, job.result) == ("succeeded", None)
    assert (app.tasks["greet"].timeout, greet.job(names=[]).version) == (timedelta(minutes=1), 2)


async def test_workers_of_two_versions_of_an_app_each_run_what_they_can(
    memory: pq.InMemoryConnector, drain: Drain
) -> None:
    """The rolling deploy: the new version defers, the old worker gives back, the new one runs both."""
    old, new = pq.App(connector=memory), pq.App(connector=memory)
    ran: list[str] = []

    @old.task(name="greet")
    async def greet_name(name: str) -> None:
        ran.append(f"old {name}")

    @new.task(name="greet", version=2, upcast={1: name_to_names})
    async def greet_names(names: list[str]) -> None:
        ran.extend(f"new {name}" for name in names)

    ids = [greet_name.defer("ada"), greet_names.defer(["bob"]), greet_name.defer("cid")]

    async def work(app: pq.App) -> None:
        await pq.Worker(app, wait=False, install_signal_handlers=False).run_async()

    await work(old)
    assert ran == ["old ada", "old cid"]
    assert memory.jobs[ids[1]].state == "scheduled"
    old.jobs.reschedule(ids[1], schedule_in={"seconds": 0})
    greet_name.defer("dan")
    await work(new)
    assert ran == ["old ada", "old cid", "new bob", "new dan"]
