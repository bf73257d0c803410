from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pq_testing.postgres import AccountNotFound, PlatformNotSupported, Server, account
from pq_testing.postgres.account import Account, server_account


@pytest.mark.postgres
def test_all_of_it_works_for_a_normal_user_with_a_home_of_its_own(
    begin_as_other: Callable[[str], subprocess.Popen[str]], majors: list[int]
) -> None:
    script = """
        import os, psycopg
        from pathlib import Path
        from pq_testing.postgres import DevServer, Server
        assert os.geteuid() != 0
        for major in MAJORS:
            with Server.start(major=major) as server:
                template = server.template("key", lambda dsn: None)
                with server.fresh_database(template=template) as dsn:
                    psycopg.connect(dsn).close()
                server.crash()
                server.restart()
                psycopg.connect(server.dsn()).close()
                assert server.directory.stat().st_uid == os.geteuid()
        (Path.home() / "project").mkdir()
        project = DevServer(Path.home() / "project")
        psycopg.connect(project.up()).close()
        project.down()
        kept = (Path.home() / ".cache" / "pq").glob("data-*[!k]")
        assert sorted(int(path.name[5:7]) for path in kept) == MAJORS, kept
        print("all of it")
    """
    session = begin_as_other(script.replace("MAJORS", str(majors)))
    written, _ = session.communicate(timeout=50)
    assert (session.returncode, written) == (0, "all of it\n")


@pytest.mark.postgres
def test_root_s_server_runs_as_the_user_that_is_asked_for() -> None:
    name = "nobody" if os.geteuid() == 0 else None
    with Server.start(user=name) as server:
        assert server.directory.stat().st_uid == server_account(name).uid
        assert server.running


def test_root_s_user_is_looked_for_in_the_environment_then_by_the_usual_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert server_account(environ={"PQ_POSTGRES_USER": "nobody"}).name == "nobody"
    monkeypatch.setattr(account, "_NAMES", ("pq-no-such-user", "nobody"))
    assert server_account(environ={}).name == "nobody"


@pytest.mark.parametrize("name", ["pq-no-such-user", "root"])
def test_a_user_that_does_not_exist_or_is_root_is_refused_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(AccountNotFound, match=f"'{name}' is no unprivileged user"):
        server_account(name)


def test_where_there_is_no_unprivileged_user_the_error_says_how_to_make_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(account, "_NAMES", ("pq-no-such-user",))
    with pytest.raises(AccountNotFound, match="useradd --system postgres"):
        server_account(environ={})


def test_on_windows_a_typed_error_says_to_test_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    with pytest.raises(PlatformNotSupported, match="test in memory"):
        Server.start()


def test_reaching_a_directory_takes_a_way_through_every_parent(open_path: Path) -> None:
    stranger = Account(name="stranger", uid=4_000_001, gid=4_000_002, switch=True)
    inner = open_path / "closed" / "inner"
    inner.mkdir(parents=True)
    assert stranger.reaches(inner)
    (open_path / "closed").chmod(0o700)
    assert not stranger.reaches(inner)
    assert stranger.reaches(open_path)
