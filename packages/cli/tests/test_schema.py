from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pq_core.postgres.schema import script


def test_sql_needs_no_database(bare: Callable[..., Any]) -> None:
    assert bare("schema", "sql").stdout == script("pq")
    assert bare("schema", "sql", "--schema", 'my "own"').stdout == script('my "own"')


def test_sql_is_for_the_schema_of_the_app(bare: Callable[..., Any], write_module: Callable[[str], str]) -> None:
    name = write_module("import pq_core as pq\napp = pq.App(connector=pq.PsycopgConnector(schema='mine'))\n")
    assert bare("schema", "sql", "--app", f"{name}:app").stdout == script("mine")


def test_sql_of_a_connector_without_a_schema_is_refused(command: Any) -> None:
    assert "has no schema" in " ".join(command("schema", "sql", code=2).stderr.split())


def test_memory_is_always_up_to_date(command: Any) -> None:
    assert json.loads(command("schema", "apply", "--json").stdout)["applied"] == []
    assert json.loads(command("schema", "status", "--json").stdout)["current"] is True
