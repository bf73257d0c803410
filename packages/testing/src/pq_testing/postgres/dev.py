"""A PostgreSQL server for one developer's project: it outlives the process that started it, and its data outlive it."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import attrs

from pq_testing.postgres.account import Account, server_account
from pq_testing.postgres.binaries import Binaries, find_binaries
from pq_testing.postgres.cache import cache_directory, child_environ, locked, make_private, run_initdb
from pq_testing.postgres.directory import SOCKET_NAME, fits_socket
from pq_testing.postgres.errors import CacheNotWritable, DataDirectoryIncompatible, PostgresNotFound, ServerNotStarted

_INITDB_OPTIONS = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--locale-provider=libc")
_SETTINGS = "pq.conf"
_PID_FILE = "postmaster.pid"
# Lines of the file by which a server says how it is, from 0.
_PID, _STATUS = 0, 7
# Above the greatest process id that Linux gives.
_NO_PROCESS = str(2**22 + 1)
_TIMEOUT = 60
_LOG_BYTES = 4096


def _resolved(path: str | Path) -> Path:
    return Path(path).resolve()


@attrs.define(eq=False)
class DevServer:
    """The server of a project, with its data in the project's ``.pq`` directory. Its writes are durable.

    It listens on a unix socket in a private directory. If this process is root and the user that the server has to run
    as cannot reach the project, data are below ``/var/lib``, and ``.pq/postgres`` is a link to them.

    .. versionadded:: 0.1

    Attributes:
        directory: of the project.
        user: name of the user to run as, when this process is root.
    """

    directory: Path = attrs.field(converter=_resolved)
    user: str | None = None

    def up(self) -> str:
        """Start the server unless it runs, wait until it accepts connections, and return its DSN.

        Raises:
            DataDirectoryIncompatible: if the data are of a major version of PostgreSQL that is not here.
            CacheNotWritable: if the directories cannot be made, or are somebody else's.
            PostgresError: if there is no server to be had; its other subclasses say why.
        """
        account = server_account(self.user)
        self._make_home(account)
        with locked(self.home, "postgres"):
            if not self.running:
                self._make_places(account)
                binaries = self._binaries(account)
                if not self.data.exists():
                    self._initdb(binaries, account)
                self._configure(account)
                self._forget_stale_pid()
                self._pg_ctl(binaries, account, "start")
        return self.dsn

    def down(self) -> None:
        """Stop the server, if it runs, once what its clients are doing is rolled back. Data are kept."""
        account = server_account(self.user)
        if self.running:
            with locked(self.home, "postgres"):
                self._pg_ctl(self._binaries(account), account, "stop")

    @property
    def home(self) -> Path:
        """Return the directory that belongs to pq inside the project."""
        return self.directory / ".pq"

    @property
    def place(self) -> Path:
        """Return the server's own directory, which nobody else can enter."""
        account = server_account(self.user)
        if account.reaches(self.directory):
            return self.home / "postgres"
        return Path("/var/lib") / f"pq-{account.name}" / self._digest()

    @property
    def data(self) -> Path:
        """Return the data directory."""
        return self.place / "data"

    @property
    def dsn(self) -> str:
        """Return the libpq connection string of the database ``postgres``, whether the server runs or not."""
        return f"postgresql://postgres@/postgres?host={quote(str(self._socket_directory()))}&port=5432"

    @property
    def running(self) -> bool:
        """Tell whether the server is up and accepts connections."""
        lines = self._pid_lines()
        return len(lines) > _STATUS and lines[_STATUS].strip() == "ready" and self._answers()

    @property
    def log(self) -> str:
        """Return the last lines of what the server wrote."""
        try:
            return (self.place / "log").read_bytes()[-_LOG_BYTES:].decode(errors="replace").strip()
        except OSError:
            return ""

    def _make_home(self, account: Account) -> None:
        try:
            self.home.mkdir(exist_ok=True)
            if account.switch:
                self.home.chmod(0o755)
            ignored = self.home / ".gitignore"
            if not ignored.exists():
                ignored.write_text("*\n")
        except OSError as error:
            raise CacheNotWritable(
                f"cannot make {self.home}: {error.strerror}; make {self.directory} writable"
            ) from error

    def _make_places(self, account: Account) -> None:
        try:
            if self.place.parent != self.home:
                make_private(self.place.parent, account)
                link = self.home / "postgres"
                if not link.is_symlink():
                    link.symlink_to(self.place)
            make_private(self.place, account)
            make_private(self._socket_directory(), account)
        except OSError as error:
            raise CacheNotWritable(
                f"cannot keep a server in {self.place}: {error.strerror or error}; remove it, or run as its owner"
            ) from error

    def _binaries(self, account: Account) -> Binaries:
        cache = cache_directory(account)
        try:
            made_by = (self.data / "PG_VERSION").read_text().strip()
        except OSError:
            return find_binaries(account=account, cache=cache)
        try:
            return find_binaries(account=account, cache=cache, major=int(made_by))
        except PostgresNotFound as error:
            raise DataDirectoryIncompatible(
                f"{self.data} was made by PostgreSQL {made_by}, which is not here: install it, or remove {self.place} "
                f"to begin with empty data ({error})"
            ) from error

    def _initdb(self, binaries: Binaries, account: Account) -> None:
        incomplete = Path(tempfile.mkdtemp(prefix=".data-", dir=self.place))
        try:
            account.own(incomplete)
            run_initdb(binaries.program("initdb"), incomplete / "data", account, _INITDB_OPTIONS)
            with (incomplete / "data" / "postgresql.conf").open("a") as configuration:
                configuration.write(f"\ninclude '{_SETTINGS}'  # written by pq at each start\n")
            (incomplete / "data").rename(self.data)
        finally:
            shutil.rmtree(incomplete, ignore_errors=True)

    def _configure(self, account: Account) -> None:
        """Write what depends on where the project is now: it may have been moved since the last start."""
        directories = str(self._socket_directory()).replace("\\", "\\\\").replace("'", "''")
        settings = {
            "listen_addresses": "",
            "port": "5432",
            "unix_socket_directories": directories,
            "unix_socket_permissions": "0700",
            "max_connections": "200",
        }
        path = self.data / _SETTINGS
        path.unlink(missing_ok=True)
        path.write_text("".join(f"{name} = '{value}'\n" for name, value in settings.items()))
        account.own(path)

    def _pg_ctl(self, binaries: Binaries, account: Account, action: Literal["start", "stop"]) -> None:
        # Relative paths: pg_ctl hands them to a shell, and a project's path may have quotes in it.
        options = ["-l", "../log"] if action == "start" else ["-m", "fast"]
        done = subprocess.run(  # noqa: S603
            [binaries.program("pg_ctl"), action, "-D", ".", "-w", "-t", str(_TIMEOUT), *options],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.data,
            umask=0o077,
            env=child_environ(),
            **account.child_options,
        )
        if done.returncode or (action == "start" and not self.running):
            complaint = (done.stderr or done.stdout).strip()
            raise ServerNotStarted(f"cannot {action} PostgreSQL in {self.data}: {complaint}", log=self.log)

    def _socket_directory(self) -> Path:
        """Return the directory of the socket: the server's own, or where its path will not do, a short one."""
        if fits_socket(self.place):
            return self.place
        return Path("/tmp") / f"pq-{server_account(self.user).uid}-{self._digest()}"  # noqa: S108 - refused unless private.

    def _digest(self) -> str:
        return hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:12]

    def _pid_lines(self) -> list[str]:
        try:
            return (self.data / _PID_FILE).read_text().splitlines()
        except OSError:
            return []

    def _answers(self) -> bool:
        """Tell whether anything listens: the file alone may be of a server that was killed."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_TIMEOUT)
            try:
                probe.connect(str(self._socket_directory() / SOCKET_NAME))
            except OSError:
                return False
            return True

    def _forget_stale_pid(self) -> None:
        """Correct the files of a server that was killed, if its process id is another process's by now, or a zombie's.

        PostgreSQL copes by itself where there is no process of that id, and refuses to start where there is one. The
        rest of the data's file stays: it tells PostgreSQL whether processes of the killed server still use the data.
        """
        self._socket_directory().joinpath(f"{SOCKET_NAME}.lock").unlink(missing_ok=True)
        lines = self._pid_lines()
        if lines and sys.platform == "linux":
            try:
                before, _, after = Path(f"/proc/{lines[_PID].strip()}/stat").read_text().rpartition(")")
            except OSError:
                return
            if not before.endswith("(postgres") or after.split()[0] in ("Z", "X"):
                (self.data / _PID_FILE).write_text("\n".join([_NO_PROCESS, *lines[1:], ""]))
