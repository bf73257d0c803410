"""The user that the server runs as: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from pq_testing.postgres.errors import AccountNotFound, PlatformNotSupported

if sys.platform != "win32":
    import pwd


_NAMES = ("postgres", "nobody")


@attrs.frozen(kw_only=True)
class Account:
    """An unprivileged user.

    Attributes:
        name: its login name.
        uid: its number.
        gid: the number of its group.
        switch: whether this process is root and its children have to become that user.
    """

    name: str
    uid: int
    gid: int
    switch: bool

    @property
    def child_options(self) -> dict[str, Any]:
        """Return what `subprocess` needs to run a program as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}

    def reaches(self, path: Path) -> bool:
        """Tell whether the mode of every directory on the way to `path`, itself included, lets this user through."""
        return not self.switch or all(
            self._enters(directory) for directory in (path, *path.parents) if directory.exists()
        )

    def own(self, path: Path) -> None:
        """Give `path`, which this process has just made, to this user."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def _enters(self, directory: Path) -> bool:
        status = directory.stat()
        if status.st_uid == self.uid:
            return bool(status.st_mode & stat.S_IXUSR)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IXGRP)
        return bool(status.st_mode & stat.S_IXOTH)


def server_account(name: str | None = None, environ: Mapping[str, str] = os.environ) -> Account:
    """Return the user that a server of this process runs as.

    That is the user of this process, or, for root, the first that exists of `name`, ``PQ_POSTGRES_USER``,
    ``postgres`` and ``nobody``; a name that was asked for must exist.

    Raises:
        AccountNotFound: if this process is root and there is no such user.
        PlatformNotSupported: on Windows.
    """
    if sys.platform == "win32":
        raise PlatformNotSupported(
            "pq starts PostgreSQL on Linux and macOS only: on Windows test in memory, "
            "or set PQ_TEST_DSN to a server that runs already"
        )
    if os.geteuid() != 0:
        return Account(name=str(os.geteuid()), uid=os.geteuid(), gid=os.getegid(), switch=False)
    asked = name or environ.get("PQ_POSTGRES_USER")
    for candidate in (asked,) if asked else _NAMES:
        try:
            entry = pwd.getpwnam(candidate)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name=candidate, uid=entry.pw_uid, gid=entry.pw_gid, switch=True)
    tried = f"{asked!r} is no unprivileged user" if asked else f"neither of {', '.join(_NAMES)} exists"
    raise AccountNotFound(
        f"PostgreSQL refuses to run as root, and {tried}: create one with `useradd --system postgres`, "
        "or name another user in PQ_POSTGRES_USER, or run the tests as a normal user"
    )
