"""Which Python runs a peer: this one if it is new enough, else another that is installed here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

Version = tuple[int, int]

_NEWEST_FIRST = ("3.14", "3.13", "3.12", "3.11")
_VERSION = "import sys; print(*sys.version_info[:2])"


def find_interpreter(least: Version) -> tuple[Path, Version] | None:
    """Return an interpreter of at least that version, and its version."""
    if sys.version_info[:2] >= least:
        return Path(sys.executable), sys.version_info[:2]
    for candidate in _candidates():
        version = _version(candidate)
        if version is not None and version >= least:
            return candidate, version
    return None


def _candidates() -> Iterator[Path]:
    """Yield what may be other interpreters: on the path, of pyenv, of uv."""
    for version in _NEWEST_FIRST:
        if found := shutil.which(f"python{version}"):
            yield Path(found)
    for version in _NEWEST_FIRST:
        yield from sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"), reverse=True)
    if uv := shutil.which("uv"):
        for version in _NEWEST_FIRST:
            answer = _output(uv, "python", "find", "--no-python-downloads", version)
            if answer:
                yield Path(answer)


def _version(interpreter: Path) -> Version | None:
    try:
        major, minor = map(int, (_output(str(interpreter), "-c", _VERSION) or "").split())
    except ValueError:
        return None
    return major, minor


def _output(*command: str) -> str | None:
    """Return what a program says; None if it cannot be run, as pyenv's stand-ins for versions that are not chosen."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30.0, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
