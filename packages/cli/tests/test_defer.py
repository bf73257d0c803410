from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest


def jobs(command: Any) -> list[Any]:
    return command.app.jobs.find()


def test_it_stores_a_job_and_writes_its_id(command: Any) -> None:
    result = command("defer", "add", '{"a": 1, "b": 2}')
    (job,) = jobs(command)
    assert (result.stdout, job.task, job.args, job.queue) == (f"{job.id}\n", "add", {"a": 1, "b": 2}, "sums")


def test_as_json_it_writes_an_object(command: Any) -> None:
    assert json.loads(command("defer", "add", '{"a": 1, "b": 2}', "--json").stdout) == {"id": jobs(command)[0].id}


def test_arguments_can_come_from_standard_input(command: Any) -> None:
    command("defer", "add", "-", stdin='{"a": 1, "b": 2}')
    assert jobs(command)[0].args == {"a": 1, "b": 2}


def test_a_task_without_arguments_needs_none(command: Any) -> None:
    command("defer", "fail")
    assert jobs(command)[0].args == {}


def test_an_argument_may_be_called_like_anything(command: Any) -> None:
    command("defer", "fail", '{"self": "x"}')
    assert jobs(command)[0].args == {"self": "x"}


def test_options_take_the_place_of_the_tasks_own(command: Any) -> None:
    options = ["--queue", "other", "--priority", "-7", "--lock", "x", "--lock-mode", "mutex"]
    command("defer", "add", '{"a": 1, "b": 2}', *options)
    (job,) = jobs(command)
    assert (job.queue, job.priority, job.lock, job.lock_mode) == ("other", -7, "x", "mutex")


@pytest.mark.parametrize("text", ["2030-01-31T12:00Z", "2030-01-31T13:00:00+01:00", "20300131T120000Z"])
def test_at_takes_a_moment(command: Any, text: str) -> None:
    command("defer", "fail", "--at", text)
    assert jobs(command)[0].scheduled_at == datetime(2030, 1, 31, 12, tzinfo=UTC)


def test_in_takes_a_length_of_time(command: Any) -> None:
    command("defer", "fail", "--in", "1h30m")
    (job,) = jobs(command)
    assert job.scheduled_at - job.created_at == timedelta(minutes=90)


def test_an_unknown_task_is_refused_unless_it_is_said_to_be_elsewhere(command: Any) -> None:
    refused = command("defer", "adds", code=2)
    assert "'adds'" in refused.stderr
    assert "did you mean 'add'?" in refused.stderr
    assert jobs(command) == []
    command("defer", "adds", '{"x": 1}', "--unknown")
    assert [job.task for job in jobs(command)] == ["adds"]


@pytest.mark.parametrize(
    "words,complaint",
    [
        (["add", "{"], "is not JSON"),
        (["add", "[" * 100_000], "is not JSON"),
        (["add", "[1, 2]"], "is not a JSON object"),
        (["add", '{"a": 1}'], "missing a required argument: 'b'"),
        (["add", '{"a": NaN, "b": 1}'], "args['a'] = nan"),
        (["add", '{"a": "\\u0000", "b": 1}'], "NUL"),
        (["fail", "--at", "tomorrow"], "'tomorrow' is not a time"),
        (["fail", "--at", "2030-01-31T12:00"], "has no time zone"),
        (["fail", "--in", "soon"], "'soon' is not a length of time"),
        (["fail", "--in", "1s", "--at", "2030-01-31T12:00Z"], "exclude each other"),
        (["fail", "--in", "99999w"], "longer than a thousand years"),
        (["fail", "--priority", "40000"], "priority 40000 is not"),
        (["fail", "--priority", "high"], "'--priority'"),
        (["fail", "--lock", ""], "lock ''"),
        (["fail", "--lock-mode", "loose"], "lock_mode 'loose'"),
        (["fail", "--queue", "q" * 501], "has 501 characters"),
        ([], "Missing"),
    ],
)
def test_bad_input_is_refused_by_name_and_nothing_is_stored(command: Any, words: list[str], complaint: str) -> None:
    assert complaint in " ".join(command("defer", *words, code=2).stderr.split())
    assert jobs(command) == []
