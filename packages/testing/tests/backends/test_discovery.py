"""Where the PostgreSQL of a session comes from, and what is said if there is none."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pq_core.connector import JobFilter
from pq_core.job import NewJob
from pq_testing.backends import containers, discovery
from pq_testing.backends.discovery import Databases
from pq_testing.backends.errors import PostgresNotAvailable
from pq_testing.postgres import PostgresNotFound, PostgresTooOld, Server, fresh_database, session
from pq_testing.postgres.account import server_account
from pq_testing.postgres.databases import DatabaseServer

JOB = [NewJob(task="t")]


@pytest.fixture
def databases() -> Iterator[Databases]:
    databases = Databases()
    yield databases
    databases.close()


def names(dsn: str) -> set[str]:
    with psycopg.connect(dsn, dbname="postgres", autocommit=True) as connection:
        return {name for (name,) in connection.execute("select datname from pg_database").fetchall()}


def test_a_session_has_one_database_with_pq_in_it_that_is_dropped_at_its_end(databases: Databases) -> None:
    dsn = databases.dsn()
    assert databases.dsn() == dsn
    backend = databases.backend(dsn)
    assert databases.backend(dsn) is backend
    backend.reset()
    backend.connector().sync.defer(JOB)
    name = str(conninfo_to_dict(dsn)["dbname"])
    assert name in names(dsn)
    databases.close()
    assert name not in names(dsn)


def test_a_fresh_database_is_a_copy_of_its_own(databases: Databases) -> None:
    with databases.fresh() as one, databases.fresh() as other:
        for backend in (one, other):
            backend.reset()
            assert backend.connector().sync.defer(JOB)[0].id == 1
            backend.close_test()
    assert not {str(conninfo_to_dict(each.dsn)["dbname"]) for each in (one, other)} & names(databases.dsn())


def test_a_database_that_is_named_is_used_as_it_is_beside_the_users_tables() -> None:
    with fresh_database() as dsn:
        with psycopg.connect(dsn) as user:
            user.execute("create table orders (id int); insert into orders values (7)")
        mine = Databases(named=dsn)
        backend = mine.backend(mine.dsn())
        backend.reset()
        backend.connector().sync.defer(JOB)
        backend.reset()
        with mine.fresh() as fresh:
            assert conninfo_to_dict(fresh.dsn)["dbname"] != conninfo_to_dict(dsn)["dbname"]
        mine.close()
        with psycopg.connect(dsn) as user:
            assert user.execute("select id from orders").fetchall() == [(7,)]
            assert user.execute("select count(*) from pq.jobs").fetchone() == (0,)


@pytest.fixture
def programs() -> Iterator[Path]:
    """A directory for programs of PostgreSQL; other users can reach it, but not pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="pq-test-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def none_here(monkeypatch: pytest.MonkeyPatch, programs: Path) -> None:
    """There are no programs of PostgreSQL to be found."""
    monkeypatch.delenv("PQ_TEST_DSN", raising=False)
    monkeypatch.setenv("PQ_POSTGRES_BIN", str(programs))
    monkeypatch.setattr(session, "_started", [])


@pytest.mark.usefixtures("none_here")
def test_if_there_is_none_one_line_says_what_was_tried_and_why_it_was_of_no_use(databases: Databases) -> None:
    with pytest.raises(PostgresNotAvailable) as raised:
        databases.dsn()
    told = str(raised.value)
    assert "\n" not in told
    for tried in ("PQ_TEST_DSN: not set", "PQ_POSTGRES_BIN: no postgres nor initdb", "testcontainers: Docker does not"):
        assert tried in told
    assert "pip install" in told
    with pytest.raises(PostgresNotAvailable) as again:
        databases.dsn()
    assert again.value is raised.value


@pytest.mark.usefixtures("none_here")
def test_versions_before_15_are_told_by_their_number(
    databases: Databases, monkeypatch: pytest.MonkeyPatch, programs: Path
) -> None:
    for name in ("postgres", "initdb", "pg_ctl"):
        (programs / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n")
        (programs / name).chmod(0o755)
    monkeypatch.setattr(discovery, "start_container", _no_container)
    with pytest.raises(PostgresTooOld, match=r"14\.9"):
        databases.dsn()


def _no_container() -> tuple[DatabaseServer, Callable[[], object]]:
    raise PostgresNotAvailable("testcontainers: not installed")


def test_a_real_error_is_no_sign_that_there_is_none(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> DatabaseServer:
        raise OSError("disk on fire")

    monkeypatch.delenv("PQ_TEST_DSN", raising=False)
    monkeypatch.setattr(session, "server", broken)
    with pytest.raises(OSError, match="on fire"):
        databases.dsn()


def test_a_named_server_that_does_not_answer_is_an_error_and_not_passed_over(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_started", [])
    monkeypatch.setenv("PQ_TEST_DSN", "host=127.0.0.1 port=1")
    with pytest.raises(PostgresNotFound, match="PQ_TEST_DSN"):
        databases.dsn()


def test_a_container_is_the_last_resort_and_ends_with_the_session(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []
    monkeypatch.delenv("PQ_TEST_DSN", raising=False)
    with Server.start() as server:
        monkeypatch.setattr(discovery, "start_container", lambda: (server, lambda: ended.append(1)))
        monkeypatch.setattr(session, "server", _nothing)
        databases.backend(databases.dsn()).reset()
        databases.close()
    assert ended == [1]


def _nothing() -> DatabaseServer:
    raise PostgresNotFound("no PostgreSQL 15 or later to be found")


def test_a_container_of_testcontainers_is_asked_for_as_the_library_wants_it() -> None:
    """Whether Docker would start it is not seen here: making one asks Docker already."""
    container = containers._container_class()
    inspect.signature(container.__init__).bind(None, "postgres:18", driver=None)
    assert all(callable(getattr(container, name)) for name in ("start", "stop", "get_connection_url"))


def test_testcontainers_asked_for_but_without_docker_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PQ_TEST_DSN", raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    with pytest.raises(PostgresNotAvailable, match="Docker does not answer"):
        Databases(via="testcontainers").dsn()


def test_pytest_postgresql_asked_for_without_its_plugin_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PQ_TEST_DSN", raising=False)
    with pytest.raises(PostgresNotAvailable, match=r"pip install 'pq-testing\[pytest-postgresql\]'"):
        Databases(via="pytest-postgresql").dsn()


def test_the_fixture_of_pytest_postgresql_says_where_its_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pytest_postgresql")
    monkeypatch.delenv("PQ_TEST_DSN", raising=False)
    with Server.start() as server:
        facts = conninfo_to_dict(server.dsn())
        process = SimpleNamespace(host=facts["host"], port=5432, user="postgres", password="")
        databases = Databases(via="pytest-postgresql", fixture={"postgresql_proc": process}.__getitem__)
        databases.backend(databases.dsn()).reset()
        databases.close()


REAL = """
    import pytest
    from pq_core.job import NewJob
    from pq_testing.backends.discovery import Databases


    @pytest.fixture(scope="session")
    def databases(request):
        databases = Databases(via="pytest-postgresql", fixture=request.getfixturevalue)
        yield databases
        databases.close()


    def test_a_job(databases):
        backend = databases.backend(databases.dsn())
        backend.reset()
        assert backend.connector().sync.defer([NewJob(task="t")])[0].id == 1
"""


def test_the_server_that_pytest_postgresql_starts_is_used(programs: Path) -> None:
    pytest.importorskip("pytest_postgresql")
    project = programs
    (project / "test_job.py").write_text(textwrap.dedent(REAL), encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if name not in ("PQ_TEST_DSN", "HOME")}
    off = [
        word for name in ("asyncio", "django", "flask", "randomly", "cacheprovider") for word in ("-p", f"no:{name}")
    ]
    command = [sys.executable, "-m", "pytest", "-q", *off]
    if os.geteuid() == 0:  # which pytest-postgresql, as PostgreSQL, refuses
        account = server_account("nobody")
        for path in (project, *project.iterdir()):
            os.chown(path, account.uid, account.gid)
        command = ["setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups", *_READING, *command]
    done = subprocess.run(
        command,
        cwd=project,
        env=environ | {"HOME": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


# Where root keeps Python to itself, this is what another user needs to read it.
_READING = [f"--{kind}=-all,+dac_override" for kind in ("bounding-set", "inh-caps", "ambient-caps")]


def test_jobs_of_a_test_are_seen_by_nobody_before_it_commits(databases: Databases) -> None:
    backend = databases.backend(databases.dsn())
    backend.reset()
    with psycopg.connect(backend.dsn) as connection:
        backend.connector().sync.defer(JOB, connection=connection)
        assert backend.connector().sync.find(JobFilter()) == []
        connection.rollback()
