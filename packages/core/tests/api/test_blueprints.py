"""Tasks without an app, included by any number of them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import pq_core as pq


def new_app() -> pq.App:
    return pq.App(connector=pq.InMemoryConnector())


@pytest.fixture
def library() -> pq.Blueprint:
    blueprint = pq.Blueprint()

    @blueprint.task(name="send", aliases=["post"], queue="mails", retry=3)
    def send(to: str) -> None: ...

    return blueprint


def jobs(app: pq.App) -> list[pq.Job]:
    return app.jobs.find()


def test_an_app_gets_the_tasks_under_its_namespace(library: pq.Blueprint) -> None:
    app = new_app()
    app.add_tasks_from(library, namespace="lib")
    assert list(app.tasks) == ["lib:send"]
    assert app.tasks["lib:post"] is app.tasks["lib:send"]
    assert app.tasks["lib:send"].queue == "mails"
    app.tasks["lib:send"].defer(to="you")
    assert jobs(app)[0].task == "lib:send"


def test_without_a_namespace_names_stay(library: pq.Blueprint) -> None:
    app = new_app()
    app.add_tasks_from(library)
    assert list(app.tasks) == ["send"]


def test_the_source_is_left_untouched(library: pq.Blueprint) -> None:
    before = library.tasks["send"]
    new_app().add_tasks_from(library, namespace="a")
    new_app().add_tasks_from(library, namespace="b")
    assert list(library.tasks) == ["send"]
    assert library.tasks["send"] is before
    assert before.name == "send"


def test_a_task_of_a_blueprint_is_deferred_to_the_app_that_includes_it(library: pq.Blueprint) -> None:
    send = library.tasks["send"]
    later = send.configure(priority=4)
    app = new_app()
    app.add_tasks_from(library, namespace="lib")
    send.defer(to="a")
    later.defer(to="b")
    asyncio.run(send.defer_async(to="c"))
    app.defer_many([send.job("d")])
    assert [(job.task, job.args["to"], job.priority) for job in jobs(app)] == [
        ("lib:send", "a", 0),
        ("lib:send", "b", 4),
        ("lib:send", "c", 0),
        ("lib:send", "d", 0),
    ]
    assert len(app.jobs.find(task=send)) == 4


def test_a_task_of_a_blueprint_that_no_app_includes_says_what_to_do(library: pq.Blueprint) -> None:
    send = library.tasks["send"]
    send(to="nobody")
    with pytest.raises(pq.TaskNotBound, match=r"no app includes; call app.add_tasks_from\(blueprint\)"):
        send.defer(to="you")


def test_a_task_of_a_blueprint_in_two_apps_says_what_to_do(library: pq.Blueprint) -> None:
    one, two = new_app(), new_app()
    one.add_tasks_from(library, namespace="one")
    two.add_tasks_from(library, namespace="two")
    with pytest.raises(pq.TaskNotBound, match=r"included 2 times, as 'one:send', 'two:send'.*app.tasks\['one:send'\]"):
        library.tasks["send"].defer(to="you")
    two.tasks["two:send"].defer(to="you")
    assert (len(jobs(one)), len(jobs(two))) == (0, 1)


def test_an_app_that_is_gone_does_not_count(library: pq.Blueprint) -> None:
    for _ in range(3):
        app = new_app()
        app.add_tasks_from(library)
        library.tasks["send"].defer(to="you")
        assert len(jobs(app)) == 1
        del app


def test_one_blueprint_may_be_there_twice_under_two_namespaces(library: pq.Blueprint) -> None:
    app = new_app()
    app.add_tasks_from(library, namespace="one")
    app.add_tasks_from(library, namespace="two")
    assert list(app.tasks) == ["one:send", "two:send"]


def test_blueprints_nest(library: pq.Blueprint) -> None:
    outer, app = pq.Blueprint(), new_app()
    outer.add_tasks_from(library, namespace="inner")
    app.add_tasks_from(outer, namespace="outer")
    library.tasks["send"].defer(to="you")
    assert jobs(app)[0].task == "outer:inner:send"
    assert list(app.tasks) == ["outer:inner:send"]


def test_a_task_that_comes_later_is_included_too(library: pq.Blueprint) -> None:
    outer, app = pq.Blueprint(), new_app()
    app.add_tasks_from(outer, namespace="o")
    outer.add_tasks_from(library)
    late = library.task(name="late")(lambda: None)
    assert list(app.tasks) == ["o:send", "o:late"]
    assert late.defer() == jobs(app)[0].id


def test_a_collision_includes_nothing(library: pq.Blueprint) -> None:
    library.task(name="other")(lambda: None)
    app = new_app()
    app.task(name="other")(lambda: None)
    with pytest.raises(pq.TaskAlreadyRegistered, match="'other' is taken"):
        app.add_tasks_from(library)
    assert list(app.tasks) == ["other"]
    with pytest.raises(pq.TaskNotBound):
        library.tasks["send"].defer(to="you")


def test_a_late_task_that_collides_in_an_app_is_registered_nowhere(library: pq.Blueprint) -> None:
    app = new_app()
    app.task(name="late")(lambda: None)
    app.add_tasks_from(library)
    with pytest.raises(pq.TaskAlreadyRegistered):
        library.task(name="late")(lambda: None)
    assert list(library.tasks) == ["send"]


def test_a_blueprint_cannot_include_itself(library: pq.Blueprint) -> None:
    outer = pq.Blueprint()
    outer.add_tasks_from(library, namespace="o")
    for inner in (library, outer):
        with pytest.raises(pq.InvalidOption, match="cannot include itself"):
            library.add_tasks_from(inner, namespace="again")


def test_what_is_included_runs_as_defined() -> None:
    blueprint, app, seen = pq.Blueprint(), new_app(), []

    @blueprint.task(pass_context=True)
    def look(context: pq.JobContext, what: str) -> None:
        seen.append(what)

    app.add_tasks_from(blueprint, namespace="ns")
    included: Any = next(iter(app.tasks.values()))
    included(None, "up")
    assert seen == ["up"]
    assert type(included) is type(look)
    assert included.unbind({"what": "x"}) == ((), {"what": "x"})
