"""Which files the demo hashes."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import attrs

INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Directories inside of the standard library's that are not part of it."""


@attrs.frozen(kw_only=True)
class Listing:
    """Regular files below a directory.

    Attributes:
        root: the directory, absolute.
        files: paths relative to it, in order.
        unlisted: directories that could not be read, and why.
    """

    root: bytes
    files: list[bytes]
    unlisted: list[OSError]


def list_files(path: Path | None, *, leave_out: Collection[Path]) -> Listing:
    """List the regular files at or below `path`, or of Python's standard library; symbolic links are not followed.

    Args:
        path: a directory, or a file.
        leave_out: files that change while their directory is hashed: the manifest.
    """
    installed = INSTALLED if path is None else frozenset[str]()
    start = Path(sysconfig.get_path("stdlib") if path is None else path).resolve()
    if start.is_file():
        return Listing(root=os.fsencode(start.parent), files=[os.fsencode(start.name)], unlisted=[])
    unlisted: list[OSError] = []
    left_out = {os.fsencode(each) for each in leave_out}
    files = [
        os.path.relpath(file, os.fsencode(start))
        for file in _walk(os.fsencode(start), {os.fsencode(each) for each in installed}, unlisted.append)
        if file not in left_out
    ]
    return Listing(root=os.fsencode(start), files=files, unlisted=unlisted)


def _walk(root: bytes, installed: set[bytes], complain: Callable[[OSError], None]) -> Iterator[bytes]:
    """Yield files in order of their names, directory by directory."""
    todo = [root]
    while todo:
        directory = todo.pop()
        try:
            with os.scandir(directory) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            complain(error)
            continue
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                yield entry.path
        inner = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
        todo += [entry.path for entry in reversed(inner) if directory != root or entry.name not in installed]
