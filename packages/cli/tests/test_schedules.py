from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture
def stored(command: Any) -> Any:
    """A schedule that was made at run time, and one that code declares."""
    command("schedules", "add", "mine", "plus", '{"a": 1, "b": 2}', "--cron", "*/5 * * * *", "--max-delay", "1h")
    app = command.app
    app.periodic(cron="@daily", id="code", args={"a": 1, "b": 2})(app.tasks["add"])
    app.connector.sync.put_schedules(app.declared_schedules(), declared=True)
    return command


def listed(command: Any) -> dict[str, Any]:
    return {each["id"]: each for each in json.loads(command("schedules", "list", "--json").stdout)}


def test_a_schedule_is_made_with_the_options_of_its_task(stored: Any) -> None:
    mine = listed(stored)["mine"]
    assert (mine["task"], mine["args"], mine["queue"]) == ("add", {"a": 1, "b": 2}, "sums")
    assert (mine["state"], mine["cron"], mine["timezone"], mine["max_delay"]) == ("stored", "*/5 * * * *", "UTC", 3600)


def test_a_list_is_lines_with_tabs_for_programs(stored: Any) -> None:
    header, code, mine = stored("schedules", "list").stdout.splitlines()
    assert header.split("\t") == ["id", "state", "task", "cron", "timezone", "next_tick", "last_tick"]
    assert [code.split("\t")[1], mine.split("\t")[1]] == ["declared", "stored"]


def test_a_schedule_is_changed_paused_resumed_and_removed(stored: Any) -> None:
    stored("schedules", "change", "mine", "--timezone", "Europe/Paris", "--catch-up", "all")
    mine = listed(stored)["mine"]
    assert (mine["cron"], mine["timezone"], mine["catch_up"]) == ("*/5 * * * *", "Europe/Paris", "all")
    stored("schedules", "pause", "mine", "code")
    assert {each["state"] for each in listed(stored).values()} == {"paused"}
    stored("schedules", "resume", "mine")
    assert listed(stored)["mine"]["state"] == "stored"
    stored("schedules", "remove", "mine")
    assert [*listed(stored)] == ["code"]


def test_the_next_ticks_are_shown(stored: Any) -> None:
    ticks = stored("schedules", "next", "code", "--count", "2").stdout.split()
    assert len(ticks) == 2
    assert all(tick.endswith("T00:00:00+00:00") for tick in ticks)
    assert json.loads(stored("schedules", "next", "code", "--count", "2", "--json").stdout) == ticks


def test_an_id_that_there_is_not_is_a_failure(stored: Any) -> None:
    assert "'none'" in stored("schedules", "pause", "mine", "none", code=1).stderr
    stored("schedules", "next", "none", code=1)


@pytest.mark.parametrize(
    "words, said",
    [
        (["add", "x", "add", "{}", "--cron", "61 * * * *"], "missing a required argument"),
        (["add", "x", "add", '{"a": 1, "b": 1}', "--cron", "61 * * * *"], "character 1: '61' is no minute"),
        (["add", "mine", "add", '{"a": 1, "b": 1}', "--cron", "@daily"], "there is a schedule"),
        (["change", "mine"], "say what to change"),
        (["change", "mine", "--timezone", "Mars"], "timezone 'Mars'"),
        (["change", "code", "--cron", "@hourly"], "declared in code"),
    ],
)
def test_what_cannot_be_is_refused(stored: Any, words: list[str], said: str) -> None:
    assert said in " ".join(stored("schedules", *words, code=2).stderr.split())
