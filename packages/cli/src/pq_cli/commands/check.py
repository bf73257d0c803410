"""`pq check`: whether all that a worker needs is there."""

from __future__ import annotations

import typer

from pq_cli.options import AppPath, AsJson, Dsn, Schema
from pq_cli.output import shown, write_json

_WORDS = {True: "ok", False: "FAILED", None: "-"}


def check(*, app: AppPath = None, dsn: Dsn = None, schema: Schema = None, as_json: AsJson = False) -> None:
    """Check the app, the database and the schema; one line each.

    The exit code is that of the first thing that is wrong: 3 the app, 4 the database, 5 the schema.
    """
    from pq_cli.checkup import look_at
    from pq_cli.target import Target

    findings = look_at(Target(app, dsn, schema))
    if as_json:
        checks = [{"name": each.name, "ok": each.ok, "detail": each.detail} for each in findings]
        write_json({"ok": not any(each.code for each in findings), "checks": checks})
    else:
        for each in findings:
            typer.echo(f"{each.name:<10}{_WORDS[each.ok]:<8}{shown(each.detail)}")
    raise typer.Exit(next((each.code for each in findings if each.code), 0))
