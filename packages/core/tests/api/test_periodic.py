"""Periodic tasks are declared beside the task, and refused there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import pq_core as pq

HOUR = timedelta(hours=1)


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.InMemoryConnector())


def ids(app: pq.Blueprint) -> list[str]:
    return [schedule.id for schedule in app.declared_schedules()]


def test_the_decorator_stands_above_or_below_that_of_the_task(app: pq.App) -> None:
    @app.periodic(cron="@daily", args={"x": 1}, timezone="Europe/Paris", catch_up="all", max_delay={"hours": 1})
    @app.task(name="above", queue="q", priority=3)
    def above(x: int) -> None: ...

    @app.task(name="below")
    @app.periodic(cron="@hourly")
    def below() -> None: ...

    first, second = app.declared_schedules()
    assert first == pq.NewSchedule(
        id="above", job=above.job(1), cron="@daily", timezone="Europe/Paris", catch_up="all", max_delay=HOUR
    )
    assert second == pq.NewSchedule(id="below", job=below.job(), cron="@hourly")


def test_a_task_has_several_schedules_if_they_have_ids(app: pq.App) -> None:
    @app.periodic(cron="@daily", id="each day", args={"x": 1})
    @app.periodic(cron="@hourly", args={"x": 2})
    @app.task(name="t")
    def task(x: int) -> None: ...

    assert ids(app) == ["t", "each day"]
    with pytest.raises(pq.InvalidOption, match="two schedules have the id 't'"):
        app.periodic(cron="@weekly", args={"x": 3})(task)
    assert ids(app) == ["t", "each day"]


def test_a_blueprints_schedules_come_with_its_namespace(app: pq.App) -> None:
    blueprint = pq.Blueprint()

    @blueprint.periodic(cron="@daily", id="mine")
    @blueprint.periodic(cron="@daily")
    @blueprint.task(name="t")
    def task() -> None: ...

    app.add_tasks_from(blueprint, namespace="a")
    app.add_tasks_from(blueprint, namespace="b")
    blueprint.periodic(cron="@hourly", id="later")(task)
    assert ids(app) == ["a:t", "a:mine", "a:later", "b:t", "b:mine", "b:later"]
    assert [schedule.job.task for schedule in app.declared_schedules()] == ["a:t"] * 3 + ["b:t"] * 3


def test_an_id_that_the_app_has_already_is_refused_when_it_is_included(app: pq.App) -> None:
    blueprint = pq.Blueprint()
    for home, name in ((app, "one"), (blueprint, "two")):

        @home.periodic(cron="@daily", id="same")
        @home.task(name=name)
        def task() -> None: ...

    with pytest.raises(pq.InvalidOption, match="'same'"):
        app.add_tasks_from(blueprint)
    assert "two" not in app.tasks


@pytest.mark.parametrize(
    "options",
    [
        {"cron": "61 * * * *"},
        {"cron": "@daily", "timezone": "Mars/Olympus"},
        {"cron": "@daily", "catch_up": "some"},
        {"cron": "@daily", "max_delay": {"hours": -1}},
        {"cron": "@daily", "max_delay": {"years": "1"}},
        {"cron": "@daily", "args": [1]},
        {"cron": "@daily", "id": ""},
    ],
    ids=" ".join,
)
def test_a_bad_option_is_refused_at_once(app: pq.App, options: Any) -> None:
    with pytest.raises(pq.InvalidOption):
        app.periodic(**options)


@pytest.mark.parametrize(
    "args", [{}, {"y": 1}, {"x": 1, "y": 1}, {"x": object()}], ids=["missing", "unknown", "too many", "no JSON"]
)
def test_arguments_that_do_not_fit_are_refused_beside_the_task(app: pq.App, args: Any) -> None:
    @app.task
    def above(x: int) -> None: ...

    with pytest.raises(pq.InvalidOption, match="periodic task"):
        app.periodic(cron="@daily", args=args)(above)
    with pytest.raises(pq.InvalidOption, match="periodic task"):

        @app.task
        @app.periodic(cron="@daily", args=args)
        def below(x: int) -> None: ...


def test_what_is_no_task_is_refused(app: pq.App) -> None:
    other = pq.App(connector=pq.InMemoryConnector())

    @other.task
    def task() -> None: ...

    with pytest.raises(pq.InvalidOption, match="is no task"):
        app.periodic(cron="@daily")(3)
    with pytest.raises(pq.InvalidOption, match="another app"):
        app.periodic(cron="@daily")(task)

    @app.periodic(cron="@daily")
    def alone() -> None: ...

    with pytest.raises(pq.InvalidOption, match="decorate it with app"):
        app.declared_schedules()
    with pytest.raises(pq.InvalidOption, match="is no task"):
        app.run_worker(wait=False)


def test_schedules_are_made_and_changed_at_run_time(app: pq.App) -> None:
    @app.task
    def task(x: int) -> None: ...

    app.schedules.add("s", task.job(1), cron="*/5 * * * *", max_delay={"minutes": 1})
    with pytest.raises(pq.InvalidOption, match="there is a schedule"):
        app.schedules.add("s", task.job(1), cron="@daily")
    app.schedules.change("s", job=task.job(2), timezone="Europe/Paris")
    found = app.schedules.get("s")
    assert (found.job.args, found.cron, found.timezone) == ({"x": 2}, "*/5 * * * *", "Europe/Paris")
    assert found.max_delay == timedelta(minutes=1)
    assert app.schedules.next_ticks("s", 3)[2] - app.schedules.next_ticks("s", 1)[0] == timedelta(minutes=10)
    assert app.schedules.pause("s") == app.schedules.resume(["s", "none"]) == ["s"]
    assert app.schedules.remove("s") == ["s"]
    assert app.schedules.all() == []
    with pytest.raises(pq.ScheduleNotFound, match="'s'"):
        app.schedules.change("s", cron="@daily")


@pytest.mark.anyio
async def test_each_verb_has_its_twin(app: pq.App) -> None:
    @app.task
    def task() -> None: ...

    await app.schedules.add_async("s", task.job(), cron="@daily")
    await app.schedules.change_async("s", cron="@hourly")
    assert [found.cron for found in await app.schedules.all_async()] == ["@hourly"]
    assert len(await app.schedules.next_ticks_async("s")) == 5
    assert await app.schedules.pause_async("s") == await app.schedules.resume_async("s") == ["s"]
    assert await app.schedules.remove_async("s") == ["s"]


def test_what_code_declares_is_changed_in_code(app: pq.App) -> None:
    @app.task
    @app.periodic(cron="@daily", id="s")
    def task() -> None: ...

    app.connector.sync.put_schedules(app.declared_schedules(), declared=True)
    with pytest.raises(pq.InvalidOption, match="declared in code"):
        app.schedules.change("s", cron="@hourly")
    with pytest.raises(pq.InvalidOption, match="says no cron text"):
        app.schedules.add("t", task.job())
    with pytest.raises(pq.InvalidOption, match="has no option 'crn'"):
        app.schedules.add("t", task.job(), crn="@daily")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "options",
    [
        {"schedule_in": {"hours": 1}},
        {"schedule_at": datetime(2031, 1, 1, tzinfo=UTC)},
        {"metadata": {"pq.tick": "x"}},
    ],
    ids=" ".join,
)
def test_a_job_with_what_only_ticks_may_say_is_refused(app: pq.App, options: Any) -> None:
    @app.task
    def task() -> None: ...

    with pytest.raises(pq.InvalidOption):
        app.schedules.add("s", task.configure(**options).job(), cron="@daily")
