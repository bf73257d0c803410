"""`pq check`: whether all that a worker needs is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import typer

from pq_cli.output import shown, write_json
from pq_cli.target import AppPath, AsJson, Dsn, Schema, Target

if TYPE_CHECKING:  # see target
    from pq_core import App
    from pq_core.errors import PQError


@attrs.frozen
class Finding:
    """One thing looked at. `ok` is None if it could not be, or need not be, looked at."""

    name: str
    ok: bool | None
    detail: str
    code: int = 0


def check(*, app: AppPath = None, dsn: Dsn = None, schema: Schema = None, as_json: AsJson = False) -> None:
    """Check that the app imports, the database answers and the schema fits; one line each.

    The exit code is that of the first thing that is wrong: 3 the app, 4 the database, 5 the schema.
    """
    findings = _findings(Target(app, dsn, schema))
    if as_json:
        checks = [{"name": each.name, "ok": each.ok, "detail": each.detail} for each in findings]
        write_json({"ok": not any(each.code for each in findings), "checks": checks})
    else:
        for each in findings:
            word = {True: "ok", False: "FAILED", None: "-"}[each.ok]
            typer.echo(f"{each.name:<10}{word:<8}{shown(each.detail)}")
    raise typer.Exit(next((each.code for each in findings if each.code), 0))


def _findings(target: Target) -> list[Finding]:
    from pq_core.errors import PQError

    found: list[Finding] = []
    if target.app is None:
        found.append(Finding("app", None, "none given: --app or PQ_APP names one"))
    else:
        try:
            with target.with_tasks() as app:
                found.append(Finding("app", ok=True, detail=f"{target.app}: {len(app.tasks)} tasks"))
                return found + _store_findings(app)
        except PQError as error:
            found.append(_failure("app", error))
            if target.through_app:
                unknown = "not checked: only the app knows where it is"
                return [*found, Finding("database", None, unknown), Finding("schema", None, unknown)]
    with target.jobs_only() as app:
        return found + _store_findings(app)


def _store_findings(app: App) -> list[Finding]:
    from pq_core.errors import ConnectionFailed, PQError, SchemaError

    from pq_cli.schema_check import described, require_current

    name = getattr(app.connector, "schema", None) or type(app.connector).__qualname__
    answers = Finding("database", ok=True, detail="answers")
    try:
        status = app.check()
        require_current(status, name)
    except SchemaError as error:
        return [answers, _failure("schema", error)]
    except ConnectionFailed as error:
        return [_failure("database", error), Finding("schema", None, "not checked: the database is away")]
    except PQError as error:
        return [_failure("database", error), Finding("schema", None, "not checked")]
    return [answers, Finding("schema", ok=True, detail=f"{name}: {described(status)}")]


def _failure(name: str, error: PQError) -> Finding:
    from pq_cli.exit_codes import exit_code

    return Finding(name, ok=False, detail=" ".join(str(error).split()), code=exit_code(error))
