from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pq_testing.postgres import CacheLocked, CacheNotWritable, NoSpace, Server, cache, directory
from pq_testing.postgres.account import Account


def entries(cold_cache: Path, pattern: str) -> list[Path]:
    return list(cold_cache.glob(f"*/{pattern}"))


@pytest.mark.postgres
def test_ten_processes_at_once_make_one_data_directory(
    cold_cache: Path, begin: Callable[..., subprocess.Popen[str]]
) -> None:
    script = """
        from pq_testing.postgres import Server
        with Server.start() as server:
            print(server.running, flush=True)
            input()
    """
    sessions = [begin(script) for _ in range(10)]
    for session in sessions:
        assert session.stdout is not None
        assert session.stdout.readline() == "True\n"
    for session in sessions:
        session.communicate("\n", timeout=30)
    assert [session.returncode for session in sessions] == [0] * 10
    assert len(entries(cold_cache, "data-*/data/PG_VERSION")) == 1
    assert entries(cold_cache, ".data-*") == []


@pytest.mark.postgres
def test_a_second_start_copies_what_the_first_has_made(cold_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Server.start().stop()
    monkeypatch.setattr(cache, "run_initdb", lambda *_: pytest.fail("initdb ran again"))
    with Server.start() as server:
        assert server.running


@pytest.mark.postgres
def test_a_data_directory_from_which_files_were_cleaned_away_is_made_again(cold_cache: Path) -> None:
    Server.start().stop()
    (template,) = entries(cold_cache, "data-*/data")
    (template / "global" / "pg_control").unlink()
    with Server.start() as server:
        assert server.running


@pytest.mark.postgres
def test_a_process_that_is_killed_while_it_makes_the_cache_stops_nobody(cold_cache: Path, account: Account) -> None:
    (path,) = [cache.cache_directory(account)]
    left = path / ".data-abcdefgh"
    left.mkdir()
    os.utime(left, (0, 0))
    (path / "data-15.1-abc.lock").write_text("1\n")
    with Server.start() as server:
        assert server.running
    assert not left.exists()


@pytest.mark.postgres
def test_data_directories_that_nobody_used_for_a_month_are_removed(cold_cache: Path, account: Account) -> None:
    path = cache.cache_directory(account)
    for name, days in (("data-14.1-old", 31), ("data-14.2-new", 29)):
        (path / name).mkdir()
        (path / name / "pq-files").touch()
        os.utime(path / name / "pq-files", (time.time() - days * 86400,) * 2)
    Server.start().stop()
    assert not (path / "data-14.1-old").exists()
    assert (path / "data-14.2-new").exists()


def test_a_lock_that_is_held_for_too_long_is_reported_with_its_holder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_LOCK_TIMEOUT", 0.1)
    with (
        cache.locked(tmp_path, "entry"),
        pytest.raises(CacheLocked, match=f"process {os.getpid()} has held .*entry.lock"),
        cache.locked(tmp_path, "entry"),
    ):
        pytest.fail("two hold the lock")
    with cache.locked(tmp_path, "entry"):
        pass


def test_a_lock_is_free_when_its_holder_was_killed(tmp_path: Path, begin: Callable[..., subprocess.Popen[str]]) -> None:
    holder = begin(
        f"""
        from pathlib import Path
        from pq_testing.postgres.cache import locked
        with locked(Path({str(tmp_path)!r}), "entry"):
            print("held", flush=True)
            input()
        """
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    with cache.locked(tmp_path, "entry"):
        pass


def test_a_cache_that_cannot_be_made_is_an_error_that_names_each_place(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setattr(cache, "_candidates", lambda *_: iter([blocked / "pq", Path("/proc/pq")]))
    with pytest.raises(CacheNotWritable, match=f"{blocked / 'pq'}: .*; /proc/pq: .*set XDG_CACHE_HOME"):
        cache.cache_directory(account)


def test_a_cache_that_others_may_write_to_is_not_used(
    account: Account, cold_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(cold_cache))
    path = cache.cache_directory(account)
    assert path.parent == cold_cache
    path.chmod(0o777)
    assert cache.cache_directory(account) != path


def test_a_cache_that_is_a_link_is_not_used(
    account: Account, cold_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(cold_cache))
    path = cache.cache_directory(account)
    path.rename(cold_cache / "elsewhere")
    path.symlink_to(cold_cache / "elsewhere")
    assert cache.cache_directory(account) != path


def test_where_no_file_system_has_room_the_error_says_how_much_is_needed(
    account: Account, open_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_path.chmod(0o777)
    monkeypatch.setattr(directory, "_COMFORT", 2**60)
    monkeypatch.setattr(directory, "_NEED", 2**60)
    with pytest.raises(NoSpace, match=rf"{open_path}: has \d+ MB free, \d+ MB are needed"):
        directory.make_server_directory(account, [open_path])
    assert list(open_path.iterdir()) == []


def test_places_that_a_server_cannot_use_are_passed_by_and_named(account: Account, open_path: Path) -> None:
    long, comma = open_path / ("l" * 80), open_path / "a,b"
    for path in (long, comma):
        path.mkdir()
        path.chmod(0o777)
    with pytest.raises(
        NoSpace, match=r"is no directory.*too long a path.*too long a path for a socket, or has a comma"
    ):
        directory.make_server_directory(account, [open_path / "missing", long, comma])
    open_path.chmod(0o777)
    made = directory.make_server_directory(account, [long, open_path])
    assert made.path.parent == open_path
    made.remove()
    assert not made.path.exists()
