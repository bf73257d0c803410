"""A PostgreSQL server of one's own: up in a tenth of a second, gone with the process that started it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import attrs

from pq_testing.postgres.account import server_account
from pq_testing.postgres.binaries import Binaries, find_binaries
from pq_testing.postgres.cache import cache_directory, copy_data, data_template
from pq_testing.postgres.databases import DatabaseServer
from pq_testing.postgres.directory import make_server_directory
from pq_testing.postgres.supervision import Supervision

_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # What a crash of the machine would do is of no interest here. A crash of the server alone, as `crash` makes it,
    # loses nothing that was committed; for that synchronous_commit stays on, which costs little where fsync is off.
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "200",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "checkpoint_timeout": "30min",
    # In the data directory, so that nothing is left behind in /dev/shm, which is small in containers.
    "dynamic_shared_memory_type": "mmap",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@attrs.define(eq=False, kw_only=True)
class Server(DatabaseServer):
    """A PostgreSQL server that this process has started.

    It listens on a unix socket in a private directory only. When this process ends, however it ends, the server ends
    too and its data are removed. Commits survive `crash`, not a power cut.

    .. versionadded:: 0.1

    Attributes:
        binaries: what it runs.
        directory: holds its data, its log and its socket.
    """

    binaries: Binaries
    directory: Path
    _supervision: Supervision = attrs.field(alias="supervision", repr=False)

    @classmethod
    def start(
        cls,
        *,
        major: int | None = None,
        binaries: Binaries | None = None,
        settings: Mapping[str, str] | None = None,
        autovacuum: bool = True,
        user: str | None = None,
        timeout: float = 60.0,
        watch: int | None = None,
    ) -> Self:
        """Start a server with an empty cluster and wait until it accepts connections. Works in any thread.

        Args:
            major: only this major version of PostgreSQL will do.
            binaries: what to run; by default what `find_binaries` finds.
            settings: server settings by name, above those for tests.
            autovacuum: whether the server may vacuum by itself.
            user: name of the user to run as, when this process is root.
            timeout: in seconds, for each start and stop of the server.
            watch: process id of an ancestor of this process, with which the server ends instead of with this one. Until
                then it is started again whenever it ends by itself.

        Raises:
            PostgresError: if there is no server to be had; its subclasses say why.
        """
        account = server_account(user)
        cache = cache_directory(account)
        binaries = binaries or find_binaries(account=account, cache=cache, major=major)
        template = data_template(binaries.program("initdb"), binaries.version, account, cache)
        directory = make_server_directory(account)
        try:
            copy_data(template, directory.path / "data", account)
            chosen = {
                **_SETTINGS,
                "autovacuum": "on" if autovacuum else "off",
                **(settings or {}),
                "port": "5432",
                "unix_socket_directories": str(directory.path),
            }
            command = [binaries.program("postgres"), "-D", str(directory.path / "data")]
            command += [f"--{name}={value}" for name, value in chosen.items()]
            supervision = Supervision.begin(directory, account, command, timeout=timeout, watch=watch)
        except BaseException:
            directory.remove()
            raise
        directory.unlock()
        server = cls(binaries=binaries, directory=directory.path, supervision=supervision)
        try:
            supervision.ask("start")
        except BaseException:
            server.stop()
            raise
        return server

    def dsn(self, dbname: str | None = None) -> str:
        """Return the libpq connection string of a database, by default of ``postgres``."""
        return (
            f"postgresql://postgres@/{quote(dbname or 'postgres', safe='')}?host={quote(str(self.directory))}&port=5432"
        )

    @property
    def version(self) -> str:
        """Return the server's version, such as ``"18.4"``."""
        return self.binaries.version

    @property
    def running(self) -> bool:
        """Tell whether the server is up."""
        return self._supervision.running

    @property
    def log(self) -> str:
        """Return the last lines of what the server wrote."""
        return self._supervision.log()

    def stop(self, *, keep_data: bool = False) -> None:
        """Stop the server.

        Args:
            keep_data: end it in order and keep its data until this process ends, so that `restart` finds them.
                Otherwise it ends at once, and for good: its data are removed.
        """
        if keep_data:
            self._supervision.ask("shutdown")
        else:
            self._supervision.end()

    def crash(self) -> None:
        """Kill the server and all its processes with SIGKILL, and leave it down until `restart`. Commits are kept."""
        self._supervision.ask("crash")

    def restart(self) -> None:
        """Start the server again on the same data, at the same DSN; if it is up, end it in order first."""
        self._supervision.ask("shutdown")
        self._supervision.ask("start")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
