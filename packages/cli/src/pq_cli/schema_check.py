"""What a schema's status means to a command that is about to use it."""

from __future__ import annotations

from pq_core import App, SchemaStatus
from pq_core.errors import SchemaTooOld


def require_current(status: SchemaStatus, name: str) -> None:
    """Refuse a schema that lacks something.

    Raises:
        SchemaTooOld: it does; the message says what.
    """
    if not status.current:
        raise SchemaTooOld(f"schema {name!r} is too old: {described(status)}; run `pq schema apply`")


def require_usable(app: App) -> None:
    """Refuse to start work in a schema that this version of pq cannot use.

    Functions of another text are let pass: during a rolling deploy they may be those of a later version, which old
    workers can use.

    Raises:
        ConnectionFailed: the database does not answer.
        SchemaMissing: pq is not installed there.
        SchemaTooOld: migrations are missing.
        SchemaTooNew: a later version has migrated it.
    """
    status = app.check()
    if status.missing:
        require_current(status, getattr(app.connector, "schema", ""))


def described(status: SchemaStatus) -> str:
    """Say in a few words how a schema stands."""
    lacks = [
        f"{text} {', '.join(names)}"
        for text, names in (("without", status.missing), ("to create anew:", status.outdated))
        if names
    ]
    return "; ".join([f"version {status.version}", *(lacks or ["up to date"])])
