"""From ``mycode:app`` to the app, whatever its modules do while they are imported."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from pq_core import App, PsycopgConnector
from pq_core.errors import AppNotFound


def load_app(path: str) -> App:
    """Import the app that `path` names, and all modules that define its tasks.

    The working directory comes first on the module search path, as with ``python -m``.

    Raises:
        AppNotFound: that fails; the message says where.
    """
    directory = str(Path.cwd())
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        app = App.from_path(path)
        app.perform_import_paths()
    except AppNotFound as reason:
        raise AppNotFound(f"{reason}{_place(reason.__cause__)}; looked in {directory} first") from reason
    except (Exception, SystemExit) as reason:
        raise AppNotFound(f"{path!r} cannot be imported: {_described(reason)}{_place(reason)}") from reason
    return app


def connector_to(dsn: str | None, schema: str | None) -> PsycopgConnector:
    """Return what reaches a database that is named beside the app, or without one; libpq knows what is not given."""
    return PsycopgConnector(dsn or "", schema=schema or "pq")


def _described(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _place(error: BaseException | None) -> str:
    """Say in which of the user's lines it happened: the last one that is not Python's own import machinery."""
    if error is None:
        return ""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not _machinery(frame.filename)]
    return f" (in {own[-1].filename}, line {own[-1].lineno})" if own else ""


def _machinery(filename: str) -> bool:
    return filename.startswith("<frozen ") or f"{os.sep}importlib{os.sep}" in filename or _inside_pq(filename)


def _inside_pq(filename: str) -> bool:
    return any(f"{os.sep}{package}{os.sep}" in filename for package in ("pq_core", "pq_cli"))
