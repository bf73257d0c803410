from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from pq_testing.postgres import DatabaseServer, ExternalServer, PostgresNotFound, PostgresTooOld, external
from pq_testing.postgres.account import server_account

pytestmark = pytest.mark.postgres

SESSION = """
    import psycopg
    from pq_testing.postgres import Server, fresh_database, server
    with fresh_database() as dsn, fresh_database(template=server().template("key", lambda dsn: None)) as copied:
        for name in (dsn, copied):
            with psycopg.connect(name) as connection:
                print(connection.info.host)
    assert server() is server()
    print(isinstance(server(), Server))
"""


def test_a_session_uses_the_server_that_the_environment_names(
    shared: DatabaseServer, begin: Callable[..., subprocess.Popen[str]]
) -> None:
    session = begin(SESSION, env={**os.environ, "PQ_TEST_DSN": shared.dsn(), "PQ_POSTGRES_BIN": "/nowhere"})
    written, _ = session.communicate(timeout=30)
    assert session.returncode == 0
    with psycopg.connect(shared.dsn()) as connection:
        assert written.split() == [connection.info.host] * 2 + ["False"]
        left = connection.execute("select count(*) from pg_database where datname like 'pq\\_test%'").fetchone()
        assert left == (0,)


def test_a_session_without_a_server_in_the_environment_starts_one_and_leaves_nothing(
    begin: Callable[..., subprocess.Popen[str]],
) -> None:
    session = begin(SESSION, env={name: value for name, value in os.environ.items() if name != "PQ_TEST_DSN"})
    written, _ = session.communicate(timeout=30)
    assert session.returncode == 0
    first, second, own = written.split()
    assert (first, own) == (second, "True")
    assert not Path(first).exists()


@pytest.mark.parametrize("dsn", ["url", "keywords"])
def test_a_dsn_of_either_form_is_led_to_another_database(shared: DatabaseServer, dsn: str) -> None:
    with psycopg.connect(shared.dsn()) as connection:
        given = connection.info.dsn if dsn == "keywords" else shared.dsn()
    external_server = ExternalServer.connect(given)
    assert external_server.version == shared.version
    assert external_server.running
    with external_server.fresh_database() as fresh, psycopg.connect(fresh) as connection:
        assert connection.info.dbname.startswith("pq_test_")


def test_databases_that_killed_sessions_left_a_day_ago_are_dropped_at_the_next_connect(shared: DatabaseServer) -> None:
    names = [
        f"pq_test_{int(time.time() - hours * 3600):x}_{use}" for hours, use in ((25, "left"), (23, "new"), (30, "used"))
    ]
    with psycopg.connect(shared.dsn(), autocommit=True) as connection:
        for name in [*names, "pq_test_of_the_user"]:
            connection.execute(f"create database {name}")
        with psycopg.connect(shared.dsn(names[2])):
            ExternalServer.connect(shared.dsn())
        left = connection.execute("select datname from pg_database where datname like 'pq\\_test%'").fetchall()
        assert {name for (name,) in left} == {names[1], names[2], "pq_test_of_the_user"}
        for name in [*names[1:], "pq_test_of_the_user"]:
            connection.execute(f"drop database {name}")


def test_a_server_that_does_not_answer_is_a_typed_error() -> None:
    with pytest.raises(PostgresNotFound, match=r"(?s)PQ_TEST_DSN names does not let us in: .*correct it, or unset it"):
        ExternalServer.connect("host=/nowhere")


def test_a_dsn_that_is_none_is_a_typed_error() -> None:
    with pytest.raises(PostgresNotFound, match="PQ_TEST_DSN"):
        ExternalServer.connect("not a dsn")


def test_a_server_that_is_too_old_is_refused_by_version(
    shared: DatabaseServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "OLDEST_MAJOR", 99)
    with pytest.raises(PostgresTooOld, match=f"is PostgreSQL {shared.version}; pq needs 99 or later"):
        ExternalServer.connect(shared.dsn())


def test_a_user_who_may_not_create_databases_is_told_so(shared: DatabaseServer) -> None:
    with psycopg.connect(shared.dsn(), autocommit=True) as connection:
        connection.execute("create role modest login")
        with pytest.raises(PostgresNotFound, match="may not create databases"):
            ExternalServer.connect(shared.dsn().replace("//postgres@", "//modest@"))
        connection.execute("drop role modest")


def test_a_user_who_may_only_create_databases_is_enough(shared: DatabaseServer) -> None:
    with psycopg.connect(shared.dsn(), autocommit=True) as connection:
        connection.execute("create role builder login createdb")
        server = ExternalServer.connect(shared.dsn().replace("//postgres@", "//builder@"))
        name = server.template("by a builder", lambda dsn: None)
        with server.fresh_database(template=name) as dsn, psycopg.connect(dsn) as fresh:
            assert fresh.info.user == "builder"
        connection.execute(f"alter database {name} is_template false")
        connection.execute(f"drop database {name}")
        connection.execute("drop role builder")


def test_nothing_of_this_needs_an_account_on_the_machine(
    monkeypatch: pytest.MonkeyPatch, shared: DatabaseServer
) -> None:
    assert server_account() is not None
    monkeypatch.setenv("PQ_POSTGRES_USER", "pq-no-such-user")
    assert ExternalServer.connect(shared.dsn()).running
