"""The directory of one running server: its data, its log and its socket, on the fastest file system that has room.

Its lock is held by whoever uses it (see `supervisor.py`), so that what a killed session left can be
told from what is in use, without looking at process ids.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from pq_testing.postgres.account import Account
from pq_testing.postgres.errors import NoSpace

if sys.platform != "win32":
    import fcntl


_PREFIX = "pq-pg-"
_NAME = re.compile(rf"\.?{_PREFIX}[a-z0-9_]{{8}}")
_LOCK = "lock"
# macOS has 104 bytes for a socket's path, Linux 108, both with a NUL at the end.
_SOCKET_PATH_BYTES = 103
SOCKET_NAME = ".s.PGSQL.5432"
_COMFORT = 512 * 2**20
_NEED = 96 * 2**20
# The lock is made a moment after its directory: one without, and this old, is of a session that died in between.
_UNLOCKED_AGE = 3600.0


@attrs.frozen(kw_only=True)
class ServerDirectory:
    """A directory that this process has locked.

    Attributes:
        path: of the directory, open to nobody but the server's user.
        lock: file descriptor that holds its lock.
    """

    path: Path
    lock: int

    def unlock(self) -> None:
        """Close this process's descriptor; the lock stays as long as the supervisor has its own."""
        os.close(self.lock)

    def remove(self) -> None:
        """Remove a directory that no supervisor has taken over."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.unlock()


def make_server_directory(account: Account, bases: Iterable[Path] | None = None) -> ServerDirectory:
    """Make a directory for one server and lock it; first remove those of sessions that are gone.

    Args:
        account: user that the server runs as, and owner of the directory.
        bases: directories to make it in, the best first; by default shared memory, the temporary directory, ``/tmp``.

    Raises:
        NoSpace: if none of `bases` has room and can be reached by the user.
    """
    candidates = list(_bases() if bases is None else bases)
    for base in candidates:
        sweep(base, account)
    base = _choose(candidates, account)
    unlocked = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=base))
    lock = os.open(unlocked / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    account.own(unlocked / _LOCK)
    account.own(unlocked)
    # Only now does it get the name by which others judge it, so that nobody sees it unlocked.
    return ServerDirectory(path=unlocked.rename(unlocked.with_name(unlocked.name[1:])), lock=lock)


def sweep(base: Path, account: Account) -> None:
    """Remove from `base` the servers' directories of this user whose session and supervisor are gone."""
    try:
        found = [entry for entry in base.iterdir() if _NAME.fullmatch(entry.name)]
    except OSError:
        return
    for directory in found:
        _sweep_one(directory, account)


def fits_socket(directory: Path) -> bool:
    """Tell whether a socket can be in this directory: its path must be short, and to libpq a comma separates hosts."""
    return len(os.fsencode(directory / SOCKET_NAME)) <= _SOCKET_PATH_BYTES and "," not in str(directory)


def _sweep_one(directory: Path, account: Account) -> None:
    try:
        status = directory.lstat()
        if status.st_uid not in (account.uid, os.geteuid()) or not stat.S_ISDIR(status.st_mode):
            return
        old = time.time() - status.st_mtime > _UNLOCKED_AGE
        if not (directory / _LOCK).exists() or directory.name.startswith("."):
            if old:
                shutil.rmtree(directory, ignore_errors=True)
            return
        lock = os.open(directory / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(directory, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(lock)


def _bases() -> Iterator[Path]:
    yield Path("/dev/shm")  # noqa: S108 - the directory made there is private.
    yield Path(tempfile.gettempdir())
    yield Path("/tmp")  # noqa: S108 - as above.


def _choose(bases: list[Path], account: Account) -> Path:
    for enough in (_COMFORT, _NEED):
        for base in bases:
            if not _unfit(base, account, enough):
                return base
    reasons = "; ".join(f"{base}: {_unfit(base, account, _NEED)}" for base in bases)
    raise NoSpace(
        f"no place for the data of a PostgreSQL server ({reasons}): free some, or set TMPDIR to a directory with room"
    )


def _unfit(base: Path, account: Account, enough: int) -> str:
    """Say why `base` cannot hold a server's directory; an empty string means that it can."""
    if not base.is_dir():
        return "is no directory"
    if not os.access(base, os.W_OK | os.X_OK):
        return "is not writable"
    if not account.reaches(base.resolve()):
        return f"cannot be reached by user {account.name}"
    if not fits_socket(base / f"{_PREFIX}12345678"):
        return "is too long a path for a socket, or has a comma in it"
    space = os.statvfs(base)
    free = space.f_bavail * space.f_frsize
    return "" if free >= enough else f"has {free // 2**20} MB free, {enough // 2**20} MB are needed"
