from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

import pq_core as pq

OPTIONS_OF_A_COMMAND = {"install_signal_handlers": "a command always obeys signals"}


def test_once_runs_what_is_there_and_ends(command: Any) -> None:
    command.app.tasks["add"].defer(a=1, b=2)
    command("worker", "--once")
    assert command.app.jobs.get(1).result == 3


def test_only_the_queues_named_are_served(command: Any) -> None:
    command.app.tasks["add"].defer(a=1, b=2)
    command.app.tasks["add"].configure(queue="other").defer(a=1, b=2)
    command("worker", "other", "third", "--once")
    assert [job.state for job in command.app.jobs.find()] == ["ready", "succeeded"]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The options of the workers made."""
    seen: list[dict[str, Any]] = []

    class Spy:
        def __init__(self, app: Any, **options: Any) -> None:
            seen.append(options)

        recycled = None

        def run(self) -> None:
            pass

    monkeypatch.setattr(pq, "Worker", Spy)
    return seen


def test_every_option_of_a_worker_is_a_flag(command: Any, made: list[dict[str, Any]]) -> None:
    words = "a b --name w --concurrency 3 --once --poll-interval 2 --no-listen --graceful-timeout 1m --lease 90s"
    words += (
        " --keep failed --retention 2d --batch 7 --log-arguments --max-jobs 9 --max-memory 512 --max-result-bytes 9999"
        " --transaction-warning 3m"
    )
    command("worker", *words.split())
    assert made == [
        {
            "queues": ["a", "b"],
            "name": "w",
            "concurrency": 3,
            "wait": False,
            "poll_interval": 2.0,
            "listen": False,
            "graceful_timeout": 60.0,
            "transaction_warning": 180.0,
            "lease": 90.0,
            "keep": "failed",
            "retention": timedelta(days=2),
            "batch": 7,
            "log_arguments": True,
            "max_jobs": 9,
            "max_memory": 512.0,
            "max_result_bytes": 9999,
        }
    ]
    assert set(made[0]) | set(OPTIONS_OF_A_COMMAND) == set(pq.WorkerOptions.__annotations__)


def test_what_is_not_given_is_left_to_the_app(command: Any, made: list[dict[str, Any]]) -> None:
    command.app.worker_defaults = {"concurrency": 4, "keep": "none"}
    command("worker", "--keep", "all")
    assert made == [{"concurrency": 4, "keep": "all"}]


def test_forever_means_without_end(command: Any, made: list[dict[str, Any]]) -> None:
    command("worker", "--retention", "forever", "--graceful-timeout", "forever")
    assert made == [{"retention": None, "graceful_timeout": None}]


@pytest.mark.parametrize(
    "words,complaint",
    [
        (["--concurrency", "0"], "concurrency 0 is not"),
        (["--concurrency", "many"], "'--concurrency'"),
        (["--poll-interval", "0"], "poll_interval 0.0 is not"),
        (["--poll-interval", "often"], "'often' is not a length of time"),
        (["--graceful-timeout", "-1"], "'-1' is not a length of time"),
        (["--lease", "0"], "lease 0.0 is not"),
        (["--keep", "some"], "keep 'some' is none of"),
        (["--retention", "long"], "'long' is not a length of time"),
        (["--batch", "0"], "batch 0 is not"),
        (["--name", ""], "name ''"),
        (["--max-jobs", "0"], "max_jobs 0 is not"),
        (["--max-memory", "0"], "max_memory 0.0 is not"),
        (["--log-level", "loud"], "'loud' is none of debug, info"),
        (["--min-size", "2"], "InMemoryConnector has no pool"),
        (["q" * 501], "has 501 characters"),
    ],
)
def test_bad_input_is_refused_by_name(command: Any, words: list[str], complaint: str) -> None:
    assert complaint in " ".join(command("worker", *words, "--once", code=2).stderr.split())


def test_without_an_app_there_is_no_worker(bare: Any) -> None:
    assert "name it as mycode:app, here or in PQ_APP" in " ".join(bare("worker", code=2).stderr.split())


def test_it_does_not_start_on_a_schema_that_lacks_migrations(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    old = pq.SchemaStatus(version=1, missing=["0002_more"], outdated=["fetch"])
    monkeypatch.setattr(pq.App, "check", lambda self: old)
    assert "too old: version 1; without 0002_more; to create anew: fetch; run `pq schema apply`" in (
        command("worker", "--once", code=5).stderr
    )


def test_it_starts_beside_functions_of_a_later_version(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pq.App, "check", lambda self: pq.SchemaStatus(version=1, outdated=["fetch"]))
    command("worker", "--once")
