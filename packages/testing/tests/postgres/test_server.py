from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from pq_testing.postgres import DatabaseServer, Server, ServerNotStarted, directory, local_server
from pq_testing.postgres.account import Account
from pq_testing.postgres.directory import ServerDirectory

pytestmark = pytest.mark.postgres


def ask(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]


def do(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


def test_a_server_of_each_version_that_is_here_answers_when_start_returns(majors: list[int]) -> None:
    for major in majors:
        with Server.start(major=major) as server:
            assert str(ask(server.dsn(), "show server_version")).startswith(server.version)
            assert server.binaries.major == major
            assert server.running


def test_a_server_runs_as_an_unprivileged_user_in_a_directory_of_its_own(server: Server, account: Account) -> None:
    status = server.directory.stat()
    assert (status.st_uid, status.st_mode & 0o777) == (account.uid, 0o700)
    assert account.uid != 0


def test_a_server_listens_on_its_socket_only(server: Server) -> None:
    assert ask(server.dsn(), "show listen_addresses") == ""
    assert str(ask(server.dsn(), "show unix_socket_directories")) == str(server.directory)


def test_a_dsn_does_not_depend_on_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PGPORT": "1",
        "PGHOST": "nowhere",
        "PGUSER": "x",
        "PGDATABASE": "y",
        "PGSSLMODE": "require",
    }.items():
        monkeypatch.setenv(name, value)
    assert ask(server.dsn(), "select current_database()") == "postgres"


def test_a_server_does_not_inherit_what_the_environment_says_about_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("LC_ALL", "xx_XX")
    monkeypatch.setenv("TZ", "Europe/Paris")
    with Server.start() as server:
        monkeypatch.delenv("PGCLIENTENCODING")
        assert ask(server.dsn(), "show client_encoding") == "UTF8"
        assert ask(server.dsn(), "show timezone") == "UTC"


def test_settings_of_the_caller_come_before_those_for_tests() -> None:
    with Server.start(
        settings={"work_mem": "7MB", "fsync": "on", "application_name": "a b 'c"}, autovacuum=False
    ) as server:
        names = ("work_mem", "fsync", "application_name", "autovacuum")
        assert [ask(server.dsn(), f"select reset_val from pg_settings where name = '{name}'") for name in names] == [
            "7168",
            "on",
            "a b 'c",
            "off",
        ]


def test_a_server_that_does_not_start_shows_its_log_and_leaves_nothing(
    processes_of: Callable[[Path], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    make = directory.make_server_directory

    def remember(account: Account) -> ServerDirectory:
        its_own = make(account)
        made.append(its_own.path)
        return its_own

    monkeypatch.setattr(local_server, "make_server_directory", remember)
    with pytest.raises(ServerNotStarted, match=r'unrecognized configuration parameter "nonsense"') as caught:
        Server.start(settings={"nonsense": "1"})
    assert "nonsense" in caught.value.log
    assert not made[0].exists()
    assert processes_of(made[0]) == []


def test_a_server_outlives_the_thread_that_started_it() -> None:
    started: list[Server] = []
    thread = threading.Thread(target=lambda: started.append(Server.start()))
    thread.start()
    thread.join()
    with started[0] as server:
        # Longer than the supervisor takes to look whether its owner is there.
        assert ask(server.dsn(), "select 1 from pg_sleep(2.5)") == 1
        assert server.running


def test_stop_leaves_no_process_no_file_and_no_shared_memory(processes_of: Callable[[Path], list[int]]) -> None:
    own, crashed = Server.start(), Server.start()
    segments = [
        (server.directory / "data" / "postmaster.pid").read_text().splitlines()[6].split()[1]
        for server in (own, crashed)
    ]
    assert set(segments) <= shared_memory()
    crashed.crash()
    for server in (own, crashed):
        server.stop()
        assert not server.directory.exists()
        assert processes_of(server.directory) == []
        assert not server.running
    assert not set(segments) & shared_memory()


def shared_memory() -> set[str]:
    listing = subprocess.run(["ipcs", "-m"], check=True, capture_output=True, text=True).stdout
    return {line.split()[1] for line in listing.splitlines() if len(line.split()) > 2}


def test_stop_may_be_called_twice_and_then_the_server_is_gone_for_good() -> None:
    server = Server.start()
    server.stop()
    server.stop()
    with pytest.raises(ServerNotStarted, match="start another one"):
        server.restart()


def test_a_crash_kills_every_process_at_once_and_loses_no_commit(
    server: Server, processes_of: Callable[[Path], list[int]], eventually: Callable[..., None]
) -> None:
    do(server.dsn(), "create table kept as select generate_series(1, 1000)")
    ended: list[Exception] = []

    def be_busy() -> None:
        try:
            # It never looks whether the server is still there.
            do(server.dsn(), "select count(*) from generate_series(1, 1e6) a, generate_series(1, 1e6) b")
        except psycopg.OperationalError as error:
            ended.append(error)

    busy = threading.Thread(target=be_busy, daemon=True)
    busy.start()
    eventually(lambda: ask(server.dsn(), "select count(*) from pg_stat_activity where query like '%1e6%'") == 2)
    server.crash()
    assert not server.running
    assert processes_of(server.directory) == []
    busy.join(10)
    assert len(ended) == 1
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.dsn())
    server.restart()
    assert server.running
    assert ask(server.dsn(), "select count(*) from kept") == 1000


def test_many_crashes_in_a_row_are_survived(server: Server) -> None:
    do(server.dsn(), "create table kept (number int)")
    for number in range(5):
        do(server.dsn(), f"insert into kept values ({number})")
        server.crash()
        server.restart()
    assert ask(server.dsn(), "select count(*) from kept") == 5


def test_a_server_that_is_stopped_with_its_data_kept_has_them_after_restart(server: Server) -> None:
    do(server.dsn(), "create table kept as select 1 as number")
    server.stop(keep_data=True)
    assert not server.running
    assert server.directory.exists()
    server.restart()
    assert ask(server.dsn(), "select number from kept") == 1


def test_restart_of_a_server_that_is_up_ends_its_sessions(server: Server) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        server.restart()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    assert ask(server.dsn(), "select 1") == 1


def test_a_server_that_dies_by_itself_is_not_running(server: Server, eventually: Callable[..., None]) -> None:
    pid = (server.directory / "data" / "postmaster.pid").read_text().splitlines()[0]
    subprocess.run(["kill", "-KILL", pid], check=True)
    eventually(lambda: not server.running)
    server.restart()
    assert ask(server.dsn(), "select 1") == 1


def test_threads_may_talk_to_a_server_at_once(server: Server) -> None:
    answers: list[bool] = []
    threads = [threading.Thread(target=lambda: answers.extend(server.running for _ in range(20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 160


def test_a_fresh_database_is_empty_and_gone_after_the_block(shared: DatabaseServer) -> None:
    with shared.fresh_database() as dsn, shared.fresh_database() as other:
        do(dsn, "create table mine (number int)")
        assert ask(other, "select to_regclass('mine') is null")
        name = ask(dsn, "select current_database()")
    assert ask(shared.dsn(), f"select count(*) from pg_database where datname = '{name}'") == 0


def test_a_fresh_database_goes_even_while_it_is_used(shared: DatabaseServer) -> None:
    with shared.fresh_database() as dsn:
        connection = psycopg.connect(dsn)
        name = connection.info.dbname
    connection.close()
    assert ask(shared.dsn(), f"select count(*) from pg_database where datname = '{name}'") == 0


def test_a_fresh_database_of_a_server_that_is_down_does_not_hide_the_test_s_own_error(server: Server) -> None:
    def crash_and_fail() -> None:
        with server.fresh_database():
            server.crash()
            raise KeyError("the test's own")

    with pytest.raises(KeyError):
        crash_and_fail()


def test_a_template_is_prepared_once_for_each_key(shared: DatabaseServer) -> None:
    prepared: list[str] = []

    def prepare(dsn: str) -> None:
        prepared.append(dsn)
        do(dsn, "create table ready as select 42 as answer")

    first = shared.template("once", prepare)
    assert shared.template("once", prepare) == first
    assert shared.template("other", prepare) != first
    assert len(prepared) == 2
    for _ in range(2):
        with shared.fresh_database(template=first) as dsn:
            assert ask(dsn, "select answer from ready") == 42
            do(dsn, "drop table ready")


def test_a_template_is_prepared_once_by_many_who_ask_at_once(shared: DatabaseServer) -> None:
    prepared: list[str] = []

    def prepare(dsn: str) -> None:
        prepared.append(dsn)
        do(dsn, "select pg_sleep(0.2)")

    def ask_for_it() -> None:
        shared._templates.clear()
        shared.template("race", prepare)

    threads = [threading.Thread(target=ask_for_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(prepared) == 1


def test_a_template_whose_preparation_fails_is_prepared_again(shared: DatabaseServer) -> None:
    def fail(dsn: str) -> None:
        do(dsn, "create table half_done (number int)")
        raise KeyError("migration")

    with pytest.raises(KeyError):
        shared.template("fails", fail)
    assert ask(shared.dsn(), "select count(*) from pg_database where datname like '%incomplete'") == 0
    name = shared.template("fails", lambda dsn: do(dsn, "create table done (number int)"))
    with shared.fresh_database(template=name) as dsn:
        assert ask(dsn, "select to_regclass('half_done') is null and to_regclass('done') is not null")


def test_a_template_may_be_left_with_a_connection_open(shared: DatabaseServer) -> None:
    open_still: list[psycopg.Connection] = []
    name = shared.template("left open", lambda dsn: open_still.append(psycopg.connect(dsn)))
    with shared.fresh_database(template=name) as dsn:
        assert ask(dsn, "select 1") == 1
    open_still[0].close()
