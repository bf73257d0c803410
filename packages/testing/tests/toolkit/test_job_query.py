"""The jobs of a test, asked for in all ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from typing import Any
from unittest.mock import ANY, MagicMock
from uuid import UUID

import pytest

import pq_core as pq
from pq_testing import Clock, JobQuery, RunJobs
from pq_testing.swap import using

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def app() -> pq.App:
    app = pq.App(connector=pq.InMemoryConnector())

    @app.task(name="mail.send", aliases=["mail.post"])
    def send(to: Any, subject: str = "hello", copies: Any = ()) -> None: ...

    @app.task(name="shop.charge")
    def charge(task: Any, *lines: int, queue: str = "") -> None: ...

    @app.task(name="log")
    def log(**fields: Any) -> None: ...

    return app


@pytest.fixture
def run_jobs(app: pq.App) -> Iterator[RunJobs]:
    with using(app, clock=Clock(START)) as run_jobs:
        yield run_jobs


@pytest.fixture
def deferred(run_jobs: RunJobs) -> JobQuery:
    return run_jobs.deferred


@pytest.fixture
def send(app: pq.App) -> Any:
    return app.tasks["mail.send"]


def test_one_returns_the_one_job_with_these_arguments(deferred: JobQuery, send: Any) -> None:
    send.defer(to=1)
    second = send.defer(to=2, subject="x")
    assert deferred.one(send, to=2).id == second
    assert deferred.one(subject="x").id == second
    assert deferred.one(send, to=2, subject="x").args == {"to": 2, "subject": "x"}


def test_one_refuses_none_and_several(deferred: JobQuery, send: Any) -> None:
    with pytest.raises(AssertionError, match=r"^no job fits mail\.send\(\.\.\.\); no job was deferred at all"):
        deferred.one(send)
    send.defer(to=1)
    send.defer(to=1)
    with pytest.raises(AssertionError, match=r"^2 jobs fit mail\.send\(to=1\), not one"):
        deferred.one(send, to=1)


def test_all_returns_any_number_in_order(deferred: JobQuery, send: Any) -> None:
    assert deferred.all(send) == []
    ids = send.batch_defer([{"to": 1}, {"to": 2}, {"to": 1}])
    assert [job.id for job in deferred.all(send, to=1)] == [ids[0], ids[2]]
    assert [job.id for job in deferred] == ids


def test_none_refuses_any(deferred: JobQuery, send: Any) -> None:
    send.defer(to=1)
    deferred.none(send, to=2)
    with pytest.raises(AssertionError, match=r"^a job fits mail\.send\(to=1\), and none should"):
        deferred.none(send, to=1)


def test_a_task_may_be_named_by_itself_its_name_or_an_alias(app: pq.App, deferred: JobQuery, send: Any) -> None:
    send.defer(to=1)
    app.defer_many([pq.NewJob(task="mail.post", args={"to": 2})])
    for task in (send, "mail.send", "mail.post", app.configure_task("mail.post")):
        assert [job.id for job in deferred.all(task)] == [1, 2]


def test_a_task_of_a_blueprint_is_known_by_its_name_in_the_app(app: pq.App, deferred: JobQuery) -> None:
    blueprint = pq.Blueprint()

    @blueprint.task(name="clean")
    def clean() -> None: ...

    app.add_tasks_from(blueprint, namespace="nightly")
    clean.defer()
    assert deferred.one(clean).task == "nightly:clean"


def test_a_task_that_nobody_knows_is_an_error_even_where_none_is_expected(app: pq.App, deferred: JobQuery) -> None:
    with pytest.raises(pq.TaskNotFound, match=r"did you mean 'mail\.send' .* pass app\.configure_task\('mail\.sent'\)"):
        deferred.none("mail.sent")
    with pytest.raises(pq.InvalidOption, match="task 7 is neither a task nor the name of one"):
        deferred.none(7)  # type: ignore[arg-type]
    elsewhere = app.configure_task("elsewhere.bill")
    deferred.none(elsewhere)
    elsewhere.defer(order=7)
    deferred.one(elsewhere, order=7)
    deferred.one("elsewhere.bill", order=7)


def test_an_argument_that_the_task_has_not_is_an_error_even_where_none_is_expected(
    deferred: JobQuery, send: Any
) -> None:
    message = r"task 'mail\.send' has no parameter 'subjekt'; its parameters: to, subject, copies"
    for ask in (deferred.none, deferred.all, deferred.one):
        with pytest.raises(pq.InvalidArguments, match=message):
            ask(send, subjekt="x")
    deferred.none("log", anything=1)


def test_an_argument_that_no_task_has_is_an_error() -> None:
    app = pq.App(connector=pq.InMemoryConnector())

    @app.task(name="add")
    def add(a: int) -> None: ...

    with using(app) as run_jobs:
        with pytest.raises(pq.InvalidArguments, match=r"no task of this app has a parameter 'b'.*goes into where"):
            run_jobs.deferred.none(b=1)
        run_jobs.deferred.none(a=1)
        app.configure_task("elsewhere").defer(b=1)
        run_jobs.deferred.one(b=1)


def test_arguments_may_have_the_names_of_ours(app: pq.App, deferred: JobQuery) -> None:
    app.tasks["shop.charge"].defer(1, 2, 3, queue="x")
    app.tasks["log"].defer(self=1, task=2)
    assert deferred.one("shop.charge", task=1, lines=(2, 3), queue="x").id == 1
    assert deferred.one("log", self=1, task=2).id == 2


class Colour(StrEnum):
    RED = "red"


class Size(IntEnum):
    BIG = 3


@pytest.mark.parametrize(
    "given, expected",
    [
        ((1, (2, 3)), [1, [2, 3]]),
        ([1, [2, 3]], (1, (2, 3))),
        ({"a": (1,)}, {"a": [1]}),
        (Colour.RED, "red"),
        ("red", Colour.RED),
        (3, Size.BIG),
        (1, 1.0),
        (None, None),
        (7, ANY),
        ({"a": 1, "at": "2026-01-01"}, {"a": 1, "at": ANY}),
        (0.1 + 0.2, pytest.approx(0.3)),
        ([0.1 + 0.2], [pytest.approx(0.3)]),
        ("ada@example.org", lambda to: to.endswith("@example.org")),
        (["x", "y"], ["x", str.isalpha]),
    ],
)
def test_values_compare_as_json_carries_them(deferred: JobQuery, send: Any, given: Any, expected: Any) -> None:
    send.defer(to=given)
    assert deferred.one(send, to=expected).id == 1


@pytest.mark.parametrize(
    "given, other",
    [
        (True, 1),
        (0, False),
        ([1], [True]),
        ({"a": 1}, {}),
        ({"a": 1}, {"a": 1, "b": None}),
        ([1, 2], [1]),
        (None, 0),
        ("1", 1),
        (0.5, pytest.approx(0.3)),
        ("x", lambda to: to == "y"),
    ],
)
def test_values_that_json_tells_apart_are_not_equal(deferred: JobQuery, send: Any, given: Any, other: Any) -> None:
    send.defer(to=given)
    deferred.none(send, to=other)


class Kind(Enum):
    A = "a"


@pytest.mark.parametrize(
    "value",
    [
        date(2026, 1, 1),
        START,
        Decimal("0.5"),
        UUID(int=7),
        b"x",
        {1, 2},
        Kind.A,
        object(),
        float("nan"),
        {1: 2},
        "\x00",
        MagicMock(),
        {"deep": [date(2026, 1, 1)]},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_json_cannot_carry_is_an_error_even_where_none_is_expected(
    deferred: JobQuery, send: Any, value: Any
) -> None:
    with pytest.raises(pq.InvalidArguments, match=r"to(\['deep'\]\[0\])? = .* cannot be stored as JSON"):
        deferred.none(send, to=value)


def test_a_class_is_no_value(deferred: JobQuery, send: Any) -> None:
    with pytest.raises(pq.InvalidArguments, match=r"give lambda value: isinstance\(value, int\)"):
        deferred.none(send, to=int)


def test_what_dirty_equals_has_works_as_a_value(deferred: JobQuery, send: Any) -> None:
    dirty_equals = pytest.importorskip("dirty_equals")
    send.defer(to=7, copies=[1, "x"])
    deferred.one(send, to=dirty_equals.IsInt, copies=[dirty_equals.IsInt(gt=0), dirty_equals.IsStr()])
    deferred.none(send, to=dirty_equals.IsInt(gt=7))


def test_an_error_in_a_function_of_the_test_is_the_tests(deferred: JobQuery, send: Any) -> None:
    send.defer(to=1)
    with pytest.raises(ZeroDivisionError):
        deferred.none(send, to=lambda to: to / 0)


def test_an_argument_that_was_not_given_counts_as_its_default(deferred: JobQuery, send: Any) -> None:
    send.defer(to=1)
    send.defer(to=2, subject="other")
    assert deferred.one(send, subject="hello").id == 1
    assert len(deferred.all(send, copies=[])) == 2
    deferred.none(send, subject=None)


def test_where_narrows(app: pq.App, run_jobs: RunJobs, deferred: JobQuery, send: Any) -> None:
    hour = timedelta(hours=1)
    send.configure(queue="mail", lock="a", priority=3).defer(to=1)
    send.configure(schedule_in={"hours": 1}).defer(to=2)
    send.configure(lock="b").defer(to=3)
    app.jobs.cancel(3)

    def ids(**conditions: Any) -> list[int]:
        return [job.id for job in deferred.where(**conditions)]

    assert ids(queue="mail") == [1]
    assert ids(lock="a") == [1]
    assert ids(lock=None) == [2]
    assert ids(priority=3) == [1]
    assert ids(attempt=0) == [1, 2, 3]
    assert ids(state="cancelled") == ids(state=pq.State.CANCELLED) == [3]
    assert ids(state=["ready", pq.State.SCHEDULED]) == [1, 2]
    for in_an_hour in ("1h", "60m", hour, {"hours": 1}, START + hour):
        assert ids(scheduled_at=in_an_hour) == [2]
    assert ids(scheduled_at=None) == [1, 3]
    assert ids(scheduled_at=START) == ids(scheduled_at=timedelta(0)) == [1, 3]
    assert ids(queue="mail", lock="b") == []
    assert [job.id for job in deferred.where(lock="a").where(queue="mail")] == [1]
    assert len(deferred.where(queue="mail").where(queue="default")) == 0
    assert deferred.where(queue="mail").one(send, to=1).id == 1
    deferred.where(queue="mail").none(send, to=2)

    run_jobs.clock.advance("2h")
    assert ids(scheduled_at=timedelta(hours=-1)) == [2]
    assert ids(scheduled_at=None) == [1, 2, 3]
    run_jobs()
    assert ids(attempt=1) == [1, 2]


@pytest.mark.parametrize(
    "conditions, message",
    [
        ({"state": "redy"}, "state 'redy': there are only scheduled, ready, blocked, running, succeeded, failed, "),
        ({"state": []}, "state names none, so no job could be in it"),
        ({"sate": "ready"}, "where has no option 'sate'; its options are attempt, lock, priority, queue, sched"),
        ({"queue": ""}, "queue '' is not a text of at least one character"),
        ({"queue": None}, "queue None is not a text of at least one character"),
        ({"lock": 7}, "lock 7 is not a text of at least one character"),
        ({"priority": 1.5}, r"priority 1\.5 is not a whole number"),
        ({"attempt": "1"}, "attempt '1' is not a whole number"),
        ({"scheduled_at": "soon"}, "'soon' is not a length of time: give seconds, as 90, or with units, as 1h30m"),
        ({"scheduled_at": datetime(2026, 1, 1)}, "scheduled_at .* has no time zone"),  # noqa: DTZ001 - to be refused
        ({"scheduled_at": {"hour": 1}}, "has the unknown unit 'hour'"),
        ({"scheduled_at": 7}, "scheduled_at 7 is neither a timedelta nor a dict"),
    ],
)
def test_a_condition_that_no_job_could_fit_is_refused(
    deferred: JobQuery, conditions: dict[str, Any], message: str
) -> None:
    with pytest.raises(pq.InvalidOption, match=message):
        deferred.where(**conditions)


def test_a_query_looks_anew_each_time(deferred: JobQuery, send: Any) -> None:
    mails = deferred.where(queue="default")
    assert len(mails) == 0
    assert not mails
    send.defer(to=1)
    assert len(mails) == 1


def test_a_query_shows_one_line_per_job(run_jobs: RunJobs, deferred: JobQuery, send: Any) -> None:
    assert repr(deferred) == "<JobQuery: no jobs>"
    send.configure(queue="mail", schedule_in={"hours": 1}).defer(to=1)
    send.configure(lock="a").defer(to="x" * 100)
    assert repr(deferred) == (
        "<JobQuery: 2 jobs>\n"
        "  job 1  mail.send(to=1)  scheduled, due in 1 h, queue 'mail'\n"
        f"  job 2  mail.send(to='{'x' * 37}...{'x' * 18}')  ready, lock 'a'"
    )
    send.batch_defer([{"to": each} for each in range(60)])
    assert repr(deferred).endswith("job 50  mail.send(to=47)  ready\n  and 12 more jobs")


Look = Callable[[JobQuery], object]


@pytest.mark.parametrize(
    "look, asserted, seen",
    [
        (lambda jobs: jobs.one("fail", n=1), {1}, {1}),
        (lambda jobs: jobs.all("fail"), {1, 2}, {1, 2}),
        (list, {1, 2, 3}, {1, 2}),
        (len, {1, 2, 3}, set()),
        (lambda jobs: len(jobs.where(state="failed")), {1, 2}, {1, 2}),
        (lambda jobs: jobs.none("fail", n=3), set(), set()),
        (lambda jobs: jobs.where(queue="mail"), set(), set()),
        (repr, set(), set()),
    ],
    ids=["one", "all", "list", "len", "len of failed", "none", "where", "repr"],
)
def test_what_is_handed_out_counts_as_looked_at(
    app: pq.App, run_jobs: RunJobs, look: Look, asserted: set[int], seen: set[int]
) -> None:
    @app.task(name="fail")
    def fail(n: int) -> None:
        raise ValueError(n)

    fail.defer(n=1)
    fail.defer(n=2)
    app.tasks["mail.send"].defer(to=1)
    run_jobs(on_error="record")
    ledger = run_jobs.harness.ledger
    look(run_jobs.deferred)
    assert ledger.asserted == asserted
    assert ledger._seen == seen


def test_a_query_that_fails_has_not_handed_out_anything(run_jobs: RunJobs, deferred: JobQuery, send: Any) -> None:
    send.defer(to=1)
    send.defer(to=1)
    with pytest.raises(AssertionError):
        deferred.one(send, to=1)
    with pytest.raises(AssertionError):
        deferred.none(send)
    assert run_jobs.harness.ledger.asserted == set()


def test_the_traceback_of_a_failure_ends_in_the_test(deferred: JobQuery, send: Any) -> None:
    asks: list[Callable[[], object]] = [
        lambda: deferred.one(send),
        lambda: deferred.one("mail.sent"),
        lambda: deferred.one(send, subjekt="x"),
    ]
    for ask in asks:
        with pytest.raises((AssertionError, pq.PQError)) as failure:
            ask()
        assert failure.traceback.filter(failure)[-1].path == Path(__file__)
