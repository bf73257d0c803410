from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from pq_testing.postgres import CacheNotWritable, DataDirectoryIncompatible, DevServer, ServerNotStarted, dev
from pq_testing.postgres.account import Account

pytestmark = pytest.mark.postgres

Begin = Callable[..., subprocess.Popen[str]]
Eventually = Callable[..., None]


@pytest.fixture
def keep() -> Iterator[Callable[[Path], DevServer]]:
    """Make the server of a project; it is stopped and its data are removed when the test ends."""
    servers: list[DevServer] = []

    def make(directory: Path) -> DevServer:
        server = DevServer(directory)
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.down()
        shutil.rmtree(server.place, ignore_errors=True)
        shutil.rmtree(server._socket_directory(), ignore_errors=True)


@pytest.fixture
def project(open_path: Path, keep: Callable[[Path], DevServer]) -> DevServer:
    return keep(open_path)


def write(dsn: str, number: int) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("create table if not exists kept (number int)")
        connection.execute("insert into kept values (%s)", [number])


def read(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        return [number for (number,) in connection.execute("select number from kept order by 1")]


def postmaster(server: DevServer) -> int:
    return int((server.data / "postmaster.pid").read_text().splitlines()[0])


def test_data_are_kept_when_the_server_is_stopped_and_the_dsn_stays(project: DevServer) -> None:
    assert not project.running
    dsn = project.up()
    assert project.running
    write(dsn, 1)
    project.down()
    assert not project.running
    assert project.up() == dsn == project.dsn
    assert read(dsn) == [1]


def test_writes_are_durable(project: DevServer) -> None:
    with psycopg.connect(project.up()) as connection:
        rows = connection.execute(
            "select setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit')"
        ).fetchall()
    assert rows == [("on",)] * 3


def test_a_server_that_runs_is_used_again(project: DevServer) -> None:
    dsn = project.up()
    first = postmaster(project)
    assert DevServer(project.directory).up() == dsn
    assert postmaster(project) == first


def test_the_server_outlives_the_process_that_started_it(project: DevServer, begin: Begin) -> None:
    starter = begin(
        f"""
        from pathlib import Path
        from pq_testing.postgres import DevServer
        print(DevServer(Path({str(project.directory)!r})).up())
        """,
        start_new_session=True,
    )
    written, _ = starter.communicate(timeout=40)
    assert written.strip() == project.dsn
    assert project.running
    with pytest.raises(ProcessLookupError):
        os.killpg(starter.pid, 0)
    write(project.dsn, 1)


def test_processes_that_start_it_at_once_share_one_server(project: DevServer, begin: Begin) -> None:
    script = f"""
        from pathlib import Path
        from pq_testing.postgres import DevServer
        project = DevServer(Path({str(project.directory)!r}))
        project.up()
        print((project.data / "postmaster.pid").read_text().split()[0])
    """
    starters = [begin(script) for _ in range(5)]
    assert {starter.communicate(timeout=50)[0] for starter in starters} == {f"{postmaster(project)}\n"}


def test_a_server_that_was_killed_starts_again_with_its_data(project: DevServer, eventually: Eventually) -> None:
    write(project.up(), 1)
    os.kill(postmaster(project), signal.SIGKILL)
    eventually(lambda: not project.running)
    project.up()
    assert read(project.dsn) == [1]


def test_a_server_that_was_killed_starts_again_though_its_process_id_is_another_s_now(
    project: DevServer, eventually: Eventually, account: Account
) -> None:
    write(project.up(), 1)
    pid = postmaster(project)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not project.running)
    others = subprocess.Popen(["sleep", "60"], **account.child_options)
    try:
        for stale in (project.data / "postmaster.pid", project._socket_directory() / ".s.PGSQL.5432.lock"):
            stale.write_text(stale.read_text().replace(str(pid), str(others.pid)))
        project.up()
    finally:
        others.kill()
        others.wait()
    assert read(project.dsn) == [1]


def test_stopping_a_server_that_does_not_run_is_no_error(project: DevServer) -> None:
    project.down()
    project.up()
    project.down()
    project.down()


def test_the_directory_is_kept_out_of_version_control(project: DevServer) -> None:
    project.up()
    assert (project.home / ".gitignore").read_text() == "*\n"
    assert sorted(path.name for path in project.directory.iterdir()) == [".pq"]


@pytest.mark.parametrize(
    "name", ["with space", "quo'te\"d", "back\\slash $HOME `id`", "per%cent&?#", "comma,ed", "l" * 90, "é"]
)
def test_the_path_of_a_project_may_be_anything(open_path: Path, name: str, keep: Callable[[Path], DevServer]) -> None:
    directory = open_path / name
    directory.mkdir()
    project = keep(directory)
    write(project.up(), 1)
    assert read(project.dsn) == [1]
    assert (project.home / "postgres" / "data" / "PG_VERSION").exists()


def test_a_project_that_is_moved_keeps_its_data(open_path: Path, keep: Callable[[Path], DevServer]) -> None:
    (open_path / "before").mkdir()
    project = keep(open_path / "before")
    write(project.up(), 1)
    project.down()
    (open_path / "before").rename(open_path / "after")
    moved = keep(open_path / "after")
    assert read(moved.up()) == [1]
    assert moved.dsn != project.dsn


def test_a_project_that_only_its_owner_can_reach_works_and_keeps_its_permissions(
    tmp_path: Path, keep: Callable[[Path], DevServer]
) -> None:
    directory = tmp_path / "closed"
    directory.mkdir(mode=0o700)
    modes = {path: path.stat().st_mode for path in (directory, *directory.parents)}
    project = keep(directory)
    write(project.up(), 1)
    project.down()
    project.up()
    assert read(project.dsn) == [1]
    assert {path: path.stat().st_mode for path in modes} == modes
    assert (directory / ".pq" / "postgres" / "data").resolve() == project.data.resolve()
    assert project.place.stat().st_mode & 0o777 == 0o700


def test_data_of_a_version_that_is_not_here_are_refused_by_version(project: DevServer) -> None:
    project.up()
    project.down()
    (project.data / "PG_VERSION").write_text("11\n")
    with pytest.raises(
        DataDirectoryIncompatible, match=r"was made by PostgreSQL 11, which is not here: install it, or remove"
    ):
        project.up()


def test_a_server_that_does_not_start_shows_the_end_of_its_log(project: DevServer) -> None:
    project.up()
    project.down()
    with (project.data / "postgresql.conf").open("a") as configuration:
        configuration.write("nonsense = 1\n")
    with pytest.raises(ServerNotStarted, match='unrecognized configuration parameter "nonsense"') as caught:
        project.up()
    assert "nonsense" in caught.value.log


def test_settings_that_a_developer_writes_into_the_configuration_hold(project: DevServer) -> None:
    project.up()
    project.down()
    with (project.data / "postgresql.conf").open("a") as configuration:
        configuration.write("work_mem = '7MB'\n")
    with psycopg.connect(project.up()) as connection:
        assert connection.execute("show work_mem").fetchone() == ("7MB",)


def test_an_initdb_that_was_interrupted_is_done_again(project: DevServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_initdb: str, data: Path, *_: object) -> None:
        data.mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dev, "run_initdb", fail)
        with pytest.raises(KeyboardInterrupt):
            project.up()
    project.up()
    assert project.running


def test_a_project_in_which_nothing_can_be_made_is_a_typed_error() -> None:
    with pytest.raises(CacheNotWritable, match=r"cannot make /proc/\.pq: .*; make /proc writable"):
        DevServer(Path("/proc")).up()


def test_a_place_that_is_somebody_else_s_is_not_used(project: DevServer, open_path: Path) -> None:
    project.home.mkdir()
    (open_path / "elsewhere").mkdir()
    (project.home / "postgres").symlink_to(open_path / "elsewhere")
    with pytest.raises(CacheNotWritable, match="cannot keep a server in"):
        project.up()
    assert list((open_path / "elsewhere").iterdir()) == []
