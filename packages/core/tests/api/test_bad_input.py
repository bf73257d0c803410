"""What users get wrong is refused by an error of pq's that names the value, sync and async alike; nothing is stored."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import Enum, IntEnum, StrEnum
from typing import Any

import anyio
import pytest

import pq_core as pq
from pq_core.errors import shown
from pq_core.job import NewJob
from pq_core.outcome import Outcome
from pq_core.payload import dump, dump_mapping


class Color(StrEnum):
    RED = "red"


class Kind(str, Enum):  # noqa: UP042 - the older way to write it, which `str()` shows otherwise
    RED = "red"


class Urgency(IntEnum):
    HIGH = 5


class Mute:
    """A value that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


class Array:
    """A value that says neither yes nor no when it is compared."""

    def __eq__(self, _: object) -> bool:
        raise ValueError("the truth of an array is ambiguous")

    __hash__ = None  # type: ignore[assignment]


async def coroutine(args: dict[str, Any]) -> dict[str, Any]:
    """Be no upcaster: those are not awaited."""
    return args


class Nowhere(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta | None:
        raise KeyError("no such zone")

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str:
        return "nowhere"


class Torn(Mapping[str, Any]):
    """A mapping that fails when it is looked into."""

    def __getitem__(self, key: str) -> Any:
        raise LookupError("torn")

    def __iter__(self) -> Iterator[str]:
        return iter(["page"])

    def __len__(self) -> int:
        return 1


class TornDict(dict[str, Any]):
    def items(self) -> Any:
        raise LookupError("torn")


class Shop:
    """An app with a task and a stored job, used in the colour of the test."""

    def __init__(self, *, is_async: bool) -> None:
        self.is_async = is_async
        self.memory = pq.InMemoryConnector()
        self.app = pq.App(connector=self.memory)

        @self.app.task(name="add")
        def add(a: Any = 0, **more: Any) -> Any: ...

        self.add = add
        self.first = add.defer()

    def do(self, subject: Any, verb: str, /, *args: Any, **kwargs: Any) -> Any:
        if not self.is_async:
            return getattr(subject, verb)(*args, **kwargs)

        async def call() -> Any:
            return await getattr(subject, f"{verb}_async")(*args, **kwargs)

        return anyio.run(call)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def shop(request: pytest.FixtureRequest) -> Shop:
    return Shop(is_async=request.param)


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.InMemoryConnector())


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda shop: shop.do(shop.add, "defer", nested(2_000)), r"args\['a'\]"),
        (lambda shop: shop.do(shop.add, "defer", TornDict(a=1)), "LookupError: torn"),
        (lambda shop: shop.do(shop.add, "defer", 10**5000), r"args\['a'\].*digits"),
        (lambda shop: shop.do(shop.add, "defer", Mute()), r"args\['a'\] = <Mute>"),
        (lambda shop: shop.do(shop.add, "batch_defer", None), "args None"),
        (lambda shop: shop.do(shop.add, "batch_defer", 5), "args 5"),
        (lambda shop: shop.do(shop.add, "batch_defer", "ab"), "args 'ab'"),
        (lambda shop: shop.do(shop.add, "batch_defer", {"a": 1}), r"args \{'a': 1\}"),
        (lambda shop: shop.do(shop.add, "batch_defer", [{"a": 1}, 5]), "job 1 of the batch: 5"),
        (lambda shop: shop.do(shop.add, "batch_defer", [{"a": 1}, Mute()]), "job 1 of the batch: <Mute>"),
        (lambda shop: shop.do(shop.add, "batch_defer", [{}, {"a": nested(2_000)}]), "job 1 of the batch: args"),
        (lambda shop: shop.do(shop.app, "defer_many", None), "jobs None"),
        (lambda shop: shop.do(shop.app, "defer_many", shop.add.job()), "jobs NewJob"),
        (lambda shop: shop.do(shop.app, "defer_many", "ab"), "jobs 'ab'"),
        (lambda shop: shop.do(shop.app, "defer_many", [shop.add.job(), None]), "job 1 of the batch is None"),
    ],
)
def test_what_cannot_be_deferred_is_refused_whole(shop: Shop, call: Callable[[Shop], Any], words: str) -> None:
    with pytest.raises(pq.InvalidJob, match=words):
        call(shop)
    assert list(shop.memory.jobs) == [shop.first]


@pytest.mark.parametrize(
    "options, words",
    [
        ({"schedule_at": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))}, "between the years"),
        ({"schedule_at": datetime.max.replace(tzinfo=timezone(timedelta(hours=-12)))}, "between the years"),
        ({"schedule_at": datetime(2030, 1, 1, tzinfo=Nowhere())}, "does not tell its offset"),
        ({"schedule_at": 5}, "schedule_at 5 is not a datetime"),
        ({"schedule_in": {"years": 10**5000}}, "longer than a thousand years"),
        ({"schedule_in": {"seconds": 10**5000}}, "longer than a thousand years"),
        ({"schedule_in": Mute()}, "schedule_in <Mute>"),
        ({"schedule_in": Mute(), "schedule_at": Mute()}, "exclude each other"),
        ({"priority": 10**5000}, "priority <int>"),
        ({"priority": True}, "priority True"),
        ({"queue": Mute()}, "queue <Mute>"),
        ({"queue": b"red"}, "queue b'red'"),
        ({"lock": 5}, "lock 5"),
        ({"lock_mode": []}, r"lock_mode \[\]"),
        ({"lock_mode": Array()}, "lock_mode <"),
        ({"metadata": [1]}, r"metadata \[1\] is a list"),
        ({"metadata": None}, "metadata None"),
    ],
)
def test_what_no_job_may_have_is_refused_where_it_is_configured(
    app: pq.App, options: dict[str, Any], words: str
) -> None:
    task = app.task(name="t")(lambda: None)
    with pytest.raises(pq.InvalidJob, match=words) as caught:
        task.configure(**options)
    assert caught.value.field
    with pytest.raises(pq.InvalidJob, match=words):
        app.configure_task("other", **options)


@pytest.mark.parametrize("name", [5, None, [], "", b"t", True, "t" * 501])
def test_a_name_that_is_none_finds_no_task(app: pq.App, name: Any) -> None:
    with pytest.raises(pq.InvalidJob, match="task"):
        app.configure_task(name)
    with pytest.raises(pq.TaskNotFound):
        app.tasks[name]


IDS: list[Any] = [None, "1", "12", b"12", 1.5, True, ["1"], [None], [True]]


@pytest.mark.parametrize("ids", IDS)
@pytest.mark.parametrize("verb, options", [("cancel", {}), ("retry", {}), ("reschedule", {"priority": 1})])
def test_an_id_that_is_none_is_refused(shop: Shop, verb: str, options: dict[str, Any], ids: Any) -> None:
    before = shop.memory.jobs
    with pytest.raises(pq.InvalidOption, match="id"):
        shop.do(shop.app.jobs, verb, ids, **options)
    assert shop.memory.jobs == before


@pytest.mark.parametrize("job_id", [None, "1", b"1", 1.5, True, [1], Mute()])
def test_getting_by_an_id_that_is_none_is_refused(shop: Shop, job_id: Any) -> None:
    with pytest.raises(pq.InvalidOption, match=r"job id .* is not a whole number"):
        shop.do(shop.app.jobs, "get", job_id)


@pytest.mark.parametrize("job_id", [0, -1, 2**70, pytest.param(10**5000, id="huge")])
def test_getting_by_an_id_that_no_job_has_finds_none(shop: Shop, job_id: int) -> None:
    with pytest.raises(pq.JobNotFound):
        shop.do(shop.app.jobs, "get", job_id)


TEXTS: list[Any] = [5, b"red", ["red"], "", "nul\0", "\ud800", "x" * 2001, print, True, Mute()]
SEARCHES: list[tuple[str, Any]] = [
    *(("queue", value) for value in TEXTS),
    *(("task", value) for value in TEXTS),
    *(("lock", value) for value in TEXTS),
    *(("ids", value) for value in IDS if value is not None and value is not True),
    *(("state", value) for value in (5, "x", ["ready", "x"], [None], b"ready", Mute())),
]


@pytest.mark.parametrize("field, value", SEARCHES)
@pytest.mark.parametrize("verb", ["find", "count"])
def test_a_search_for_what_no_job_may_have_is_refused(shop: Shop, verb: str, field: str, value: Any) -> None:
    with pytest.raises(pq.InvalidOption, match="id" if field == "ids" else field):
        shop.do(shop.app.jobs, verb, **{field: value})


@pytest.mark.parametrize("value", [None, "5", 1.5, True, [1], float("nan"), Mute()])
@pytest.mark.parametrize("field", ["limit", "after"])
def test_a_page_that_is_none_is_refused(shop: Shop, field: str, value: Any) -> None:
    with pytest.raises(pq.InvalidOption, match=f"{field} .* is not a whole number"):
        shop.do(shop.app.jobs, "find", **{field: value})


def test_what_is_none_in_a_search_is_not_looked_at(shop: Shop) -> None:
    none: dict[str, Any] = dict.fromkeys(("ids", "queue", "task", "state", "lock"))
    assert [job.id for job in shop.do(shop.app.jobs, "find", **none)] == [shop.first]


@pytest.mark.parametrize("reason", [None, 5, b"late", ["late"]])
def test_a_reason_that_is_no_text_is_refused(shop: Shop, reason: Any) -> None:
    with pytest.raises(pq.InvalidOption, match=r"reason .* is not a text"):
        shop.do(shop.app.jobs, "cancel", shop.first, reason=reason)
    assert shop.memory.jobs[shop.first].state is pq.State.READY


@pytest.mark.parametrize(
    "changes",
    [
        {"queue": 5},
        {"queue": "nul\0"},
        {"lock": b"x"},
        {"lock": 5},
        {"lock": ""},
        {"priority": 1.5},
        {"priority": True},
        {"schedule_at": datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))},
        {"schedule_in": 5},
    ],
)
def test_a_change_that_no_job_may_have_is_refused(shop: Shop, changes: dict[str, Any]) -> None:
    before = shop.memory.jobs
    with pytest.raises(pq.InvalidJob) as caught:
        shop.do(shop.app.jobs, "reschedule", shop.first, **changes)
    assert caught.value.field in changes
    assert caught.value.value in changes.values()
    assert shop.memory.jobs == before


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda app: app.task(name="x", middleware=5), "middleware 5 is not a list"),
        (lambda app: app.task(name="x", middleware=None), "middleware None is not a list"),
        (lambda app: app.task(name="x", aliases=5), "aliases 5 is not a list"),
        (lambda app: app.task(name="x", aliases=None), "aliases None is not a list"),
        (lambda app: app.task(name="x", aliases=b"ab"), "aliases b'ab' is not a list"),
        (lambda app: app.task(name="x", retry=pq.RetryStrategy), "give an instance"),
        (lambda app: app.task(name="x", retry=-(10**5000)), "retry <int>"),
        (lambda app: app.task(name="x", keep=Mute()), "keep <Mute>"),
        (lambda app: app.task(name="x", keep=Array()), "keep <"),
        (lambda app: lambda _: app.task(Mute()), "<Mute> has no name"),
        (lambda app: app.task(name="x", pass_context="no"), "pass_context 'no'"),
        (lambda app: app.task(name="x", max_losses=10**5000), "max_losses <int>"),
        (lambda app: app.task(name="x", delivery="exactly_once"), "delivery 'exactly_once'"),
        (lambda app: app.task(name="x", delivery="at_most_once", retry=2), "'at_most_once' means .* leave out one"),
        (
            lambda app: app.task(name="x", delivery="at_most_once", max_losses=2),
            "'at_most_once' .* max_losses 2 .* out",
        ),
        (lambda app: app.task(name="x", timeout=0), "task 'x': timeout 0 leaves no time to run"),
        (lambda app: app.task(name="x", timeout=-1.5), "timeout -1.5 leaves no time to run"),
        (lambda app: app.task(name="x", timeout=timedelta(-1)), "timeout .* leaves no time to run"),
        (lambda app: app.task(name="x", timeout={"minutes": -1}), "timeout {'minutes': -1} leaves no time"),
        (lambda app: app.task(name="x", timeout="5m"), "timeout '5m' is neither a timedelta nor a dict"),
        (lambda app: app.task(name="x", timeout=float("inf")), "timeout .* is longer than"),
        (lambda app: app.task(name="x", store_result=None), "store_result None is neither True nor False"),
        (lambda app: app.task(name="x", executor="thread"), "executor 'thread' is neither 'process' nor None"),
        (lambda app: app.task(name="x", version=0), "task 'x': version 0 is not a whole number from 1"),
        (lambda app: app.task(name="x", version="2"), "version '2' is not a whole number"),
        (lambda app: app.task(name="x", version=2), "no function for version 1, .* add upcast={1: ...}"),
        (lambda app: app.task(name="x", version=4, upcast={1: dict, 3: dict}), "no function for version 2"),
        (lambda app: app.task(name="x", upcast={1: dict}), "for version 1, and the task's version is 1; .* version=2"),
        (lambda app: app.task(name="x", version=2, upcast=[dict]), "upcast .* is not a dict of functions by version"),
        (lambda app: app.task(name="x", version=2, upcast={"1": dict}), "version '1' is not a whole number"),
        (lambda app: app.task(name="x", version=2, upcast={1: "f"}), "upcast.1. 'f' is not a plain function"),
        (lambda app: app.task(name="x", version=2, upcast={1: coroutine}), "upcast.1. .* is not a plain function"),
    ],
)
def test_an_option_that_a_task_cannot_have_is_refused(app: pq.App, call: Callable[[pq.App], Any], words: str) -> None:
    with pytest.raises(pq.InvalidOption, match=words):
        call(app)(lambda: None)
    assert list(app.tasks) == []


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: pq.RetryStrategy(retry_exceptions=5), "retry_exceptions 5"),  # type: ignore[arg-type]
        (lambda: pq.RetryStrategy(retry_exceptions="ValueError"), "retry_exceptions 'ValueError'"),  # type: ignore[arg-type]
        (lambda: pq.RetryStrategy(wait=10**400), "wait 1000"),
        (lambda: pq.RetryStrategy(wait=10**5000), "wait <int>"),
        (lambda: pq.RetryStrategy(max_attempts=True), "max_attempts True"),
        (lambda: pq.RetryStrategy(jitter=10**5000), "jitter <int>"),
        (lambda: pq.RetryDecision(lock=5), "lock 5"),  # type: ignore[arg-type]
        (lambda: pq.RetryDecision(retry_in=10**5000), "retry_in"),
        (lambda: pq.RetryDecision(retry_at=datetime.max.replace(tzinfo=UTC)), "retry_at"),
        (lambda: pq.App(connector=pq.InMemoryConnector(), middleware=5), "middleware 5"),  # type: ignore[arg-type]
        (lambda: pq.App(connector=pq.InMemoryConnector(), middleware=[5]), "middleware 5"),  # type: ignore[list-item]
        (lambda: pq.App(connector=pq.InMemoryConnector(), import_paths=5), "import_paths 5"),  # type: ignore[arg-type]
        (lambda: pq.App(connector=pq.InMemoryConnector(), import_paths=[5]), "import_paths holds 5"),  # type: ignore[list-item]
        (lambda: pq.App(connector=pq.InMemoryConnector(), worker_defaults=5), "worker_defaults 5"),  # type: ignore[arg-type]
        (lambda: pq.App(connector=Mute()), "connector <Mute>"),  # type: ignore[arg-type]
        (
            lambda: pq.App(connector=pq.InMemoryConnector(), worker_defaults={"foo": 1}).run_worker(),  # type: ignore[typeddict-unknown-key]
            "worker has no option 'foo'; its options are batch, concurrency",
        ),
    ],
)
def test_an_option_that_cannot_be_is_refused_where_it_is_given(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(pq.InvalidOption, match=words):
        make()


@pytest.mark.parametrize("blueprint", [5, None, types])
def test_what_is_no_blueprint_is_not_included(app: pq.App, blueprint: Any) -> None:
    with pytest.raises(pq.InvalidOption, match="is not a blueprint"):
        app.add_tasks_from(blueprint)


@pytest.mark.parametrize("namespace", ["", 5, "x" * 501, "x" * 500, "nul\0"])
def test_a_namespace_that_makes_no_names_is_refused(app: pq.App, namespace: Any) -> None:
    library = pq.Blueprint()
    library.task(name="t", aliases=["u"])(lambda: None)
    with pytest.raises(pq.InvalidOption):
        app.add_tasks_from(library, namespace=namespace)
    assert list(app.tasks) == []
    app.add_tasks_from(library)
    assert list(app.tasks) == ["t"]


def test_an_alias_that_a_namespace_makes_too_long_is_refused(app: pq.App) -> None:
    library = pq.Blueprint()
    library.task(name="t", aliases=["u" * 499])(lambda: None)
    with pytest.raises(pq.InvalidOption, match="alias"):
        app.add_tasks_from(library, namespace="long")


@pytest.mark.parametrize("path", [5, None, b"json:loads", []])
def test_a_path_that_is_no_text_leads_to_no_app(path: Any) -> None:
    with pytest.raises(pq.AppNotFound, match="is not a text"):
        pq.App.from_path(path)


@pytest.mark.parametrize("color", [Color.RED, Kind.RED])
def test_members_of_an_enum_count_as_texts_and_numbers(app: pq.App, color: Any) -> None:
    task = app.task(name=color, queue=color, lock=color, priority=Urgency.HIGH, aliases=[color + "s"])(lambda: None)
    stored = app.jobs.get(task.configure(queue=color, lock=color, lock_mode="mutex").defer())
    for value in (task.name, task.queue, task.lock, stored.task, stored.queue, stored.lock):
        assert (type(value), value) == (str, "red")
    for number in (task.priority, stored.priority):
        assert (type(number), number) == (int, 5)
    assert app.jobs.find(queue=color, task=color, lock=color) == [stored]
    assert app.configure_task(color).template.task == "red"
    included = pq.App(connector=app.connector)
    included.add_tasks_from(app, namespace=color)
    assert list(included.tasks) == ["red:red"]


@pytest.mark.parametrize("color", [Color.RED, Kind.RED])
def test_members_of_an_enum_say_where_a_retry_goes(app: pq.App, color: Any) -> None:
    decision = pq.RetryDecision(queue=color, lock=color, priority=Urgency.HIGH)
    assert [type(value) for value in (decision.queue, decision.lock, decision.priority)] == [str, str, int]
    job = app.jobs.get(app.configure_task("t").defer())
    outcome = Outcome.retried(job, ValueError(), queue=color, lock=color, priority=Urgency.HIGH)
    assert [type(value) for value in (outcome.queue, outcome.lock, outcome.priority)] == [str, str, int]
    with pytest.raises(pq.InvalidOption, match="lock 5"):
        Outcome.retried(job, ValueError(), lock=5)  # type: ignore[arg-type]


def test_waits_that_outgrow_all_numbers_end_at_the_longest() -> None:
    strategy = pq.RetryStrategy(linear_wait=1.7e308, jitter=0.5, max_wait=60)
    assert strategy.get_schedule_in(attempts=3) == 60
    assert pq.RetryStrategy(wait=1e308, linear_wait=1e308, max_wait=60).get_schedule_in(attempts=3) == 60


def test_a_mapping_that_fails_when_it_is_looked_into_is_refused() -> None:
    with pytest.raises(pq.InvalidJob, match=r"args = .* LookupError: torn"):
        dump_mapping(Torn(), "args", error=pq.InvalidJob)


@pytest.mark.parametrize(
    "value, path",
    [
        ([1, {"a": [(), {2}]}], r"x\[1\]\['a'\]\[1\] = \{2\}"),
        ({"a": [[]], "b": {"c": b""}}, r"x\['b'\]\['c'\] = b''"),
        ({"a": {"b\0": 1}}, r"key of x\['a'\] = 'b\\x00'"),
        ([[["\ud800"]], float("nan")], r"x\[0\]\[0\]\[0\]"),
    ],
)
def test_the_first_part_that_json_cannot_carry_is_named_by_its_path(value: Any, path: str) -> None:
    with pytest.raises(pq.InvalidJob, match=path):
        dump(value, "x")


def test_a_number_that_is_no_member_of_its_class_is_shown_short() -> None:
    assert shown(Mute()) == "<Mute>"
    assert shown(10**5000) == "<int>"
    assert shown("x" * 100, 10) == "'xxxxxx..."


def test_a_job_is_frozen_after_it_was_made_plain() -> None:
    job = NewJob(task=Color.RED)
    with pytest.raises(AttributeError):
        job.task = "blue"  # type: ignore[misc]
