from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import pq_core as pq
from pq_core.health import Health, Pin


def test_each_thing_has_a_line(command: Any) -> None:
    app, database, schema = command("check").stdout.splitlines()
    assert app.split()[:2] == ["app", "ok"]
    assert app.endswith("2 tasks")
    assert database.split() == ["database", "ok", "answers"]
    assert schema.split()[:2] == ["schema", "ok"]


def test_as_json_there_is_one_answer_and_its_parts(command: Any) -> None:
    found = json.loads(command("check", "--json").stdout)
    assert found["ok"] is True
    assert [(each["name"], each["ok"]) for each in found["checks"]] == [
        ("app", True),
        ("database", True),
        ("schema", True),
    ]
    assert all(set(each) == {"name", "ok", "detail"} for each in found["checks"])


def test_without_the_app_what_only_the_app_knows_is_not_checked(bare: Callable[..., Any]) -> None:
    found = json.loads(bare("check", "--json", "--app", "not_there:app", code=3).stdout)
    assert found["ok"] is False
    assert [each["ok"] for each in found["checks"]] == [False, None, None]


def test_an_app_is_not_needed(bare: Callable[..., Any]) -> None:
    found = json.loads(bare("check", "--json", code=4).stdout)
    assert [each["ok"] for each in found["checks"]] == [None, False, None]


def test_a_schema_that_lacks_functions_is_wrong(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pq.App, "check", lambda self: pq.SchemaStatus(version=1, outdated=["fetch"]))
    assert "FAILED" in command("check", code=5).stdout.splitlines()[2]


def test_an_error_of_another_kind_is_the_databases(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise pq.ConnectorError("the role may not do this")

    monkeypatch.setattr(pq.App, "check", refuse)
    assert "the role may not do this" in command("check", code=1).stdout.splitlines()[1]


def test_who_keeps_vacuum_back_is_named_and_is_no_fault(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    report = Pin(kind="session", name="report", pid=4, role="ada", state="idle in transaction", age=timedelta(hours=3))
    short = Pin(kind="session", pid=5, age=timedelta(seconds=9))
    health = Health(at=datetime.now(UTC), workers=1, pins=[report, short])
    monkeypatch.setattr(pq.App, "health", lambda self: health)
    *_, line = command("check").stdout.splitlines()
    assert line.split(maxsplit=2) == [
        "vacuum",
        "-",
        "session 'report' of ada (pid 4) idle in transaction has kept vacuum for 3 h from removing dead rows",
    ]


def test_that_nobody_can_say_who_keeps_vacuum_back_is_no_fault(command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise pq.ConnectorError("the role may not look")

    monkeypatch.setattr(pq.App, "health", refuse)
    assert command("check").stdout.splitlines()[3].endswith("not checked: the role may not look")
