from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture
def stored(command: Any) -> Any:
    """A job of the task add waits on the queue sums, and one of the task fail on default."""
    command.app.tasks["add"].defer(a=1, b=2)
    command.app.tasks["fail"].defer()
    return command


def states(command: Any) -> list[str]:
    command.app.run_worker(wait=False)
    command.app.open()
    return [str(job.state) for job in command.app.jobs.find()]


def test_queues_tasks_and_all_are_paused_and_resumed(stored: Any) -> None:
    words = ["--queue", "sums", "--task", "fail", "--task", "other", "--all"]
    rows = stored("pause", *words).stdout.splitlines()
    assert [row.split("\t")[:2] for row in rows[1:]] == [
        ["all", ""],
        ["queue", "sums"],
        ["task", "fail"],
        ["task", "other"],
    ]
    assert states(stored) == ["ready", "ready"]
    left = json.loads(stored("resume", "--all", "--queue", "sums", "--json").stdout)
    assert [(each["kind"], each["name"]) for each in left] == [("task", "fail"), ("task", "other")]
    assert states(stored) == ["succeeded", "blocked"]
    stored("resume", "--task", "fail")
    assert states(stored) == ["succeeded", "failed"]


def test_queues_are_listed_with_what_is_paused(stored: Any) -> None:
    stored("pause", "--queue", "sums", "--task", "fail")
    result = stored("queues")
    assert result.stdout.splitlines()[1:] == ["default\tFalse\t0\t1\t0\t0", "sums\tTrue\t0\t1\t0\t0"]
    assert "task fail" in result.stderr
    listed = json.loads(stored("queues", "--json").stdout)
    assert listed["queues"][1] == {
        "queue": "sums",
        "paused": True,
        "scheduled": 0,
        "ready": 1,
        "blocked": 0,
        "running": 0,
    }
    assert {each["kind"] for each in listed["pauses"]} == {"queue", "task"}


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_nothing_is_paused_that_is_not_named(stored: Any, verb: str) -> None:
    assert "--all" in stored(verb, code=2).stderr
    assert stored.app.jobs.pauses() == []


def test_what_cannot_name_a_queue_is_refused(stored: Any) -> None:
    assert "queue" in stored("pause", "--queue", "", code=2).stderr
