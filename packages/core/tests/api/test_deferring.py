"""From a call to a stored job, sync and async alike, and nothing half done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

import pq_core as pq

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Shop:
    """An app with one task, whose jobs are deferred in the colour of the test."""

    def __init__(self, *, is_async: bool) -> None:
        self.memory = pq.InMemoryConnector()
        self.app = pq.App(connector=self.memory)
        self.is_async = is_async

        @self.app.task(name="add", lock="till", queue="sums")
        def add(a: Any, b: Any = 0) -> Any: ...

        self.add = add

    def do(self, subject: Any, verb: str, /, *args: Any, **kwargs: Any) -> Any:
        if not self.is_async:
            return getattr(subject, verb)(*args, **kwargs)

        async def call() -> Any:
            return await getattr(subject, f"{verb}_async")(*args, **kwargs)

        return anyio.run(call)

    @property
    def only_job(self) -> pq.Job:
        (job,) = self.memory.jobs.values()
        return job


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def shop(request: pytest.FixtureRequest) -> Shop:
    return Shop(is_async=request.param)


def test_defer_stores_a_job_and_returns_its_id(shop: Shop) -> None:
    job_id = shop.do(shop.add, "defer", 3, b=5)
    assert shop.only_job.id == job_id
    assert shop.only_job.args == {"a": 3, "b": 5}
    assert (shop.only_job.task, shop.only_job.queue, shop.only_job.lock) == ("add", "sums", "till")


def test_batch_defer_stores_in_order(shop: Shop) -> None:
    ids = shop.do(shop.add, "batch_defer", [{"a": n} for n in range(5)])
    assert [shop.memory.jobs[job_id].args for job_id in ids] == [{"a": n} for n in range(5)]
    assert ids == sorted(ids)


def test_an_empty_batch_works(shop: Shop) -> None:
    assert shop.do(shop.add, "batch_defer", []) == []
    assert shop.do(shop.app, "defer_many", []) == []


@pytest.mark.parametrize(
    "bad,error",
    [
        ({}, "job 2 of the batch: missing a required argument: 'a'; .*signature is add"),
        ({"a": {1, 2}}, r"job 2 of the batch: args\['a'\]"),
        ("a", "job 2 of the batch: 'a' is not a dict of arguments"),
        ({1: 2}, "job 2 of the batch: {1: 2} is not a dict of arguments"),
    ],
)
def test_a_batch_with_one_bad_job_stores_nothing_and_names_it(shop: Shop, bad: Any, error: str) -> None:
    with pytest.raises(pq.InvalidArguments, match=error) as refusal:
        shop.do(shop.add, "batch_defer", [{"a": 1}, {"a": 2}, bad, {"a": 3}])
    assert refusal.value.index == 2
    assert shop.memory.jobs == {}


@pytest.mark.parametrize("bad", [{}, {"a": {1}}])
def test_the_only_job_of_a_batch_is_named_too(shop: Shop, bad: Any) -> None:
    with pytest.raises(pq.InvalidArguments, match="job 0 of the batch") as refusal:
        shop.do(shop.add, "batch_defer", [bad])
    assert refusal.value.index == 0


def test_jobs_of_several_tasks_go_in_together(shop: Shop) -> None:
    other = shop.app.task(name="other")(lambda queue: queue)
    ids = shop.do(shop.app, "defer_many", [shop.add.job(1), other.job(queue="an argument"), shop.add.job(a=2)])
    assert [(shop.memory.jobs[i].task, shop.memory.jobs[i].args) for i in ids] == [
        ("add", {"a": 1}),
        ("other", {"queue": "an argument"}),
        ("add", {"a": 2}),
    ]


def test_defer_many_takes_jobs_only(shop: Shop) -> None:
    with pytest.raises(pq.InvalidJob, match=r"job 1 of the batch is \{'a': 1\}, not a NewJob") as refusal:
        shop.do(shop.app, "defer_many", [shop.add.job(1), {"a": 1}])
    assert refusal.value.index == 1
    assert shop.memory.jobs == {}


def test_configure_changes_what_it_names(shop: Shop) -> None:
    shop.do(shop.add.configure(priority=5, metadata={"by": "me"}), "defer", 1)
    assert (shop.only_job.priority, shop.only_job.metadata) == (5, {"by": "me"})
    assert (shop.only_job.lock, shop.only_job.queue) == ("till", "sums")


def test_a_lock_of_the_task_can_be_switched_off(shop: Shop) -> None:
    shop.do(shop.add.configure(lock=None), "defer", 1)
    assert shop.only_job.lock is None


def test_configure_may_be_repeated(shop: Shop) -> None:
    shop.do(shop.add.configure(lock="a", lock_mode="mutex").configure(queue="q").configure(lock="b"), "defer", 1)
    assert (shop.only_job.lock, shop.only_job.lock_mode, shop.only_job.queue) == ("b", "mutex", "q")


def test_a_job_may_wait_for_a_moment(shop: Shop) -> None:
    shop.do(shop.add.configure(schedule_at=NOON), "defer", 1)
    assert shop.only_job.scheduled_at == NOON
    assert shop.only_job.state == pq.State.SCHEDULED


@pytest.mark.parametrize("wait", [{"hours": 1, "minutes": 30}, timedelta(minutes=90)])
def test_a_job_may_wait_for_a_while(shop: Shop, wait: Any) -> None:
    shop.do(shop.add.configure(schedule_in=wait), "defer", 1)
    assert shop.only_job.scheduled_at - shop.only_job.created_at == timedelta(minutes=90)


def test_a_time_replaces_the_one_set_before(shop: Shop) -> None:
    later = shop.add.configure(schedule_in={"hours": 1})
    assert later.configure(schedule_at=NOON).job(1) == pq.NewJob(
        task="add", args={"a": 1}, queue="sums", lock="till", scheduled_at=NOON
    )
    assert later.configure(schedule_in=None).job(1).delay is None
    assert later.configure(priority=1).job(1).delay == timedelta(hours=1)


@pytest.mark.parametrize(
    "options,why",
    [
        ({"schedule_at": datetime(2030, 1, 1)}, "schedule_at .* has no time zone"),  # noqa: DTZ001 - that is the fault
        ({"schedule_at": "tomorrow"}, "is not a datetime"),
        ({"schedule_in": {"minutes": -5}}, "schedule_in .* is negative"),
        ({"schedule_in": timedelta(days=-1)}, "schedule_in .* is negative"),
        ({"schedule_at": NOON, "schedule_in": {"hours": 1}}, "exclude each other"),
        ({"priority": 2**40}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"queue": ""}, "queue"),
        ({"queue": None}, "queue"),
        ({"lock": "l" * 2_001}, "2001 characters"),
        ({"lock": ""}, "None means no lock"),
        ({"lock_mode": "x"}, "lock_mode"),
    ],
)
def test_a_value_that_no_job_may_have_is_refused_by_configure(shop: Shop, options: dict[str, Any], why: str) -> None:
    with pytest.raises(pq.InvalidJob, match=why):
        shop.add.configure(**options)


def test_an_option_that_there_is_not_is_refused_by_configure(shop: Shop) -> None:
    options: dict[str, Any] = {"a": 3}
    with pytest.raises(pq.InvalidOption, match="configure has no option 'a'; its options are connection, expires_at"):
        shop.add.configure(**options)


@pytest.mark.parametrize(
    "argument", [{1}, float("nan"), float("inf"), "\x00", "\ud800", {1: 2}, datetime(2030, 1, 1, tzinfo=UTC), object()]
)
def test_an_argument_that_json_cannot_carry_is_refused(shop: Shop, argument: Any) -> None:
    with pytest.raises(pq.InvalidArguments, match=r"args\['a'\]|key of args"):
        shop.do(shop.add, "defer", argument)
    assert shop.memory.jobs == {}


@pytest.mark.parametrize(
    "call,why",
    [
        (lambda add: add.job(), "missing a required argument: 'a'"),
        (lambda add: add.job(1, 2, 3), "too many positional arguments"),
        (lambda add: add.job(1, c=2), "unexpected keyword argument 'c'"),
        (lambda add: add.job(1, a=2), "multiple values for argument 'a'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_the_signature(
    shop: Shop, call: Callable[[Any], Any], why: str
) -> None:
    with pytest.raises(pq.InvalidArguments, match=rf"{why}; the task's signature is add\(a: .*, b: .* = 0\)"):
        call(shop.add)


def test_an_argument_may_be_named_like_anything(shop: Shop) -> None:
    @shop.app.task(name="odd")
    def odd(self: int, args: int, kwargs: int, lock: int, connection: int) -> None: ...

    named = {"self": 1, "args": 2, "kwargs": 3, "lock": 4, "connection": 5}
    shop.do(odd, "defer", **named)
    assert shop.only_job.args == named


@pytest.mark.parametrize("queue", ["q" * 200, "Größe 🐘 queue", "a\nb"])
def test_a_queue_may_have_a_long_name_in_any_script(shop: Shop, queue: str) -> None:
    shop.do(shop.add.configure(queue=queue), "defer", 1)
    assert shop.only_job.queue == queue


def test_jobs_join_the_transaction_of_a_connection(shop: Shop) -> None:
    def defer_and_fail() -> None:
        with shop.memory.transaction() as transaction:
            shop.do(shop.add.configure(connection=transaction).configure(priority=1), "defer", 1)
            shop.do(shop.add.configure(connection=transaction), "batch_defer", [{"a": 2}])
            shop.do(shop.app, "defer_many", [shop.add.job(3)], connection=transaction)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        defer_and_fail()
    assert shop.memory.jobs == {}
    with shop.memory.transaction() as transaction:
        shop.do(shop.add.configure(connection=transaction).configure(priority=1), "defer", 1)
    assert shop.only_job.priority == 1


def test_a_connection_of_another_kind_is_refused(shop: Shop) -> None:
    with pytest.raises(pq.WrongConnection):
        shop.do(shop.add.configure(connection=object()), "defer", 1)


def test_a_task_of_another_code_base_is_deferred_by_its_name(shop: Shop) -> None:
    elsewhere = shop.app.configure_task("elsewhere.send", queue="mails", lock="l")
    shop.do(elsewhere, "defer", to="you")
    assert (shop.only_job.task, shop.only_job.args, shop.only_job.queue) == ("elsewhere.send", {"to": "you"}, "mails")


def test_a_task_known_by_name_only_takes_arguments_by_keyword(shop: Shop) -> None:
    with pytest.raises(pq.InvalidArguments, match="give its arguments by keyword"):
        shop.do(shop.app.configure_task("elsewhere"), "defer", 1)


def test_a_known_task_keeps_its_options_and_signature_when_deferred_by_name(shop: Shop) -> None:
    shop.do(shop.app.configure_task("add", priority=3), "defer", 1)
    assert (shop.only_job.queue, shop.only_job.lock, shop.only_job.priority) == ("sums", "till", 3)
    with pytest.raises(pq.InvalidArguments, match="missing a required argument"):
        shop.do(shop.app.configure_task("add"), "defer")


def test_an_alias_is_deferred_under_the_name_of_its_task(shop: Shop) -> None:
    shop.app.task(name="new", aliases=["old"])(lambda: None)
    shop.do(shop.app.configure_task("old"), "defer")
    assert shop.only_job.task == "new"


def test_a_name_that_must_be_known_is_not_found(shop: Shop) -> None:
    with pytest.raises(pq.TaskNotFound, match="'elsewhere'"):
        shop.app.configure_task("elsewhere", allow_unknown=False)


@pytest.mark.parametrize("name", ["", "n" * 501, "\x00", 5])
def test_a_name_that_no_task_may_have_is_refused(shop: Shop, name: Any) -> None:
    with pytest.raises(pq.InvalidJob, match="task"):
        shop.app.configure_task(name)
