"""What is kept between sessions: for each build of PostgreSQL, a data directory as initdb leaves it, to be copied."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

from pq_testing.postgres.account import Account
from pq_testing.postgres.errors import CacheLocked, CacheNotWritable, NoSpace, ServerNotStarted

if sys.platform != "win32":
    import fcntl


# Segments of one megabyte: a fresh data directory has one, and is copied with each start.
_INITDB_OPTIONS = (
    "--no-sync",
    "--no-instructions",
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=libc",
    "--wal-segsize=1",
)
_LOCK_TIMEOUT = 120.0
_POLL = 0.02
_UNUSED_AGE = 30 * 86400.0
_INCOMPLETE_AGE = 3600.0
_COUNT = "pq-files"
# What the environment may say about clients and languages is not for the server.
_FOREIGN = ("PG", "LC_", "LANG")


def cache_directory(account: Account, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of the cache, made if it is not there.

    It is the usual place of the user's caches: ``XDG_CACHE_HOME``, or what the system has for it. Root's own is closed
    to the user that the server runs as, who therefore gets one below ``/var/cache``, or else below ``/var/tmp``.

    Raises:
        CacheNotWritable: if it cannot be made, or belongs to somebody else.
    """
    tried: list[str] = []
    for directory in _candidates(account, environ):
        try:
            make_private(directory, account)
        except OSError as error:
            tried.append(f"{directory}: {error.strerror or error}")
        else:
            return directory
    raise CacheNotWritable(
        f"no directory to keep PostgreSQL's files in ({'; '.join(tried)}): "
        "make one of them writable, or set XDG_CACHE_HOME"
    )


def data_template(initdb: str, version: str, account: Account, cache: Path) -> Path:
    """Return a data directory for this build of PostgreSQL, made by initdb at the first call.

    Ten processes may call this at once: one makes it, under another name, and renames it when it is complete.

    Raises:
        ServerNotStarted: if initdb fails; the error has its output.
        CacheLocked: if another process has been making it for two minutes.
        NoSpace: if the cache's file system is full.
    """
    template = cache / f"data-{version}-{_build(initdb)}"
    if not _complete(template):
        with locked(cache, template.name):
            if not _complete(template):
                shutil.rmtree(template, ignore_errors=True)
                _remove_unused(cache)
                _initdb(initdb, template, account)
    os.utime(template / _COUNT)
    return template / "data"


def copy_data(template: Path, target: Path, account: Account) -> None:
    """Copy a data directory, as the server's user, in the fastest way that the file systems know.

    Raises:
        NoSpace: if the target's file system is full.
    """
    # macOS must be asked for a copy that shares blocks.
    options = "-Rc" if sys.platform == "darwin" else "-R"
    command = [shutil.which("cp") or "/bin/cp", options, str(template), str(target)]
    copied = subprocess.run(  # noqa: S603
        command,
        capture_output=True,
        text=True,
        check=False,
        umask=0o077,
        cwd="/",
        env=child_environ(),
        **account.child_options,
    )
    if copied.returncode:
        failure = NoSpace if "No space left" in copied.stderr else ServerNotStarted
        raise failure(f"cannot copy {template} to {target}: {copied.stderr.strip()[-500:]}")


def child_environ(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for the server's programs."""
    return {name: value for name, value in environ.items() if not name.startswith(_FOREIGN)} | {"LC_ALL": "C"}


def make_private(directory: Path, account: Account) -> None:
    """Make the directory, or check that it is one that only the server's user can write to.

    Raises:
        OSError: if it is not, or cannot be made.
    """
    if account.switch and not account.reaches(directory.parent):
        raise PermissionError(0, f"user {account.name} cannot reach it")
    try:
        directory.mkdir(mode=0o700, parents=not account.switch)
        account.own(directory)
    except FileExistsError:
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != account.uid or status.st_mode & 0o022:
            raise PermissionError(0, f"is not a directory that only user {account.name} may write to") from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(0, "is not writable")


@contextlib.contextmanager
def locked(cache: Path, name: str) -> Generator[None]:
    """Hold the lock of one entry of the cache. The system frees it when its holder dies, so it is never stale.

    Raises:
        CacheLocked: if another process holds it for two minutes.
        CacheNotWritable: if the lock's file cannot be opened.
    """
    path = cache / f"{name}.lock"
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise CacheNotWritable(f"cannot open {path}: {error.strerror}; remove it, or run as its owner") from error
    try:
        _wait_for_lock(lock, path)
        os.truncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


def _wait_for_lock(lock: int, path: Path) -> None:
    deadline = time.monotonic() + _LOCK_TIMEOUT
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                holder = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
                raise CacheLocked(
                    f"process {holder} has held {path} for {_LOCK_TIMEOUT:g} s: end it, then try again"
                ) from None
            time.sleep(_POLL)
        else:
            return


def _candidates(account: Account, environ: Mapping[str, str]) -> Iterator[Path]:
    if account.switch:
        if home := environ.get("XDG_CACHE_HOME"):
            yield Path(home) / f"pq-{account.name}"
        yield Path("/var/cache") / f"pq-{account.name}"
        yield Path("/var/tmp") / f"pq-{account.name}"  # noqa: S108 - refused unless it is private.
        return
    if home := environ.get("XDG_CACHE_HOME"):
        yield Path(home) / "pq"
    elif sys.platform == "darwin":
        yield Path.home() / "Library" / "Caches" / "pq"
    else:
        yield Path.home() / ".cache" / "pq"
    yield Path(tempfile.gettempdir()) / f"pq-cache-{account.uid}"


def _build(initdb: str) -> str:
    """Tell one build from another, of the same version too."""
    status = Path(initdb).stat()
    facts = (initdb, status.st_size, status.st_mtime_ns, _INITDB_OPTIONS)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


def _complete(template: Path) -> bool:
    """Tell whether no file is missing: cleaners of temporary directories remove old ones one by one."""
    try:
        return int((template / _COUNT).read_text()) == _files(template / "data")
    except (OSError, ValueError):
        return False


def _files(directory: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(directory))


def _initdb(initdb: str, template: Path, account: Account) -> None:
    incomplete = Path(tempfile.mkdtemp(prefix=".data-", dir=template.parent))
    try:
        account.own(incomplete)
        run_initdb(initdb, incomplete / "data", account, _INITDB_OPTIONS)
        (incomplete / _COUNT).write_text(str(_files(incomplete / "data")))
        incomplete.rename(template)
    finally:
        shutil.rmtree(incomplete, ignore_errors=True)


def run_initdb(initdb: str, data: Path, account: Account, options: tuple[str, ...]) -> None:
    """Make a data directory as the server's user.

    Raises:
        ServerNotStarted: if initdb fails.
        NoSpace: if the file system is full.
    """
    made = subprocess.run(  # noqa: S603
        [initdb, "-D", str(data), *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd="/",
        env=child_environ(),
        **account.child_options,
    )
    if made.returncode:
        failure = NoSpace if "No space left" in made.stdout else ServerNotStarted
        raise failure(f"initdb could not make {data} (exit status {made.returncode}):\n{made.stdout.strip()[-2000:]}")


def _remove_unused(cache: Path) -> None:
    """Remove data directories that no session has copied for a month, and what killed sessions left half made."""
    for marker in cache.glob(f"data-*/{_COUNT}"):
        with contextlib.suppress(OSError):
            if time.time() - marker.stat().st_mtime > _UNUSED_AGE:
                shutil.rmtree(marker.parent, ignore_errors=True)
    for incomplete in (*cache.glob(".data-*"), *cache.glob(".wheel-*")):
        with contextlib.suppress(OSError):
            if time.time() - incomplete.stat().st_mtime > _INCOMPLETE_AGE:
                shutil.rmtree(incomplete, ignore_errors=True)
