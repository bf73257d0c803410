"""The options unique, queueing_lock and expiry: what they mean, and what of them is refused where it is declared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

import pq_core as pq
from pq_core.errors import shown

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def memory() -> pq.InMemoryConnector:
    return pq.InMemoryConnector(clock=lambda: NOON)


@pytest.fixture
def app(memory: pq.InMemoryConnector) -> pq.App:
    return pq.App(connector=memory)


def index_task(app: pq.App, **options: Any) -> Any:
    @app.task(name="index", **options)
    def index(page: Any, section: Any = 1, *, fast: bool = False) -> None: ...

    return index


def key(task: Any, *args: Any, **kwargs: Any) -> str:
    return str(task.job(*args, **kwargs).unique_key)


def test_a_task_without_the_option_makes_jobs_without_a_key(app: pq.App) -> None:
    job = index_task(app).job(7)
    assert (job.unique_key, job.unique_scope, job.unique_period, job.on_conflict) == (None, "waiting", None, "raise")


def test_a_text_is_the_key_of_all_jobs_and_true_that_of_equal_arguments(app: pq.App) -> None:
    task = index_task(app, unique="index")
    assert key(task, 7) == key(task, 8) == "index"
    task = task.configure(unique=True)
    assert key(task, 7) == key(task, page=7) != key(task, 8)


@pytest.mark.parametrize("off", [None, False])
def test_none_and_false_switch_off_what_the_task_has(app: pq.App, off: Any) -> None:
    task = index_task(app, unique=pq.Unique(key="k", scope="live", period=HOUR, on_conflict="skip"))
    job = task.configure(unique=off).job(7)
    assert (job.unique_key, job.unique_scope, job.unique_period, job.on_conflict) == (None, "waiting", None, "raise")


def test_other_options_leave_the_key_as_it_is(app: pq.App) -> None:
    task = index_task(app, unique=pq.Unique(key="k", scope="live", period={"hours": 1}, on_conflict="replace"))
    job = task.configure(priority=3).job(7)
    assert (job.unique_key, job.unique_scope, job.unique_period, job.on_conflict) == ("k", "live", HOUR, "replace")


def test_a_made_key_names_the_task_and_depends_on_task_queue_and_arguments(app: pq.App) -> None:
    task = index_task(app, unique=True)
    assert key(task, 7).startswith("index:")
    assert key(task, {"b": 1, "a": [1, 2]}) == key(task, {"a": [1, 2], "b": 1})
    others = [
        key(task, 7),
        key(task, 7.0),
        key(task, "7"),
        key(task, [7]),
        key(task, 7, 1),
        key(task.configure(queue="q"), 7),
    ]
    assert len({*others}) == len(others)


def test_a_made_key_fits_the_store_however_long_the_name_of_the_task(app: pq.App, memory: pq.InMemoryConnector) -> None:
    @app.task(name="t" * 500, unique=True)
    def long(text: str) -> None: ...

    long.defer("x" * 100_000)
    (job,) = memory.jobs.values()
    assert len(job.unique_key or "") <= 500


def test_of_named_arguments_only_those_make_the_key_and_absent_ones_count_as_absent(app: pq.App) -> None:
    task = index_task(app, unique=pq.Unique(args=["page", "section"]))
    assert key(task, 7, fast=True) == key(task, 7) != key(task, 7, 1)
    task = task.configure(unique=pq.Unique(args=False))
    assert key(task, 7) == key(task, 8, 9)


def test_a_task_that_takes_any_name_may_be_unique_by_any(app: pq.App) -> None:
    @app.task(name="any", unique=pq.Unique(args=["color"]))
    def take(**things: Any) -> None: ...

    assert key(take, color=1, size=2) == key(take, color=1) != key(take, size=2)


def test_a_task_known_by_its_name_is_unique_by_its_arguments_too(app: pq.App) -> None:
    task = index_task(app, unique=True)
    assert key(app.configure_task("index", unique=True), page=7) == key(task, 7)
    assert key(app.configure_task("elsewhere", unique=pq.Unique(args=["a"])), a=1, b=2).startswith("elsewhere:")


def test_a_queueing_lock_is_a_key_of_those_that_wait(app: pq.App) -> None:
    job = index_task(app, queueing_lock="indexing").job(7)
    assert (job.unique_key, job.unique_scope, job.on_conflict) == ("indexing", "waiting", "raise")
    assert index_task(pq.App(connector=pq.InMemoryConnector())).configure(queueing_lock="l").job(7).unique_key == "l"


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: pq.Unique(key=""), "unique: unique_key '' is not a text of at least one character"),
    (lambda: pq.Unique(key="k" * 501), "has 501 characters"),
    (lambda: pq.Unique(key=7), "unique_key 7"),  # type: ignore[arg-type]
    (lambda: pq.Unique(key="\x00"), "NUL"),
    (lambda: pq.Unique(scope="all"), "unique_scope 'all' is none of 'waiting', 'live'"),  # type: ignore[arg-type]
    (lambda: pq.Unique(on_conflict="ignore"), "on_conflict 'ignore' is none of"),  # type: ignore[arg-type]
    (lambda: pq.Unique(period=timedelta(0)), "period is no time at all"),
    (lambda: pq.Unique(period=-HOUR), "period"),
    (lambda: pq.Unique(period={"fortnights": 1}), "unknown unit 'fortnights'"),  # type: ignore[typeddict-unknown-key]
    (lambda: pq.Unique(args="page"), "not True, False or a list"),
    (lambda: pq.Unique(args=[]), "empty list"),
    (lambda: pq.Unique(args=[1]), "1, which is not the name"),  # type: ignore[list-item]
    (lambda: pq.Unique(key="k", args=["page"]), "exclude each other"),
]


@pytest.mark.parametrize("make,why", WRONG, ids=[why for _, why in WRONG])
def test_what_makes_no_sense_is_refused_where_it_is_declared(make: Callable[[], object], why: str) -> None:
    with pytest.raises(pq.InvalidOption) as caught:
        make()
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "options,why",
    [
        (
            {"unique": pq.Unique(args=["pages"])},
            "args names 'pages', no argument of task 'index'; it has page, section, fast",
        ),
        ({"unique": 7}, "unique 7 is neither"),
        ({"unique": ""}, "at least one character"),
        ({"queueing_lock": ""}, "queueing_lock"),
        ({"unique": "k", "queueing_lock": "l"}, "exclude each other"),
        ({"unique": True, "queueing_lock": "l"}, "exclude each other"),
        ({"expires_in": -HOUR}, "expires_in"),
    ],
)
def test_a_wrong_option_is_refused_by_the_task_and_by_configure(app: pq.App, options: dict[str, Any], why: str) -> None:
    with pytest.raises(pq.InvalidOption) as caught:
        index_task(app, **options)
    assert why in str(caught.value)
    with pytest.raises((pq.InvalidOption, pq.InvalidJob)) as other:
        index_task(pq.App(connector=pq.InMemoryConnector())).configure(**options)
    assert why in str(other.value)


def test_arguments_that_json_cannot_carry_make_no_key(app: pq.App) -> None:
    task = index_task(app, unique=True)
    with pytest.raises(pq.InvalidArguments, match=r"args\['page'\]"):
        task.job(object())
    with pytest.raises(pq.InvalidArguments) as caught:
        task.batch_defer([{"page": 1}, {"page": float("nan")}])
    assert caught.value.index == 1


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_every_way_to_defer_answers_with_the_job_that_has_the_key(
    app: pq.App, memory: pq.InMemoryConnector, *, is_async: bool
) -> None:
    task = index_task(app, unique=pq.Unique(args=["page"], on_conflict="replace"))

    def call(subject: Any, verb: str, *args: Any, **kwargs: Any) -> Any:
        if not is_async:
            return getattr(subject, verb)(*args, **kwargs)
        return anyio.run(lambda: getattr(subject, f"{verb}_async")(*args, **kwargs))

    first = call(task, "defer", 7)
    assert call(task, "defer", 7, 2) == first
    assert call(task, "batch_defer", [{"page": 7}, {"page": 8}])[0] == first
    jobs = [task.job(7, 3), task.job(9)]
    assert call(app, "defer_many", jobs)[0] == first
    skip = task.configure(unique=pq.Unique(args=["page"], on_conflict="skip"))
    results = call(app, "defer_many", [task.job(7, 4), skip.job(7, 5), task.job(10)], results=True)
    assert [result.status for result in results] == ["replaced", "skipped", "new"]
    assert [result.id for result in results[:2]] == [first, first]
    assert memory.jobs[first].args == {"page": 7, "section": 4}


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_a_refused_job_names_the_one_that_has_the_key_and_its_place(
    app: pq.App, memory: pq.InMemoryConnector, *, is_async: bool
) -> None:
    task = index_task(app, queueing_lock="l")
    first = task.defer(7)

    async def refused(call: Callable[[], Any]) -> pq.AlreadyDeferred:
        with pytest.raises(pq.AlreadyDeferred) as caught:
            await call() if is_async else call()
        return caught.value

    verbs = [("defer", 8), ("batch_defer", [{"page": 8}])]
    for (verb, argument), index in zip(verbs, (None, 0), strict=True):
        error = anyio.run(refused, lambda verb=verb, given=argument: getattr(task, verb + "_async" * is_async)(given))
        assert (error.job_id, error.index, error.value) == (first, index, "l")
        assert f"taken by job {first}" in str(error)
    assert [*memory.jobs] == [first]


def test_an_expiry_is_a_moment_or_a_wait_and_the_later_word_counts(app: pq.App, memory: pq.InMemoryConnector) -> None:
    task = index_task(app, expires_in={"minutes": 5})
    assert task.job(7).expires_in == timedelta(minutes=5)
    assert task.configure(priority=1).job(7).expires_in == timedelta(minutes=5)
    other = task.configure(expires_at=NOON + HOUR)
    assert (other.job(7).expires_at, other.job(7).expires_in) == (NOON + HOUR, None)
    assert task.configure(expires_in=None).job(7).expires_in is None
    job_id = task.defer(7)
    assert memory.jobs[job_id].expires_at == NOON + timedelta(minutes=5)


@pytest.mark.parametrize(
    "options",
    [
        {"schedule_in": {"hours": 2}, "expires_in": HOUR},
        {"schedule_in": {"minutes": 5}},  # the task's jobs expire then
        {"schedule_at": NOON, "expires_at": NOON},
        {"expires_in": {"minutes": 0}},
    ],
)
def test_a_job_that_would_expire_before_it_is_due_is_refused(app: pq.App, options: Any) -> None:
    task = index_task(app, expires_in={"minutes": 5})
    with pytest.raises(pq.InvalidJob, match=r"expires_(in|at) .* no time"):
        task.configure(**options)
    task.configure(**options | {"expires_in": {"days": 1}, "expires_at": None})


def test_a_task_whose_jobs_have_no_time_to_start_is_refused(app: pq.App) -> None:
    with pytest.raises(pq.InvalidOption, match=r"expires_in .* no time to start"):
        index_task(app, expires_in={"minutes": 0})


@pytest.mark.parametrize(
    "options",
    [{"expires_at": NOON, "expires_in": HOUR}, {"expires_at": NOON.replace(tzinfo=None)}, {"expires_in": -HOUR}],
)
def test_an_expiry_that_no_job_may_have_is_refused(app: pq.App, options: dict[str, Any]) -> None:
    with pytest.raises(pq.InvalidJob, match="expires_"):
        index_task(app).configure(**options)


def test_the_key_is_shown_in_the_error_as_it_is_written() -> None:
    memory = pq.InMemoryConnector()
    job = pq.NewJob(task="t", unique_key="größe 'k'")
    memory.sync.defer([job])
    with pytest.raises(pq.AlreadyDeferred) as caught:
        memory.sync.defer([job])
    assert shown("größe 'k'") in str(caught.value)
