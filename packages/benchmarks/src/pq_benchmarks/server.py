"""A durable PostgreSQL: what is measured here must survive a power cut, or it would not count."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs
import psutil
import psycopg
from psycopg import sql

from pq_testing.postgres import Server, find_binaries
from pq_testing.postgres.account import server_account
from pq_testing.postgres.cache import cache_directory, run_initdb
from pq_testing.postgres.directory import make_server_directory
from pq_testing.postgres.supervision import Supervision

SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "max_connections": "1000",
    "autovacuum": "on",
}
"""What differs from, or must not differ from, the defaults of PostgreSQL."""

_PLUMBING: Mapping[str, str] = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
}
_IN_MEMORY = ("tmpfs", "ramfs")
_TIMEOUT = 120.0


@attrs.define(eq=False)
class BenchServer:
    """The server of one run. It ends with this process, and its data with it."""

    server: Server
    filesystem: str
    _templates: dict[str, str] = attrs.field(factory=dict[str, str], init=False)
    _standing: dict[str, str] = attrs.field(factory=dict[str, str], init=False)

    @property
    def version(self) -> str:
        """Return the server's version, such as ``"18.4"``."""
        return self.server.version

    def cpu_seconds(self) -> float:
        """Return the CPU time that all processes of the server have taken so far."""
        main = psutil.Process(self._pid())
        times = main.cpu_times()
        seconds = times.user + times.system + times.children_user + times.children_system
        for child in main.children():
            try:
                own = child.cpu_times()
            except psutil.NoSuchProcess:  # it ended, and counts among the children of the next reading
                continue
            seconds += own.user + own.system
        return float(seconds)

    @contextmanager
    def database(self, key: str, prepare: Callable[[str], object]) -> Generator[str]:
        """Yield the DSN of a database for one measurement: a copy of the one that `prepare` once filled.

        Args:
            key: says what is in it.
            prepare: is called with a DSN when `key` is new; the database is vacuumed after it.
        """
        template = self._templates.get(key)
        if template is None:
            template = self._templates[key] = self._make_template(prepare)
        name = self.server.create_database(template=template).name
        try:
            yield self.server.dsn(name)
        finally:
            self.server.drop_database(name)

    def standing(self, key: str, prepare: Callable[[str], object]) -> str:
        """Return the DSN of a database that stays until the end, with all that is done in it: see `database`."""
        dsn = self._standing.get(key)
        if dsn is None:
            dsn = self._standing[key] = self.server.create_database().dsn
            prepare(dsn)
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("vacuum analyze")
                connection.execute("checkpoint")
        return dsn

    def _make_template(self, prepare: Callable[[str], object]) -> str:
        made = self.server.create_database()
        prepare(made.dsn)
        with psycopg.connect(made.dsn, autocommit=True) as connection:
            connection.execute("vacuum analyze")
        with psycopg.connect(self.server.dsn(), autocommit=True) as connection:
            connection.execute(
                sql.SQL("alter database {} with allow_connections false").format(sql.Identifier(made.name))
            )
            connection.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", [made.name]
            )
            connection.execute("checkpoint")
        return made.name

    def _pid(self) -> int:
        return int((self.server.directory / "data" / "postmaster.pid").read_text().split()[0])


@contextmanager
def durable_server(base: Path | None = None) -> Generator[BenchServer]:
    """Start a server on a disk, with the write-ahead log in segments of the usual size.

    ``Server.start`` would put its data in shared memory, where to sync is to do nothing.

    Args:
        base: directory to make its directory in; by default one for temporary files that is on a disk.
    """
    account = server_account()
    binaries = find_binaries(account=account, cache=cache_directory(account))
    directory = make_server_directory(account, [base] if base else _bases())
    try:
        options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C")
        run_initdb(binaries.program("initdb"), directory.path / "data", account, options)
        chosen = {**_PLUMBING, **SETTINGS, "unix_socket_directories": str(directory.path)}
        command = [binaries.program("postgres"), "-D", str(directory.path / "data")]
        command += [f"--{name}={value}" for name, value in chosen.items()]
        supervision = Supervision.begin(directory, account, command, timeout=_TIMEOUT)
    except BaseException:
        directory.remove()
        raise
    directory.unlock()
    with Server(binaries=binaries, directory=directory.path, supervision=supervision) as server:
        supervision.ask("start")
        yield BenchServer(server, _filesystem(directory.path))


def _bases() -> list[Path]:
    places = [Path("/var/tmp"), Path(tempfile.gettempdir()), Path("/tmp")]  # noqa: S108 - the directory made is private
    on_disk = [place for place in places if place.is_dir() and _filesystem(place) not in _IN_MEMORY]
    return on_disk or places


def _filesystem(path: Path) -> str:
    """Return the kind of file system that holds `path`, such as ``ext4``; ``unknown`` if the system does not say."""
    kinds = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    return next((kinds[place] for place in _upwards(path) if place in kinds), "unknown")


def _upwards(path: Path) -> Iterator[str]:
    resolved = path.resolve()
    return (str(place) for place in (resolved, *resolved.parents))


def cache_home() -> Path:
    """Return where the benchmarks keep what they install, made if it is not there."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pq-benchmarks"
    home.mkdir(parents=True, exist_ok=True)
    return home
