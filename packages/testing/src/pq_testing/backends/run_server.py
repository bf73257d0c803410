"""One server for all workers of a run of pytest-xdist: whoever needs it first starts it, and it ends with the run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import attrs

from pq_testing.postgres.cache import locked
from pq_testing.postgres.databases import DatabaseServer
from pq_testing.postgres.errors import ServerNotStarted
from pq_testing.postgres.local_server import Server

_NAME = "pq-postgres"
_PATIENCE = 30.0
_POLL = 0.02


@attrs.define(eq=False, kw_only=True)
class RunServer(DatabaseServer):
    """A server that ends with the process that controls the run, and is started again if it ends before."""

    _directory: Path = attrs.field(alias="directory")
    _version: str = attrs.field(alias="version")

    @classmethod
    def join(cls, run: Path, controller: int) -> Self:
        """Return the server of a run, started if this is the first to ask.

        Args:
            run: a directory that the workers of this run share, and no other run.
            controller: id of the process that all workers descend from.

        Raises:
            PostgresError: there is no server to be had; its subclasses say why.
        """
        file = run / f"{_NAME}.json"
        with locked(run, _NAME):
            known: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
            if known.get("controller") != controller:
                server = Server.start(watch=controller)
                known = {"controller": controller, "directory": str(server.directory), "version": server.version}
                file.write_text(json.dumps(known), encoding="utf-8")
                server.stop()  # lets go of it only
        return cls(directory=Path(known["directory"]), version=known["version"])

    def dsn(self, dbname: str | None = None) -> str:
        """Return the libpq connection string of a database, by default of ``postgres``."""
        name, host = quote(dbname or "postgres", safe=""), quote(str(self._directory))
        return f"postgresql://postgres@/{name}?host={host}&port=5432"

    @property
    def version(self) -> str:
        """Return the server's version, such as ``"18.4"``."""
        return self._version

    @property
    def running(self) -> bool:
        """Tell whether it lets anybody in."""
        return not self._refusal()

    def wait(self) -> None:
        """Wait until the server is back.

        Raises:
            ServerNotStarted: it stays away.
        """
        deadline = time.monotonic() + _PATIENCE
        while refusal := self._refusal():
            if time.monotonic() > deadline or not self._directory.exists():
                raise ServerNotStarted(f"the server that the workers of this run share is gone: {refusal}")
            time.sleep(_POLL)

    def _refusal(self) -> str:
        import psycopg

        try:
            psycopg.connect(self.dsn()).close()
        except psycopg.OperationalError as refusal:
            return " ".join(str(refusal).split())
        return ""
