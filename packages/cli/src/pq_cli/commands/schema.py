"""`pq schema`: install pq in a database, and keep it up to date."""

from __future__ import annotations

import typer

from pq_cli.options import AppPath, AsJson, Dsn, Schema
from pq_cli.output import note, write_json, write_table

cli = typer.Typer(no_args_is_help=True, help="Install pq in a database, and keep it up to date.")


@cli.command()
def apply(*, app: AppPath = None, dsn: Dsn = None, schema: Schema = None, as_json: AsJson = False) -> None:
    """Create the schema, or bring it up to date. Safe to run again, and by many at once."""
    from pq_cli.target import Target

    with Target(app, dsn, schema).jobs_only() as opened:
        applied = opened.migrate()
        name = getattr(opened.connector, "schema", None)
    if as_json:
        write_json({"schema": name, "applied": applied})
        return
    for each in applied:
        typer.echo(each)
    note(f"schema {name!r}: {f'applied {len(applied)}' if applied else 'nothing to apply, it is up to date'}")


@cli.command()
def status(*, app: AppPath = None, dsn: Dsn = None, schema: Schema = None, as_json: AsJson = False) -> None:
    """Say what is installed. The exit code is 5 unless it is all there."""
    from pq_cli.exit_codes import SCHEMA_UNFIT
    from pq_cli.schema_check import described
    from pq_cli.target import Target
    from pq_core import SchemaStatus
    from pq_core.errors import SchemaMissing

    with Target(app, dsn, schema).jobs_only() as opened:
        name = getattr(opened.connector, "schema", None)
        try:
            found = opened.check()
        except SchemaMissing:
            if not as_json:
                raise
            found = SchemaStatus(version=0)
    current = found.version > 0 and found.current
    if as_json:
        data = {"schema": name, "version": found.version, "current": current}
        write_json(data | {"missing": list(found.missing), "outdated": list(found.outdated)})
    else:
        write_table(["schema", "status"], [[name, described(found)]])
    raise typer.Exit(0 if current else SCHEMA_UNFIT)


@cli.command()
def sql(*, app: AppPath = None, dsn: Dsn = None, schema: Schema = None) -> None:
    """Write all that `apply` would run as SQL, for psql or a tool of your own. Needs no database."""
    from pq_cli.target import Target
    from pq_core.postgres.schema import script

    with Target(app, dsn, schema).jobs_only() as opened:
        name: str | None = getattr(opened.connector, "schema", None)
    if name is None:
        raise typer.BadParameter(f"the connector of the app {app!r} has no schema", param_hint="'--app'")
    typer.echo(script(name), nl=False)
