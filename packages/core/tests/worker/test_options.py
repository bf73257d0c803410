"""Options of a worker: what is refused, and what is meant by leaving them out."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Any

import attrs
import pytest

import pq_core as pq
from pq_core.worker.options import Settings


class Color(StrEnum):
    RED = "red"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def app() -> pq.App:
    return pq.App(connector=pq.InMemoryConnector())


@pytest.mark.parametrize(
    "option, value",
    [
        ("queues", []),
        ("queues", "sums"),
        ("queues", [""]),
        ("queues", ["a\0b"]),
        ("queues", [5]),
        ("name", ""),
        ("name", "x" * 501),
        ("concurrency", 0),
        ("concurrency", True),
        ("concurrency", 1.5),
        ("batch", 0),
        ("batch", 10_001),
        ("poll_interval", 0),
        ("poll_interval", float("inf")),
        ("poll_interval", float("nan")),
        ("poll_interval", "5"),
        ("lease", -1),
        ("graceful_timeout", -1),
        ("graceful_timeout", True),
        ("keep", "some"),
        ("retention", 30),
        ("retention", timedelta(-1)),
        ("retention", {"running": timedelta(1)}),
        ("retention", {"failed": 5}),
        ("retention", {"failed": timedelta(-1)}),
        ("retention", {5: None}),
        ("queues", 5),
        ("lease", 86_401),
        ("lease", 1e300),
        ("lease", 10**5000),
        ("poll_interval", 86_401),
        ("graceful_timeout", 1e300),
        ("graceful_timeout", 10**400),
        ("concurrency", 10**5000),
        ("wait", "no"),
        ("wait", None),
        ("listen", 5),
        ("log_arguments", "yes"),
        ("install_signal_handlers", 0),
        ("keep", []),
        ("max_jobs", 0),
        ("max_jobs", 1.5),
        ("max_jobs", True),
        ("max_jobs", 10**400),
        ("max_memory", 0),
        ("max_memory", float("nan")),
        ("max_memory", "1GB"),
        ("max_memory", 10**400),
    ],
    ids=lambda value: str(value)[:30] if not isinstance(value, int) or value < 2**64 else "huge",
)
def test_a_value_that_an_option_cannot_have_is_refused_by_name(app: pq.App, option: str, value: Any) -> None:
    with pytest.raises(pq.InvalidOption, match=option if option != "name" else "worker: name"):
        pq.Worker(app, **{option: value})


@pytest.mark.parametrize(
    "options",
    [
        {"queues": None},
        {"queues": ("a", "b")},
        {"queues": ["ünïcødé " * 25]},
        {"graceful_timeout": None},
        {"graceful_timeout": 0},
        {"retention": None},
        {"lease": 1},
        {"lease": 86_400, "poll_interval": 86_400},
    ],
)
def test_a_value_that_an_option_can_have_is_taken(app: pq.App, options: Any) -> None:
    pq.Worker(app, **options)


def test_an_option_that_there_is_not_is_refused_and_those_there_are_listed(app: pq.App) -> None:
    unknown: Any = {"concurency": 5}
    with pytest.raises(pq.InvalidOption, match="no option 'concurency'; its options are batch, concurrency, "):
        pq.Worker(app, **unknown)
    app.worker_defaults = unknown
    with pytest.raises(pq.InvalidOption, match="no option 'concurency'"):
        app.run_worker()


def test_members_of_an_enum_name_queues_and_workers(app: pq.App) -> None:
    settings = pq.Worker(app, queues=[Color.RED], name=Color.RED).settings
    assert settings.queues is not None
    assert [type(name) for name in (*settings.queues, settings.name)] == [str, str]


def test_options_of_the_app_are_defaults_for_its_workers() -> None:
    app = pq.App(connector=pq.InMemoryConnector(), worker_defaults={"wait": False, "queues": ["b"]})

    @app.task(queue="a")
    def task() -> None: ...

    task.defer()
    app.run_worker()
    assert [job.state for job in app.jobs.find()] == ["ready"]
    app.run_worker(queues=["a"])
    assert [job.state for job in app.jobs.find()] == ["succeeded"]


def test_every_option_can_be_given_by_name() -> None:
    assert set(pq.WorkerOptions.__annotations__) == {field.name for field in attrs.fields(Settings)}
