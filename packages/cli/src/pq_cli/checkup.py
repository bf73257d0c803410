"""Whether all that a worker needs is there."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from pq_cli.exit_codes import exit_code
from pq_cli.schema_check import described, require_current
from pq_cli.target import Target
from pq_core import App
from pq_core.errors import ConnectionFailed, PQError, SchemaError

_ONLY_THE_APP_KNOWS = "not checked: only the app knows where it is"


@attrs.frozen
class Finding:
    """One thing looked at.

    Attributes:
        ok: None if it could not be, or need not be, looked at.
        code: the exit code that it is worth.
    """

    name: str
    ok: bool | None
    detail: str
    code: int = 0


def look_at(target: Target) -> list[Finding]:
    """Look at the app, the database and the schema."""
    if target.app is None:
        found = [Finding("app", ok=None, detail="none given: --app or PQ_APP names one")]
    else:
        try:
            with target.with_tasks() as app:
                found = [Finding("app", ok=True, detail=f"{target.app}: {len(app.tasks)} tasks")]
                return found + _look_at_store(app)
        except PQError as error:
            found = [_failure("app", error)]
            if target.through_app:
                return found + [Finding(each, ok=None, detail=_ONLY_THE_APP_KNOWS) for each in ("database", "schema")]
    with target.jobs_only() as app:
        return found + _look_at_store(app)


def _look_at_store(app: App) -> list[Finding]:
    name = getattr(app.connector, "schema", None) or type(app.connector).__qualname__
    answers = Finding("database", ok=True, detail="answers")
    try:
        status = app.check()
        require_current(status, name)
    except SchemaError as error:
        return [answers, _failure("schema", error)]
    except ConnectionFailed as error:
        return [_failure("database", error), Finding("schema", ok=None, detail="not checked: the database is away")]
    except PQError as error:
        return [_failure("database", error), Finding("schema", ok=None, detail="not checked")]
    return [answers, Finding("schema", ok=True, detail=f"{name}: {described(status)}"), *_look_at_pins(app)]


def _look_at_pins(app: App) -> Iterator[Finding]:
    """Look at who keeps dead rows from being removed: workers go on, but somebody should know."""
    try:
        yield from (Finding("vacuum", ok=None, detail=pin.finding) for pin in app.health().pins if pin.is_long)
    except PQError as error:
        yield Finding("vacuum", ok=None, detail=f"not checked: {error}")


def _failure(name: str, error: PQError) -> Finding:
    return Finding(name, ok=False, detail=" ".join(str(error).split()), code=exit_code(error))
