"""The file that ``sha256sum -c`` reads."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pq_cli.errors import DemoFailed

_ESCAPES = ((b"\\", b"\\\\"), (b"\n", b"\\n"), (b"\r", b"\\r"))


def line(digest: str, name: bytes) -> bytes:
    """Return the line of a file; if its name has a backslash or the end of a line in it, escaped, and marked so."""
    escaped = name
    for raw, written in _ESCAPES:
        escaped = escaped.replace(raw, written)
    return (b"\\" if escaped != name else b"") + digest.encode() + b"  " + escaped + b"\n"


@contextmanager
def written(path: Path) -> Generator[BinaryIO]:
    """Give a file that takes the place of `path` if all goes well.

    Raises:
        DemoFailed: there can be no such file.
    """
    if path.exists() and not path.is_file():
        raise DemoFailed(f"the manifest cannot take the place of {path}, which is not a file; name another --manifest")
    temporary = path.with_name(f".pq-demo-{os.getpid()}.tmp")
    try:
        file = temporary.open("xb")
    except OSError as error:
        raise DemoFailed(f"cannot write the manifest {path}: {error.strerror}; name another --manifest") from error
    try:
        with file:
            yield file
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
