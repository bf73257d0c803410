"""What a test reads when the jobs are not those that it asserted: whole pages, as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from textwrap import dedent
from typing import Any

import pytest

import pq_core as pq
from pq_testing import Clock, JobQuery, RunJobs
from pq_testing.job_lines import brief, call_of, due
from pq_testing.swap import using

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def app() -> pq.App:
    app = pq.App(connector=pq.InMemoryConnector())

    @app.task(name="mail.send")
    def send(user_id: Any, subject: str = "hello") -> None: ...

    @app.task(name="shop.charge")
    def charge(order: Any) -> None: ...

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


@pytest.fixture
def charge(app: pq.App) -> Any:
    return app.tasks["shop.charge"]


def page(ask: Callable[..., object], *args: Any, **kwargs: Any) -> str:
    with pytest.raises(AssertionError) as failure:
        ask(*args, **kwargs)
    return str(failure.value)


def text(page: str) -> str:
    return dedent(page).strip("\n")


def test_arguments_queue_and_time_that_differ_are_told_the_best_first(
    deferred: JobQuery, send: Any, charge: Any
) -> None:
    charge.defer(order=7)
    send.defer(user_id=1)
    send.configure(queue="mail", schedule_in={"hours": 1}).defer(user_id=2)
    asked = deferred.where(queue="mail", scheduled_at="2h")
    assert page(asked.one, send, user_id=1, subject="bye") == text(
        """
        no job fits mail.send(user_id=1, subject='bye') with queue 'mail', scheduled_at in 2 h; the closest of 3 jobs:

          job 2  mail.send(user_id=1)  ready
              subject: 'bye' expected, the default 'hello' found
              queue: 'mail' expected, 'default' found
              scheduled_at: in 2 h expected, now found
          job 3  mail.send(user_id=2)  scheduled, due in 1 h, queue 'mail'
              user_id: 1 expected, 2 found
              subject: 'bye' expected, the default 'hello' found
              scheduled_at: in 2 h expected, in 1 h found

        the others:

          job 1  shop.charge(order=7)  ready
        """
    )


def test_what_differs_least_comes_first(deferred: JobQuery, send: Any) -> None:
    send.configure(queue="mail").defer(user_id=2)
    send.defer(user_id=2)
    send.configure(queue="mail").defer(user_id=1, subject="bye")
    lines = page(deferred.where(queue="mail").one, send, user_id=1, subject="x").splitlines()
    assert [line.split("  ")[1] for line in lines if line.startswith("  job")] == ["job 3", "job 1", "job 2"]


def test_a_job_that_only_is_in_another_state_is_called_the_same(app: pq.App, deferred: JobQuery, send: Any) -> None:
    send.defer(user_id=1)
    app.jobs.cancel(1, reason="no such user")
    assert page(deferred.where(state=["scheduled", "ready"]).one, send, user_id=1) == text(
        """
        no job fits mail.send(user_id=1) with state scheduled or ready; the only job:

          job 1  mail.send(user_id=1)  cancelled (no such user)
              the same, but cancelled ('no such user'): scheduled or ready expected
        """
    )


def test_without_a_job_of_the_task_others_are_shown(deferred: JobQuery, send: Any, charge: Any) -> None:
    charge.defer(order=7)
    assert page(deferred.one, send, user_id=1) == text(
        """
        no job fits mail.send(user_id=1); the only job:

          job 1  shop.charge(order=7)  ready
              task: mail.send expected, shop.charge found
        """
    )


def test_without_any_job_connections_are_hinted_at(deferred: JobQuery) -> None:
    assert page(deferred.one) == (
        "no job fits any task(...); no job was deferred at all (one that is deferred with connection= is there once "
        "that transaction commits)"
    )


def test_several_are_told_apart(deferred: JobQuery, send: Any) -> None:
    send.defer(user_id=1)
    send.configure(queue="mail").defer(user_id=2)
    assert page(deferred.one, send) == text(
        """
        2 jobs fit mail.send(...), not one; they differ in user_id, queue:

          job 1  mail.send(user_id=1)  ready
          job 2  mail.send(user_id=2)  ready, queue 'mail'
        """
    )


def test_several_that_are_alike_were_deferred_twice(deferred: JobQuery, send: Any) -> None:
    send.batch_defer([{"user_id": 1}] * 2)
    assert page(deferred.one, send).startswith(
        "2 jobs fit mail.send(...), not one; they differ in nothing but their ids (was it deferred more than once?):"
    )


def test_those_that_should_not_be_are_listed(deferred: JobQuery, send: Any, charge: Any) -> None:
    send.defer(user_id=1)
    charge.defer(order=7)
    assert page(deferred.none, user_id=1) == text(
        """
        a job fits any task(user_id=1), and none should:

          job 1  mail.send(user_id=1)  ready
        """
    )


def test_the_place_inside_of_a_value_is_named(deferred: JobQuery, charge: Any) -> None:
    charge.defer(order={"items": [{"price": 3, "name": "tea"}], "note": None, "id": 1})
    assert page(deferred.one, charge, order={"items": [{"price": 4, "name": "tea"}], "paid": True, "id": 1}) == text(
        """
        no job fits shop.charge(order={'items': [{'price': 4, 'name': 'tea'}...id': True, 'id': 1}); the only job:

          job 1  shop.charge(order={'items': [{'price': 3, 'name': 'tea'}...te': None, 'id': 1})  ready
              order['items'][0]['price']: 4 expected, 3 found
              order['paid']: True expected, nothing found
              order['note']: nothing expected, None found
        """
    )


def test_lists_of_another_length_are_told_by_it(deferred: JobQuery, charge: Any) -> None:
    charge.defer(order=[1, 2])
    assert "      order: [1] (1 long) expected, [1, 2] (2 long) found" in page(deferred.one, charge, order=(1,))


def test_long_texts_are_shown_around_the_first_difference(deferred: JobQuery, charge: Any) -> None:
    charge.defer(order="a" * 200 + "b" + "c" * 200)
    shown = page(deferred.one, charge, order="a" * 200 + "x" + "c" * 200)
    aaa, ccc = "a" * 20, "c" * 19
    assert f"order: ...'{aaa}x{ccc}' expected, ...'{aaa}b{ccc}' (from character 180) found" in shown
    charge.defer(order="c" * 400)
    assert "(401 characters) expected" in page(deferred.one, charge, order="c" * 401)


def test_functions_are_called_by_their_name(deferred: JobQuery, charge: Any) -> None:
    charge.defer(order=7)

    def even(order: int) -> bool:
        return order % 2 == 0

    assert page(deferred.one, charge, order=even) == text(
        """
        no job fits shop.charge(order=even); the only job:

          job 1  shop.charge(order=7)  ready
              order: a value that even accepts expected, 7 found
        """
    )


def test_a_page_is_bounded(deferred: JobQuery, send: Any, charge: Any) -> None:
    send.batch_defer([{"user_id": number} for number in range(100)])
    charge.defer(order={str(number): "x" * 1_000_000 for number in range(20)})
    shown = page(deferred.one, send, user_id=-1).splitlines()
    assert shown[0] == "no job fits mail.send(user_id=-1); the closest of 101 jobs:"
    assert shown[2] == "  job 1  mail.send(user_id=0)  ready"
    assert shown[-1] == "and 96 more jobs"
    assert len(shown) == 13
    assert page(deferred.none, send).splitlines()[-2:] == ["  job 5  mail.send(user_id=4)  ready", "  and 95 more jobs"]
    shown = page(deferred.one, charge, order={str(number): "y" for number in range(20)}).splitlines()
    assert shown[9] == "      and 14 more differences"
    assert max(map(len, shown)) < 200


def test_failed_jobs_tell_their_error_in_one_line(app: pq.App, run_jobs: RunJobs) -> None:
    @app.task(name="fail", retry=2)
    def fail() -> None:
        raise ValueError("two\nlines " + "x" * 200)

    fail.defer()
    run_jobs(on_error="record")
    assert repr(run_jobs.deferred) == text(
        f"""
        <JobQuery: 1 job>
          job 1  fail()  failed, attempt 2, ValueError: two lines {"x" * 43}...{"x" * 32}
        """
    )


@pytest.mark.parametrize(
    "after, brief_text, whole_text",
    [
        (timedelta(0), "now", "now"),
        (timedelta(hours=2), "in 2 h", "in 2 h"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4), "in 1 d 2 h", "in 1 d 2 h 3 min 4 s"),
        (timedelta(hours=2, microseconds=1), "in 2 h", "in 2 h 0.000001 s"),
        (timedelta(seconds=-90), "1 min 30 s ago", "1 min 30 s ago"),
        (timedelta(milliseconds=-1500), "1.5 s ago", "1.5 s ago"),
        (timedelta(days=400), "in 400 d", "in 400 d"),
    ],
)
def test_times_are_told_from_now(after: timedelta, brief_text: str, whole_text: str) -> None:
    assert due(START + after, START) == brief_text
    assert due(START + after, START, parts=None) == whole_text


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


def test_whatever_a_value_is_it_can_be_shown() -> None:
    assert brief(Broken()) == "<Broken>"
    assert brief("x" * 100, 20) == "'xxxxxxxxxxx...xxxx'"
    assert len(brief("é" * 100, 20)) == 20
    assert call_of("t", {str(number): "x" * 30 for number in range(9)}).endswith(", ... 6 more)")
