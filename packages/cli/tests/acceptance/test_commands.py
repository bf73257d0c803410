from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.postgres


def test_a_job_goes_from_an_empty_database_to_its_result_by_commands_alone(shell: Any, empty_database: str) -> None:
    shell.environ["PQ_DSN"] = empty_database
    assert "0001_initial" in shell.run("schema", "apply").stdout
    assert json.loads(shell.run("schema", "apply", "--json").stdout) == {"schema": "pq", "applied": []}
    assert shell.run("check").stdout.count(" ok ") == 3
    assert shell.run("defer", "add", "-", stdin='{"a": 1, "b": 2}').stdout == "1\n"
    shell.run("defer", "fail")
    shell.run("worker", "--once")
    assert json.loads(shell.run("jobs", "show", "1", "--json").stdout)["result"] == 3
    assert "RuntimeError: it broke" in shell.run("jobs", "show", "2").stdout
    assert shell.run("jobs", "retry", "--state", "failed").stdout == "id\tstate\n2\tready\n"
    assert shell.run("jobs", "cancel", "2").stdout == "id\tstate\n2\tcancelled\n"
    states = [job["state"] for job in json.loads(shell.run("jobs", "list", "--json").stdout)]
    assert states == ["succeeded", "cancelled"]


def test_an_expected_error_reaches_a_script_as_an_exit_code_and_one_line(shell: Any, empty_database: str) -> None:
    away = shell.run("jobs", "list", code=4)
    assert away.stderr.startswith("pq: the database does not answer")
    missing = shell.run("worker", "--dsn", empty_database, code=5)
    assert missing.stderr.startswith("pq: pq is not installed in schema 'pq'")
    assert (away.stderr + missing.stderr).count("\n") == 2


def test_as_json_the_status_of_a_database_without_pq_is_data(shell: Any, empty_database: str) -> None:
    status = json.loads(shell.run("schema", "status", "--json", "--dsn", empty_database, code=5).stdout)
    assert (status["version"], status["current"]) == (0, False)


@pytest.mark.parametrize("words", [["worker", "--once"], ["schema", "status"], ["schema", "apply"]], ids=" ".join)
def test_a_schema_of_a_later_version_has_its_exit_code(installed: Any, database: str, words: list[str]) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("insert into pq.migrations (version, name) values (9999, '9999_later')")
    assert "is at version 9999" in installed.run(*words, code=5).stderr


def test_a_schema_that_lacks_functions_is_found_out_and_mended(installed: Any, database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("delete from pq.functions where name = 'fetch'")
    assert json.loads(installed.run("schema", "status", "--json", code=5).stdout)["outdated"] == ["fetch"]
    assert "FAILED" in installed.run("check", code=5).stdout
    assert installed.run("schema", "apply").stdout == "fetch\n"
    assert json.loads(installed.run("schema", "status", "--json").stdout)["current"] is True


def test_the_sql_of_the_schema_is_what_apply_does(shell: Any, empty_database: str) -> None:
    sql = shell.run("schema", "sql", "--dsn", empty_database, "--schema", "my own").stdout
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(sql)
    status = shell.run("schema", "status", "--json", "--dsn", empty_database, "--schema", "my own")
    assert json.loads(status.stdout)["current"] is True


def test_libpqs_environment_is_enough(shell: Any, database: str) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(database)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE", "password": "PGPASSWORD"}
    shell.environ |= {names[key]: str(value) for key, value in parts.items() if key in names}
    del shell.environ["PQ_APP"]
    assert shell.run("jobs", "list", "--json").stdout == "[]\n"
    assert shell.run("defer", "elsewhere", "--unknown").stdout == "1\n"


def test_a_reader_that_goes_away_early_is_no_accident(installed: Any) -> None:
    listing = installed.start("jobs", "list", "--json")
    listing.stdout.close()
    listing.wait(30)
    assert "Traceback" not in listing.stderr.read()
