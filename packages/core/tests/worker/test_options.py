"""Options of a worker: what is refused, and what is meant by leaving them out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import attrs
import pytest

import pq_core as pq
from pq_core.worker.options import Settings


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
    ],
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
    ],
)
def test_a_value_that_an_option_can_have_is_taken(app: pq.App, options: Any) -> None:
    pq.Worker(app, **options)


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
